package trace_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/trace"
)

// steps is what tracing adds to a request:  a flow, and two looks at the
// database.
func steps(ctx context.Context) {
	ctx, flow := trace.Begin(ctx, "flow")
	for range 2 {
		_, step := trace.Begin(ctx, "db.read")
		step.Set("db.system.name", "sqlite")
		step.End(nil)
	}
	flow.End(nil)
}

// Where no trace was begun there is nothing to pay for.
func TestOffCostsNothing(t *testing.T) {
	var off *trace.Tracer
	ctx, root := off.Serve(t.Context(), "x")
	root.Rename("y")
	root.SetInt("n", 1)
	root.Failed("z")
	root.End(errors.New("no"))
	if trace.ID(ctx) != "" || ctx != t.Context() {
		t.Error("there is a trace")
	}
	if n := testing.AllocsPerRun(100, func() { steps(ctx) }); n != 0 {
		t.Errorf("a request without a trace allocates %v times", n)
	}
}

func BenchmarkStep(b *testing.B) {
	b.Run("off", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			steps(b.Context())
		}
	})
	b.Run("on", func(b *testing.B) {
		b.ReportAllocs()
		t := open(b, trace.Config{Send: func(context.Context, []byte) error { return nil }})
		for b.Loop() {
			ctx, root := t.Serve(b.Context(), "x")
			steps(ctx)
			root.End(nil)
		}
	})
}

func open(t testing.TB, c trace.Config) *trace.Tracer {
	t.Helper()
	c.Service, c.Version = "gatehouse", "test"
	if c.Trouble == nil {
		c.Trouble = func(err error) { t.Errorf("trouble: %v", err) }
	}
	out, err := trace.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close(context.Background()) })
	return out
}

// An error is reported by its code, and never by its text.
func TestEndTellsCodesAlone(t *testing.T) {
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
	sent := make(chan []byte, 100)
	tracer := open(t, trace.Config{Sampler: "always_on", Send: func(_ context.Context, b []byte) error { sent <- b; return nil }})
	away := fault.New(fault.Unavailable, "database_unavailable", "canary")
	for name, err := range map[string]error{
		"none": nil, "refused": fault.New(fault.Denied, "denied", "canary").Because(errors.New("canary")), "away": away, "text": errors.New("canary"),
		"gone": context.Canceled,
	} {
		_, step := tracer.Work(t.Context(), name)
		step.End(err)
	}
	want := map[string]string{"none": "", "refused": "", "away": "database_unavailable", "text": "failed", "gone": ""}
	var list []*spans.Span
	for len(list) < len(want) {
		var got spans.TracesData
		b := <-sent
		if err := proto.Unmarshal(b, &got); err != nil || strings.Contains(string(b), "canary") {
			t.Fatalf("sent %q, %v", b, err)
		}
		list = append(list, got.ResourceSpans[0].ScopeSpans[0].Spans...)
	}
	for _, s := range list {
		if failed := s.Status.GetMessage(); failed != want[s.Name] || (failed != "") != (s.Status.GetCode() == spans.Status_STATUS_CODE_ERROR) {
			t.Errorf("%s failed by %q, want %q", s.Name, failed, want[s.Name])
		}
	}
}

// A collector's outage is logged once, and so is its end.
func TestTroubleIsToldOnce(t *testing.T) {
	var (
		mu       sync.Mutex
		reported []string
		away     = true
	)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
	sent := make(chan bool, 1000)
	tracer := open(t, trace.Config{
		Send: func(context.Context, []byte) error {
			mu.Lock()
			defer mu.Unlock()
			sent <- true
			if away {
				return errors.New("away")
			}
			return nil
		},
		Trouble: func(err error) {
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				reported = append(reported, "back")
			} else {
				reported = append(reported, err.Error())
			}
		},
	})
	for i := range 10 {
		if i == 5 {
			mu.Lock()
			away = false
			mu.Unlock()
		}
		_, step := tracer.Work(t.Context(), "x")
		step.End(nil)
		<-sent
	}
	tracer.Close(t.Context())
	mu.Lock()
	defer mu.Unlock()
	if strings.Join(reported, ", ") != "away, back" {
		t.Errorf("reported %q", reported)
	}
}

func TestSamplers(t *testing.T) {
	parent := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-"
	for name, want := range map[string][3]bool{ // alone, beneath a parent that is taken, beneath one that is not
		"always_on": {true, true, true}, "always_off": {}, "traceidratio": {}, "parentbased_always_on": {true, true, false},
		"parentbased_always_off": {false, true, false}, "parentbased_traceidratio": {false, true, false},
	} {
		tracer := open(t, trace.Config{Sampler: name, Send: func(context.Context, []byte) error { return nil }})
		for i, ctx := range []context.Context{t.Context(), trace.Continue(t.Context(), parent+"01"), trace.Continue(t.Context(), parent+"00")} {
			ctx, root := tracer.Serve(ctx, "x")
			beneath, _ := trace.Begin(ctx, "y")
			if got := beneath != ctx; got != want[i] {
				t.Errorf("%s, %d: taken is %t", name, i, got)
			}
			if trace.ID(ctx) == "" {
				t.Errorf("%s, %d: no id for the log", name, i)
			}
			root.End(nil)
		}
	}
}

// FuzzContinue: whatever stands in the header, there is a trace, with an id that is one.
func FuzzContinue(f *testing.F) {
	f.Add("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	f.Add("00-00000000000000000000000000000000-b7ad6b7169203331-01")
	f.Add("")
	f.Add("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x")
	tracer := open(f, trace.Config{Sampler: "always_off", Send: func(context.Context, []byte) error { return nil }})
	f.Fuzz(func(t *testing.T, header string) {
		ctx, root := tracer.Serve(trace.Continue(t.Context(), header), "x")
		defer root.End(nil)
		id := trace.ID(ctx)
		if len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" || strings.Trim(id, "0") == "" {
			t.Errorf("%q begins the trace %q", header, id)
		}
	})
}
