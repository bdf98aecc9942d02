package web

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// unread sees the requests that never become one: net/http answers 431 to a header that is
// too large and 400 to one that it can't read, before any handler, and keeps no record.
type unread struct {
	metrics *Metrics
	log     *slog.Logger
	now     func() time.Time
	conns   sync.Map // of net.Conn: *readState

	mu     sync.Mutex
	logged time.Time
	since  int
}

// readState is how far a connection is: whether bytes of a request came, and whether they became one.
type readState struct{ begun, handled atomic.Bool }

type readKey struct{}

// logUnread is how often the log says that there were some: anybody can cause them.
const logUnread = time.Minute

// CountUnread has a server count the requests that it refuses before they are one, or that
// break off, and say so in the log once a minute at most. Over HTTP/2 each is a request of the Stack.
// A short one on a connection that has served before is not counted: net/http reads it before it says that
// the connection is active, and says so only of a good one.
func CountUnread(s *http.Server, m *Metrics, log *slog.Logger, now func() time.Time) {
	u := &unread{metrics: m, log: log, now: now}
	next := s.Handler
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(readKey{}).(*readState); ok {
			c.handled.Store(true)
		}
		next.ServeHTTP(w, r)
	})
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		state := &readState{}
		u.conns.Store(c, state)
		return context.WithValue(ctx, readKey{}, state)
	}
	s.ConnState = u.moved
}

// moved follows a connection.
func (u *unread) moved(c net.Conn, to http.ConnState) {
	v, ok := u.conns.Load(c)
	if !ok {
		return
	}
	state, _ := v.(*readState)
	switch to {
	case http.StateActive: // the bytes of a request have come, whatever they are
		state.begun.Store(true)
	case http.StateIdle: // it was answered
		state.begun.Store(false)
		state.handled.Store(false)
	case http.StateHijacked, http.StateClosed:
		u.conns.Delete(c)
		if state.begun.Load() && !state.handled.Load() && !isHTTP2(c) {
			u.count(c.RemoteAddr())
		}
	}
}

func isHTTP2(c net.Conn) bool {
	t, ok := c.(*tls.Conn)
	return ok && t.ConnectionState().NegotiatedProtocol == "h2"
}

func (u *unread) count(from net.Addr) {
	u.metrics.unread.Inc()
	u.mu.Lock()
	u.since++
	n, due := u.since, u.now().Sub(u.logged) >= logUnread
	if due {
		u.logged, u.since = u.now(), 0
	}
	u.mu.Unlock()
	if due {
		u.log.Info("Requests were refused before they could be read: headers of more than 36 KiB (431), malformed ones (400), or connections that broke off.",
			"count", n, "peer", from.String())
	}
}
