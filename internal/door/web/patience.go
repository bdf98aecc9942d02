package web

import (
	"context"
	"net/http"
	"time"
)

// answerTime is how long a large answer may take to be written.
const answerTime = 2 * time.Minute

// Patient returns the context of a request that may wait for longer than others:
// it ends when the client leaves, or a little after the given time. The
// connection's deadlines move with it.
func Patient(w http.ResponseWriter, r *http.Request, wait time.Duration) (context.Context, context.CancelFunc) {
	parent := r.Context()
	if x := exchangeOf(parent); x != nil {
		parent = x.patient
	}
	c := http.NewResponseController(w)
	until := time.Now().Add(wait + answerTime)
	// A writer that is no connection has no deadlines.
	_, _ = c.SetReadDeadline(until), c.SetWriteDeadline(until)
	return context.WithTimeout(parent, wait+DefaultTimeout)
}
