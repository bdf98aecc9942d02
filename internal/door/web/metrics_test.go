package web

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// metric returns the sum of the counters, gauges and histogram counts of a
// name whose labels are all as given.
func (h *house) metric(t *testing.T, name string, labels map[string]string) float64 {
	t.Helper()
	families, err := h.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
	series:
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if v, ok := labels[l.GetName()]; ok && v != l.GetValue() {
					continue series
				}
			}
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

func TestMetricsAreBounded(t *testing.T) {
	h := newHouse(t, nil)
	h.handle("GET /v1/sessions/{id}", ok)
	h.handle("POST /v1/login", ok)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			h.do(t, "GET", fmt.Sprintf("/v1/sessions/%d?q=%d", i, i), "")
			h.do(t, "POST", "/v1/login", "")
			h.do(t, "GET", fmt.Sprintf("/wp-%d.php", i), "")
			h.do(t, fmt.Sprintf("M%d", i), "/v1/login", "")
		})
	}
	wg.Wait()
	h.log.line(t, 159)
	type series struct{ route, method, status string }
	want := map[series]float64{
		{"GET /v1/sessions/{id}", "GET", "200"}: 40,
		{"POST /v1/login", "POST", "200"}:       40,
		{"none", "GET", "404"}:                  40,
		{"none", "other", "405"}:                40,
	}
	got := map[series]float64{}
	families, err := h.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "gatehouse_http_requests_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			label := map[string]string{}
			for _, l := range m.GetLabel() {
				label[l.GetName()] = l.GetValue()
			}
			got[series{label["route"], label["method"], label["status"]}] = m.GetCounter().GetValue()
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
	for route, n := range map[string]float64{"GET /v1/sessions/{id}": 40, "POST /v1/login": 40, "none": 80} {
		outcome := "ok"
		if route == noRoute {
			outcome = "refused"
		}
		if got := h.metric(t, "gatehouse_http_request_duration_seconds", map[string]string{"route": route, "outcome": outcome}); got != n {
			t.Errorf("%v durations of %s, want %v", got, route, n)
		}
	}
}
