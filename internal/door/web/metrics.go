package web

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// noRoute is the route label of requests that no route took.
const noRoute = "none"

// methods has the values of the method label; any other method is the last.
var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "other"}

// Metrics counts what the listeners do. One may serve several Stacks. All its
// labels are bounded: no client can make a new series by what it sends.
type Metrics struct {
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	inFlight  prometheus.Gauge
	panics    prometheus.Counter
	unread    prometheus.Counter
	unmatched *routeMetrics
}

// NewMetrics returns Metrics that are registered with reg. It panics if reg has
// them already.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatehouse_http_requests_total",
			Help: "Requests answered. Status 499 is a client that left before the response.",
		}, []string{"route", "method", "status"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "gatehouse_http_request_duration_seconds",
			Help:    "Time from a request's header to the end of its handler, in seconds.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"route", "outcome"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gatehouse_http_requests_in_flight",
			Help: "Requests being handled at this moment.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gatehouse_http_panics_total",
			Help: "Handlers that panicked; each is a bug in Gatehouse, and its stack is in the log.",
		}),
	}
	m.unread = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "gatehouse_http_unread_total",
		Help: "HTTP/1 requests that could not be read: headers of more than 36 KiB (431), malformed ones (400), or connections that broke off.",
	})
	reg.MustRegister(m.requests, m.durations, m.inFlight, m.panics, m.unread)
	m.unmatched = m.route(noRoute)
	return m
}

// outcomeOf classifies a status, for labels where one per status would be too many.
func outcomeOf(status int) string {
	switch {
	case status < http.StatusBadRequest:
		return "ok"
	case status == statusGone:
		return "gone"
	case status < http.StatusInternalServerError:
		return "refused"
	case status == http.StatusServiceUnavailable:
		return "unavailable"
	default:
		return "failed"
	}
}

// routeMetrics is one route's part of the metrics. Its series are found once
// and kept: looking them up by their labels costs more than counting.
type routeMetrics struct {
	duration prometheus.ObserverVec // the route's label is set, as in requests
	requests *prometheus.CounterVec
	mu       sync.Mutex // held to replace found
	found    atomic.Pointer[map[int]series]
}

// series is what counts the requests of a route that have a method and a status.
type series struct {
	duration prometheus.Observer
	requests prometheus.Counter
}

func (m *Metrics) route(name string) *routeMetrics {
	label := prometheus.Labels{"route": name}
	rm := &routeMetrics{duration: m.durations.MustCurryWith(label), requests: m.requests.MustCurryWith(label)}
	rm.found.Store(&map[int]series{})
	return rm
}

func (rm *routeMetrics) observe(method string, status int, taken time.Duration) {
	m := slices.Index(methods, method)
	if m < 0 {
		m = len(methods) - 1
	}
	key := m*1000 + status
	s, ok := (*rm.found.Load())[key]
	if !ok {
		s = rm.find(key, methods[m], status)
	}
	s.duration.Observe(taken.Seconds())
	s.requests.Inc()
}

func (rm *routeMetrics) find(key int, method string, status int) series {
	rm.mu.Lock()
	defer rm.mu.Unlock()
	s := series{rm.duration.WithLabelValues(outcomeOf(status)), rm.requests.WithLabelValues(method, strconv.Itoa(status))}
	more := maps.Clone(*rm.found.Load())
	more[key] = s
	rm.found.Store(&more)
	return s
}
