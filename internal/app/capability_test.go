package app

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
)

// journal is what happened, in its order.
type journal struct {
	mu   sync.Mutex
	list []string
}

func (j *journal) add(what string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.list = append(j.list, what)
}

func (j *journal) has(what string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Contains(j.list, what)
}

// newTelling is a capability with all that one can have.
func newTelling(b *base, j *journal, trouble func() string) capability {
	return capability{
		name: "telling",
		routes: []web.Routes{{"GET /telling": func(w http.ResponseWriter, _ *http.Request) error {
			return web.WriteJSON(w, http.StatusOK, map[string]string{"telling": "served"})
		}}},
		jobs: []job.Job{{Name: "telling", Every: time.Second, Lease: time.Minute, Run: func(context.Context) error { j.add("job"); return nil }}},
		loops: []func(context.Context){func(ctx context.Context) {
			j.add("loop")
			<-ctx.Done()
			j.add("loop ended")
		}},
		metrics:  []prometheus.Collector{gauge("gatehouse_telling", "A metric.", func() float64 { return 7 })},
		checks:   []check{warning("telling", func(context.Context) string { return trouble() })},
		warnings: []check{warning("telling_warning", func(context.Context) string { return "not so well" })},
		poll:     func(*db.Tx) error { j.add("poll"); return nil },
		begin: func(ctx context.Context) error {
			j.add("begin")
			return b.db.Check(ctx)
		},
		close: func() error {
			j.add("closed")
			return b.db.Check(context.Background()) // what opened earlier is still there
		},
	}
}

// startWith starts a server that has more capabilities than the usual.
func startWith(t *testing.T, more func(b *base) []opener) (*Server, error) {
	t.Helper()
	c, err := config.Load(config.Source{
		Environ: []string{
			"DATABASE_URL=sqlite:" + filepath.Join(t.TempDir(), "gatehouse.db"), "LISTEN_ADDR=127.0.0.1:0", "ADMIN_LISTEN_ADDR=127.0.0.1:0",
			"JWT_SECRET_KEY=q7Vx2mZp9LtRw4KcYb8NsHf3GdJ6TaEu", "EVENT_KEY=Hs4kPz8vWd2Qx7LmTn5RbYc9JgFa3EuK",
		},
		ReadFile: func(string) ([]byte, error) { return nil, fs.ErrNotExist },
	})
	if err != nil {
		t.Fatal(err)
	}
	return start(t.Context(), c, Options{Log: slog.New(slog.DiscardHandler), Version: "test"}, func(s *Server, ctx context.Context, b *base) []opener {
		return append(s.list(ctx, b), more(b)...)
	})
}

func get(t *testing.T, url string) (status int, text string) {
	t.Helper()
	res, err := http.Get(url) //nolint:gosec // a server of the test's
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var b strings.Builder
	if _, err := io.Copy(&b, res.Body); err != nil { // and not res.Write, whose chunks may end in the middle of a word
		t.Fatal(err)
	}
	return res.StatusCode, b.String()
}

// TestCapabilityIsWired: whatever a capability has is at work by a line in the list alone.
func TestCapabilityIsWired(t *testing.T) {
	j, trouble := &journal{}, make(chan string, 1)
	says := func() string {
		select {
		case why := <-trouble:
			return why
		default:
			return ""
		}
	}
	s, err := startWith(t, func(b *base) []opener {
		return []opener{func() (capability, error) { return newTelling(b, j, says), nil }}
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := sync.OnceValue(s.Stop)
	defer func() { _ = stop() }()
	if !j.has("begin") {
		t.Errorf("at the start it did not begin: %v", j.list)
	}
	if status, text := get(t, s.URL()+"/telling"); status != http.StatusOK || !strings.Contains(text, "served") {
		t.Errorf("its route answers %d %s", status, text)
	}
	if status, text := get(t, s.AdminURL()+"/metrics"); status != http.StatusOK || !strings.Contains(text, "gatehouse_telling 7") ||
		!strings.Contains(text, `gatehouse_job_failed{job="telling"}`) {
		t.Errorf("its metric, or its job's, is not in /metrics: %d", status)
	}
	if status, text := get(t, s.AdminURL()+"/readyz"); status != http.StatusOK || !strings.Contains(text, `"telling":"ok"`) ||
		!strings.Contains(text, `"telling_warning":"not so well"`) {
		t.Errorf("while it is well readyz answers %d %s", status, text)
	}
	trouble <- "unwell"
	if status, text := get(t, s.AdminURL()+"/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(text, `"telling":"unwell"`) {
		t.Errorf("while it is not well readyz answers %d %s", status, text)
	}
	for _, what := range []string{"job", "loop", "poll"} {
		for end := time.Now().Add(time.Minute); !j.has(what); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("its %s never ran: %v", what, j.list)
			}
		}
	}
	if j.has("loop ended") || j.has("closed") {
		t.Errorf("before the server stopped: %v", j.list)
	}
	if err := stop(); err != nil {
		t.Errorf("stopping: %v", err)
	}
	if last := j.list[len(j.list)-2:]; !slices.Equal(last, []string{"loop ended", "closed"}) {
		t.Errorf("stopping ended with %v, want its loop and then itself", last)
	}
}

// TestCapabilitiesCloseInReverse: at a stop, and when a start fails half-way, what opened
// closes, the last first, and nothing else.
func TestCapabilitiesCloseInReverse(t *testing.T) {
	broken := errors.New("it does not open")
	named := func(j *journal, name string, err error) opener {
		return func() (capability, error) {
			if err != nil {
				return capability{}, err
			}
			j.add("open " + name)
			return capability{name: name, close: func() error { j.add("close " + name); return nil }}, nil
		}
	}
	for name, test := range map[string]struct {
		second opener
		begins error
		third  bool
	}{
		"a stop":             {third: true},
		"one does not open":  {second: named(nil, "second", broken)},
		"one does not begin": {begins: broken, third: true},
		"a metric there twice": {second: func() (capability, error) {
			return capability{name: "second", metrics: []prometheus.Collector{gauge("gatehouse_blocks", "Another.", nil)}}, nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			j := &journal{}
			second := test.second
			if second == nil {
				second = func() (capability, error) {
					return capability{name: "second", begin: func(context.Context) error { return test.begins }}, nil
				}
			}
			s, err := startWith(t, func(*base) []opener {
				return []opener{named(j, "first", nil), second, named(j, "third", nil)}
			})
			want := []string{"open first", "close first"}
			if test.third {
				want = []string{"open first", "open third", "close third", "close first"}
			}
			switch {
			case name == "a stop" && err == nil:
				err = s.Stop()
			case err == nil:
				_ = s.Stop()
				t.Fatal("it started")
			case errors.Is(err, broken), strings.Contains(err.Error(), "the metrics of second"):
				err = nil
			}
			if err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(want, j.list); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestCapabilitiesCloseInThisOrder: the hashers, which may still be at work for a request
// that was cut off, first; the database last.
func TestCapabilitiesCloseInThisOrder(t *testing.T) {
	s, err := startWith(t, func(*base) []opener { return nil })
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range slices.Backward(s.capabilities) {
		if c.close != nil {
			got = append(got, c.name)
		}
	}
	want := []string{"password hashing", "alerts", "redis", "admin listener", "event log", "providers", "breached passwords", "database"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

// TestEveryOperationHasARoute: what openapi.yaml describes some capability serves, and
// whatever is served under /v1 it describes. What else is served the guides leave to us.
func TestEveryOperationHasARoute(t *testing.T) {
	s, err := startWith(t, func(*base) []opener { return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Stop() }()
	served := map[string]bool{}
	for _, c := range s.capabilities {
		for _, r := range c.routes {
			for pattern := range r {
				served[pattern] = true
			}
		}
	}
	res, err := http.Get(s.URL() + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var doc struct{ Paths map[string]map[string]any }
	if err := json.NewDecoder(res.Body).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	described := map[string]bool{}
	for path, operations := range doc.Paths {
		for method := range operations {
			pattern := strings.ToUpper(method) + " " + path
			described[pattern] = true
			if method != "parameters" && !served[pattern] {
				t.Errorf("%s is described and no capability serves it", pattern)
			}
		}
	}
	own := OwnPaths()
	for pattern := range served {
		if strings.Contains(pattern, " /v1/") && !described[pattern] {
			t.Errorf("%s is served and not described in openapi.yaml", pattern)
		}
		if _, path, _ := strings.Cut(pattern, " "); !applications(path) && !slices.ContainsFunc(own, func(o string) bool {
			return path == o || strings.HasSuffix(o, "/") && strings.HasPrefix(path, o)
		}) {
			t.Errorf("%s is served and not among the paths that the guides leave to Gatehouse: see publicRoutes", pattern)
		}
	}
}
