package page

import (
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/door/web"
)

// Refused shows a person that they, or others like them, ask too often.
func Refused(w http.ResponseWriter, p web.Problem) error {
	return render(w, p.Status, "refused.html", struct {
		Title, Wait, RequestID string
	}{p.Title, wait(p.RetryAfter()), p.RequestID})
}

// problemText is what a page says of a problem. People see no headers.
func problemText(p web.Problem) string {
	if p.Code == "rate_limited" {
		return "Too many requests came from here. Wait " + wait(p.RetryAfter()) + ", and try again."
	}
	return p.Detail
}

// wait says a time in words, rounded up.
func wait(d time.Duration) string {
	switch {
	case d <= time.Minute:
		return "a minute"
	case d <= 5*time.Minute:
		return "five minutes"
	case d <= 15*time.Minute:
		return "a quarter of an hour"
	case d <= time.Hour:
		return "an hour"
	}
	return "until tomorrow"
}
