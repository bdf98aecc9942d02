package web

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/limit"
)

// Limit counts a request before its route is run: it returns the rule's state,
// and an error for one that is not to be run.
type Limit func(r *http.Request) (limit.State, error)

// limit counts the request, and reports whether it may go on.
func (s *Stack) limit(x *exchange, r *http.Request) bool {
	if s.Limit == nil {
		return true
	}
	state, err := s.Limit(r)
	if state.Rule.Limit > 0 {
		setRateLimit(x.Header(), state)
	}
	x.err = err
	return err == nil
}

// setRateLimit says how a rule stands (draft-ietf-httpapi-ratelimit-headers-10):
// how many more there may be, and in how many seconds all may be again. After a
// refusal that is when one may be, as Retry-After says too.
func setRateLimit(h http.Header, s limit.State) {
	next := s.Reset
	if !s.OK {
		next = s.Retry
	}
	name := `"` + s.Rule.Name + `"`
	h["Ratelimit-Policy"] = []string{name + ";q=" + strconv.Itoa(s.Rule.Limit) + ";w=" + wholeSeconds(s.Rule.Window)}
	h["Ratelimit"] = []string{name + ";r=" + strconv.Itoa(s.Remaining) + ";t=" + wholeSeconds(next)}
}

// wholeSeconds rounds up, so that nobody comes back too early.
func wholeSeconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// exceeded returns the state of the rule that an error is about.
func exceeded(err error) *limit.State {
	var e *limit.Exceeded
	if !errors.As(err, &e) {
		return nil
	}
	return &e.State
}
