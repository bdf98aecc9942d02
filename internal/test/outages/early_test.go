package outages_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/acme/acmetest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// N4: a start that waits for another's migration says so, is alive and not ready, and serves when that is over.
func TestCaseN4_AStartThatWaitsSaysSo(t *testing.T) {
	dbURL := dbtest.EmptySQLite(t)
	unlock, err := lockedfile.MutexAt(strings.TrimPrefix(dbURL, "sqlite:") + "-migrate").Lock()
	if err != nil {
		t.Fatal(err)
	}
	admin := fmt.Sprint("127.0.0.1:", acmetest.Port(t))
	log := &harness.LogBuffer{}
	started := make(chan *app.Server, 1)
	go func() {
		s, err := app.Start(t.Context(), harness.ProductionSettings(t, "DATABASE_URL="+dbURL, "ADMIN_LISTEN_ADDR="+admin),
			app.Options{Log: slog.New(slog.NewTextHandler(log, nil)), Version: "test"})
		if err != nil {
			t.Error(err)
		}
		started <- s
	}()
	ask := func(path string) (int, string) {
		res, err := http.Get("http://" + admin + path)
		if err != nil {
			return 0, err.Error()
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(b)
	}
	wait := func(what string, holds func() bool) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %s", what, log.String())
			}
		}
	}
	wait("the log", func() bool { return strings.Contains(log.String(), "is being migrated") })
	if status, text := ask("/healthz"); status != 200 {
		t.Errorf("healthz meanwhile: %d %s", status, text)
	}
	if status, text := ask("/readyz"); status != 503 || !strings.Contains(text, `"server":"starting"`) {
		t.Errorf("readyz meanwhile: %d %s", status, text)
	}
	if status, text := ask("/metrics"); status != 404 {
		t.Errorf("metrics meanwhile: %d %s", status, text)
	}
	unlock()
	s := <-started
	if s == nil {
		return
	}
	if status, text := ask("/readyz"); status != 200 {
		t.Errorf("afterwards: %d %s", status, text)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}
