package web

import (
	"maps"
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
	unmatched *routeMetrics
}

// NewMetrics returns Metrics that are registered with reg. It panics if reg has
// them already.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatehouse_http_requests_total",
			Help: "Requests answered, by route, method and status; status 499 is a client that left before its answer.",
		}, []string{"route", "method", "status"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "gatehouse_http_request_duration_seconds",
			Help:    "Time from the request's header to the end of its handler, by route.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gatehouse_http_requests_in_flight",
			Help: "Requests being handled.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gatehouse_http_panics_total",
			Help: "Handlers that panicked; each is a mistake in Gatehouse, and its stack is in the log.",
		}),
	}
	reg.MustRegister(m.requests, m.durations, m.inFlight, m.panics)
	m.unmatched = m.route(noRoute)
	return m
}

// routeMetrics is one route's part of the metrics. Its counters are found once
// and kept: looking them up by their labels costs more than counting.
type routeMetrics struct {
	duration prometheus.Observer
	requests *prometheus.CounterVec // the route's label is set
	mu       sync.Mutex             // held to replace found
	found    atomic.Pointer[map[int]prometheus.Counter]
}

func (m *Metrics) route(name string) *routeMetrics {
	rm := &routeMetrics{
		duration: m.durations.WithLabelValues(name),
		requests: m.requests.MustCurryWith(prometheus.Labels{"route": name}),
	}
	rm.found.Store(&map[int]prometheus.Counter{})
	return rm
}

func (rm *routeMetrics) observe(method string, status int, taken time.Duration) {
	rm.duration.Observe(taken.Seconds())
	m := slices.Index(methods, method)
	if m < 0 {
		m = len(methods) - 1
	}
	key := m*1000 + status
	counter, ok := (*rm.found.Load())[key]
	if !ok {
		counter = rm.find(key, methods[m], status)
	}
	counter.Inc()
}

func (rm *routeMetrics) find(key int, method string, status int) prometheus.Counter {
	rm.mu.Lock()
	defer rm.mu.Unlock()
	counter := rm.requests.WithLabelValues(method, strconv.Itoa(status))
	more := maps.Clone(*rm.found.Load())
	more[key] = counter
	rm.found.Store(&more)
	return counter
}
