package page

import (
	"fmt"
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
