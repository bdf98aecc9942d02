package web

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/base/trace"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

// DefaultTimeout is how long a request may take if the Stack says nothing: far
// more than any flow needs, and less than proxies and clients wait.
const DefaultTimeout = 10 * time.Second

// A Handler serves one route. It either writes its answer and returns nil, or
// writes nothing and returns an error, which becomes a problem document. One
// that answers an error in its own way (a page) writes its answer and returns
// the error as well, so that it is logged.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Stack is what stands around every handler of a listener. All fields down
// to Now must be set, and none may change once Handle was called.
type Stack struct {
	Log     *slog.Logger
	Metrics *Metrics
	Random  secret.Random
	Now     func() time.Time
	// Timeout is the life of a request's context; DefaultTimeout if zero. A
	// handler that gives up because of it is answered 503 timed_out.
	Timeout time.Duration
	// Proxies are the peers that are trusted to say who is calling; nil for none.
	Proxies *Proxies
	// Quiet logs the requests that go well at DEBUG, where probes make them.
	Quiet bool
	// Failed is called for each request that failed for a reason of ours; it may be nil.
	Failed func(err error, from event.Origin)
	// Rejected is called for each request to a route that was refused for what the caller
	// is or sent, by its status and code; it may be nil.
	Rejected func(status int, code string, from event.Origin)
	// Traces begins a trace for each request; nil for none.
	Traces *trace.Tracer
	// Blocked reports whether requests from an address are refused, before anything
	// else is done; it may be nil.
	Blocked func(from event.Origin) bool
	// Edge is for the public listener alone, and so is Limit.
	Edge  *Edge
	Limit Limit
	// Console has the routes of the host that the console has to itself, where it has one: nothing else is there. Nil for none.
	Console *http.ServeMux
	// Refused answers every error of a browser that asks for a page, unless the handler
	// has answered it; nil leaves it the problem document.
	Refused func(w http.ResponseWriter, r *http.Request, p Problem) error

	plainLogged atomic.Int64 // when a proxy that says "http" was last logged, in seconds since 1970
}

// route is a Handler at its place in the mux.
type route struct {
	pattern string
	handler Handler
	metrics *routeMetrics
}

// ServeHTTP is called by the mux that Wrap was given.
func (rt *route) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.(*exchange).err = rt.handler(w, r)
}

// Handle registers a handler for a pattern such as "POST /v1/login", whose text
// is also the route's name in the log and in the metrics. It panics, as
// mux.Handle does, if the pattern is wrong, and also if it names no method: a
// route that served any method would serve TRACE (ASVS 4.1.4).
func (s *Stack) Handle(mux *http.ServeMux, pattern string, h Handler) {
	if method, _, ok := strings.Cut(pattern, " "); !ok || strings.Contains(method, "/") {
		panic("web: pattern " + pattern + " names no method")
	}
	mux.Handle(pattern, &route{pattern: pattern, handler: h, metrics: s.Metrics.route(pattern)})
}

// Wrap returns the handler to give to a server. Every route of the mux must
// have been registered with Handle: others are not found.
func (s *Stack) Wrap(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(mux, w, r) })
}

func (s *Stack) serve(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) {
	x := &exchange{ResponseWriter: w, started: s.Now(), caller: s.Proxies.caller(r)}
	x.id = s.Random.ID(x.started)
	setBaseline(w.Header())
	s.Edge.setTransportSecurity(x)
	w.Header()["X-Request-Id"] = []string{x.id}

	if r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 {
		// It may have had a length as well, which net/http hides from us: nothing that
		// follows it counts (RFC 9112 section 6.1).
		w.Header()["Connection"] = []string{"close"}
	}

	if s.Blocked != nil && s.Blocked(event.Origin{RequestID: x.id, Address: x.caller.address}) {
		s.refuseBlocked(x, r)
		return
	}
	timeout := s.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	x.patient = context.WithValue(s.trace(x, r), exchangeKey{}, x)
	ctx, cancel := context.WithTimeout(x.patient, timeout)
	defer cancel()
	r = r.WithContext(ctx)

	s.Metrics.inFlight.Inc()
	defer s.finish(x, r)
	done := s.Edge.enter(x, r)
	s.warnPlain(x)
	if done {
		return
	}
	if s.Console != nil && s.Edge.toConsole(r) {
		mux = s.Console
	}
	if x.err == nil {
		s.dispatch(mux, x, r)
	}
	if x.err == nil || x.status != 0 {
		return
	}
	if x.gone = clientGone(r, x.err); !x.gone {
		drain(r)
		s.refuse(x, r, x.err)
	}
}

// warnPlain logs once a minute that a trusted proxy says "http" of what was to come over TLS: where
// another proxy before it ends TLS, people are redirected to the address that they came from, forever.
func (s *Stack) warnPlain(x *exchange) {
	if !x.caller.plain || x.status != http.StatusPermanentRedirect && !errors.Is(x.err, errPlain) {
		return
	}
	now, last := x.started.Unix(), s.plainLogged.Load()
	if now-last < 60 && now >= last || !s.plainLogged.CompareAndSwap(last, now) {
		return
	}
	s.Log.Warn("A trusted proxy says that a request came over plain HTTP: pages were redirected to https, everything else was refused. "+
		"If people do use https, they go round in circles: have the proxy say X-Forwarded-Proto: https, as the one that ends TLS does.",
		"proxy", x.caller.peer.String(), "setting", "TRUSTED_PROXIES")
}

// mostDrained is what nginx accepts of a body by default.
const mostDrained = 1 << 20

// drain reads what is left of a refused request's body where the connection ends
// with the answer, as for HTTP/1.0, which nginx speaks by default. net/http
// would close it at once, and a client that still sends the body would see a reset
// instead of the answer: nginx makes 502 of that.
func drain(r *http.Request) {
	if r.Close && r.Body != nil && r.Header.Get("Expect") == "" {
		_, _ = io.CopyN(io.Discard, r.Body, mostDrained)
	}
}

var errBlocked = fault.New(fault.Denied, "address_blocked",
	"Requests from this network are blocked. If that is a mistake, tell the operator of this service the request id.")

// refuseBlocked answers a request from a blocked network. A connection of its own
// closes: what else comes on it would be refused as well.
func (s *Stack) refuseBlocked(x *exchange, r *http.Request) {
	r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
	s.Metrics.inFlight.Inc()
	defer s.finish(x, r)
	x.err = errBlocked
	if !x.caller.proxied {
		x.Header()["Connection"] = []string{"close"}
	}
	s.refuse(x, r, x.err)
}

// dispatch counts the request and runs its route, or sets the error that says why it has
// none. The mux would answer text there, and would redirect a path that is not
// clean: a client that follows turns its POST into a GET, and a path with two
// spellings is a rule that can be walked round (ASVS 1.5.3).
func (s *Stack) dispatch(mux *http.ServeMux, x *exchange, r *http.Request) {
	h, _ := mux.Handler(r)
	plain := plainPath(r.URL)
	rt, ok := h.(*route)
	if plain && ok {
		x.route = rt
	}
	switch {
	case !s.limit(x, r):
	case !plain:
		x.err = errNotFound
	case ok:
		mux.ServeHTTP(x, r)
	default:
		// Only the mux knows the methods of a path, and reports them only by
		// writing its answer.
		answer := discarded{}
		h.ServeHTTP(answer, r)
		if allow := http.Header(answer).Get("Allow"); allow != "" {
			x.Header().Set("Allow", allow)
			x.err = errMethodNotAllowed
		} else {
			x.err = errNotFound
		}
	}
}

var (
	errNotFound = fault.New(fault.NotFound, "not_found",
		"There is nothing at this path. Paths are matched exactly: check for extra slashes and capital letters.")
	errMethodNotAllowed = fault.New(fault.Invalid, "method_not_allowed",
		"This path does not support this method. The Allow header lists the methods that it supports.")
)

// plainPath reports whether a path is text that can be stored and that a proxy
// reads as we do: valid UTF-8 without control characters, and no slash,
// backslash or dot segment hidden behind an escape.
func plainPath(u *url.URL) bool {
	p := u.Path
	if !utf8.ValidString(p) {
		return false
	}
	for i := range len(p) {
		if p[i] < ' ' || p[i] == 0x7f || p[i] == '\\' {
			return false
		}
	}
	if u.RawPath == "" { // nothing is escaped that need not be
		return true
	}
	return strings.Count(p, "/") == strings.Count(u.RawPath, "/") && strings.TrimSuffix(p, "/") == path.Clean(p)
}

// discarded is a response that is not sent; its headers can be inspected.
type discarded http.Header

func (d discarded) Header() http.Header         { return http.Header(d) }
func (d discarded) Write(p []byte) (int, error) { return len(p), nil }
func (d discarded) WriteHeader(int)             {}
