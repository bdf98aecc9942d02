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
	"github.com/gatehouse-auth/gatehouse/internal/bench/capacity"
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
		for _, args := range [][]string{
			{"me", "--url", target}, {"people", "--url", target}, {"people", "--against", target}, {"people", "--dry-run", "--url", target},
		} {
			code, _, errs := benchmark(t, args...)
			if code != terminal.ExitUsage || !strings.Contains(errs, "--yes-i-run-this-server") {
				t.Errorf("%v: exit %d, %s", args, code, errs)
			}
		}
	}
	for _, wrong := range [][]string{
		{"me", "--url", "127.0.0.1:8000"}, {"me", "--url", "http://127.0.0.1:8000/v1"}, {"me", "--clients", "0"}, {"me", "--rate", "-1"},
		{"me", "--duration", "0s"}, {"nothing"}, {"me", "--duration", "2h"}, {"me", "--clients", "100000"}, {"me", "--rate", "NaN"},
		{"people", "--rate", "NaN"}, {"people", "--rate", "1000000"}, {"people", "--duration", "2h"}, {"people", "--connections", "100000"},
		{"people", "--new", "0.6", "--returning", "0.6"}, {"people", "--checks", "NaN"},
		{"people", "--prefix", "Ada Lovelace <"},
		{"people", "--most-errors", "2"},
		{"people", "--people", "no such file"}, {"people", "--url", "http://a:b@127.0.0.1"}, {"people", "--against", "http://127.0.0.1/v1"},
	} {
		if code, _, errs := benchmark(t, wrong...); code != terminal.ExitUsage {
			t.Errorf("%v: exit %d, %s", wrong, code, errs)
		}
	}
}

// Nobody is at the address, and a dry run does not notice.
func TestBenchSaysWhatItWouldDo(t *testing.T) {
	code, out, errs := benchmark(t, "people", "--url", "http://127.0.0.1:1", "--dry-run", "--rate", "3", "--accounts", "4")
	if code != terminal.ExitDone || out != "" || !strings.Contains(errs, "3 people a second arrive for 40s") ||
		!strings.Contains(errs, "4 accounts are registered") {
		t.Errorf("exit %d\n%s\n%s", code, out, errs)
	}
}

// What nobody has said is assumed, and named; more people need no less; what can't be is refused.
func TestBenchPlans(t *testing.T) {
	code, out, errs := benchmark(t, "plan", "--people", "1000000", "--forward-auth", "500")
	if code != terminal.ExitDone || !strings.Contains(out, "20000 sign-ins") || !strings.Contains(out, "connections to PostgreSQL") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	var small, large capacity.Plan
	for people, plan := range map[string]*capacity.Plan{"10000": &small, "10000000": &large} {
		code, out, errs := benchmark(t, "plan", "--people", people, "--hash-ms", "250", "--json")
		if err := json.Unmarshal([]byte(out), plan); err != nil || code != terminal.ExitDone {
			t.Fatalf("exit %d, %v\n%s%s", code, err, out, errs)
		}
	}
	if small.Replicas != 2 || large.Replicas <= small.Replicas || large.DiskBytes < 100*small.DiskBytes || large.Need.SignIns != 200_000 {
		t.Errorf("%+v\n%+v", small, large)
	}
	for _, wrong := range [][]string{
		{}, {"--people", "-5"}, {"--people", "NaN"}, {"--people", "1", "--utilisation", "2"}, {"--people", "1", "--costs", "no such file"},
		{"--people", "1", "--hash-ms", "-1"}, {"--people", "1", "--sign-ins", "-2"},
	} {
		if code, _, errs := benchmark(t, append([]string{"plan"}, wrong...)...); code != terminal.ExitUsage {
			t.Errorf("%v: exit %d, %s", wrong, code, errs)
		}
	}
}

func TestBenchTakesPeopleFromAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "people.csv")
	for text, good := range map[string]bool{
		"ada@example.org,correct horse\n\"b@example.org\",\"with, comma\"\n": true,
		"": false, "ada@example.org\n": false, "ada@example.org,\n": false, "ada@example.org,secret word,more\n": false,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		code, _, errs := benchmark(t, "people", "--dry-run", "--people", path)
		if good != (code == terminal.ExitDone) || good != strings.Contains(errs, "2 people of") || strings.Contains(errs, "secret word") {
			t.Errorf("%q: exit %d, %s", text, code, errs)
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
	benchPeople(t, s.URL())
	code, out, _ := benchmark(t, append([]string{"me", "--rate", "50"}, short...)...)
	if code != terminal.ExitDone || !strings.Contains(out, "open, 50/s") || !strings.Contains(out, "200:") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

// benchPeople has people visit a real server, and come back, and reads the report.
func benchPeople(t *testing.T, address string) {
	t.Helper()
	report := filepath.Join(t.TempDir(), "report.html")
	code, out, errs := benchmark(t, "people", "--url", address, "--against", address, "--rate", "40", "--think", "10ms", "--warmup", "200ms", "--duration", "2s",
		"--turns", "1", "--accounts", "5", "--new", "0.1", "--prefix", "visit", "--json", "--html", report)
	var visits bench.Visits
	if err := json.Unmarshal([]byte(out), &visits); err != nil || code != terminal.ExitDone || len(visits.Sides) != 2 {
		t.Fatalf("exit %d, %v\n%s%s", code, err, out, errs)
	}
	for _, side := range visits.Sides {
		spell := side.Spells[0]
		if done, ok := spell.Act(bench.ActSignIn); !ok || done.PerSecond == 0 || spell.Visits.Broken > 0 {
			t.Errorf("%+v, %+v", done, spell.Visits)
		}
		for _, done := range spell.Acts { // the others too, unless the machine stood still all the time
			if done.Bad() > 0 {
				t.Errorf("%+v", done)
			}
		}
	}
	page, err := os.ReadFile(report)
	if err != nil || !strings.Contains(string(page), "</html>") || !strings.Contains(string(page), address) {
		t.Errorf("the report: %v\n%s", err, page)
	}
}
