package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/bench"
)

// benchmark runs the command with nobody at the terminal.
func benchmark(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	in, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var o, e bytes.Buffer
	code = run(append([]string{"bench"}, args...), in, &o, &e)
	return code, o.String(), e.String()
}

func TestBenchDoesNotAimAtOtherMachinesUnasked(t *testing.T) {
	for _, target := range []string{
		"https://login.example.net", "http://192.0.2.1:8000", "http://0.0.0.0:8000", "http://127.0.0.1.example.net", "http://localhost.example.net",
	} {
		code, _, errs := benchmark(t, "me", "--url", target)
		if code != terminal.ExitUsage || !strings.Contains(errs, "--yes") {
			t.Errorf("%s: exit %d, %s", target, code, errs)
		}
	}
	for _, wrong := range [][]string{
		{"me", "--url", "127.0.0.1:8000"}, {"me", "--url", "http://127.0.0.1:8000/v1"}, {"me", "--clients", "0"}, {"me", "--rate", "-1"},
		{"me", "--duration", "0s"}, {"nothing"},
	} {
		if code, _, errs := benchmark(t, wrong...); code != terminal.ExitUsage {
			t.Errorf("%v: exit %d, %s", wrong, code, errs)
		}
	}
}

func TestBenchMeasuresAServer(t *testing.T) {
	c, err := config.Load(config.Source{
		Environ: []string{
			"DATABASE_URL=sqlite:" + filepath.Join(t.TempDir(), "x.db"), "LISTEN_ADDR=127.0.0.1:0", "ADMIN_LISTEN_ADDR=127.0.0.1:0",
			"EVENT_KEY=Hs4kPz8vWd2Qx7LmTn5RbYc9JgFa3EuK", "JWT_SECRET_KEY=q7Vx2mZp9LtRw4KcYb8NsHf3GdJ6TaEu", "BCRYPT_COST=4",
			"API_RATE_LIMIT_REQUESTS=1000000", "LOGIN_RATE_LIMIT_ATTEMPTS=1000000", "REGISTRATION_RATE_LIMIT_ATTEMPTS=1000000",
		},
		ReadFile: func(string) ([]byte, error) { return nil, fs.ErrNotExist },
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := app.Start(context.Background(), c, app.Options{Log: slog.New(slog.DiscardHandler), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	short := []string{"--url", s.URL(), "--clients", "3", "--accounts", "2", "--warmup", "50ms", "--duration", "1s"}
	for scenario, streams := range map[string]int{"refresh": 1, "me": 1, "login": 1, "mix": 3} {
		code, out, errs := benchmark(t, append([]string{scenario, "--json"}, short...)...)
		var report bench.Report
		if err := json.Unmarshal([]byte(out), &report); err != nil || code != terminal.ExitDone || len(report.Streams) != streams {
			t.Fatalf("%s: exit %d, %v\n%s%s", scenario, code, err, out, errs)
		}
		for _, stream := range report.Streams {
			if stream.PerSecond == 0 || stream.Latency.P99 <= 0 {
				t.Errorf("%s: %+v", scenario, stream)
			}
		}
	}
	code, out, _ := benchmark(t, append([]string{"me", "--rate", "50"}, short...)...)
	if code != terminal.ExitDone || !strings.Contains(out, "open, 50/s") || !strings.Contains(out, "200:") {
		t.Errorf("exit %d\n%s", code, out)
	}
}
