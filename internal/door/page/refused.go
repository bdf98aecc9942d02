package page

import (
	"fmt"
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/door/web"
)

// refusal is what a person reads where no page of ours has the words for what went wrong.
type refusal struct{ Title, Text, RequestID string }

// Refused shows a person any error that no page has answered: what it means to
// them, and where to go from here.
func Refused(w http.ResponseWriter, p web.Problem) error {
	return render(w, p.Status, "refused.html", refusalOf(p))
}

func refusalOf(p web.Problem) refusal {
	out := refusal{Title: p.Title, Text: p.Detail, RequestID: p.RequestID}
	switch {
	case p.Status == http.StatusNotFound && p.Code == "not_found":
		out.Title, out.Text = "There is no such page", "Perhaps the address was mistyped, or a mail program has cut the link. Copy the whole link, or go on "+
			"from here."
	case p.Status == http.StatusMethodNotAllowed:
		out.Title, out.Text = "This can't be opened like this", "This address belongs to a form of another page. Open that page, and send its form from there."
	case p.Status == http.StatusTooManyRequests:
		out.Title = "Too many requests"
		out.Text = "Too many requests came from your network or account. Wait " + wait(p.RetryAfter()) + ", and load this page again. What you had filled in " +
			"was not sent on."
	case p.Status == http.StatusRequestEntityTooLarge:
		out.Title, out.Text = "That was too much", "What was sent is larger than 64 KiB. Please shorten it, and send it again."
	case p.Status == http.StatusServiceUnavailable:
		out.Title, out.Text = "We can't answer for the moment", "Nothing is wrong with what you sent. Please load this page again in a minute."
	case p.Status >= http.StatusInternalServerError:
		out.Title = "Something went wrong"
	}
	return out
}

// problemText is what a page says of a problem. People see no headers.
func problemText(p web.Problem) string {
	if p.Code == "rate_limited" {
		return "Too many requests came from here. Wait " + wait(p.RetryAfter()) + ", and try again."
	}
	return p.Detail
}

// wait says a time in words, rounded up to a minute or an hour.
func wait(d time.Duration) string {
	minutes, hours := (d+time.Minute-1)/time.Minute, (d+time.Hour-1)/time.Hour
	switch {
	case minutes <= 1:
		return "a minute"
	case minutes < 60:
		return fmt.Sprintf("%d minutes", minutes)
	case hours <= 1:
		return "an hour"
	case hours < 24:
		return fmt.Sprintf("%d hours", hours)
	}
	return "until tomorrow"
}
