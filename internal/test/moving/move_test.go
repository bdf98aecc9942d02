package moving

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

const ada = "ada@example.org"

// moving returns a move of the server's database. It waits only as long as a process may not know of the fence.
func moving(h *harness.Server, to string) *backup.Move {
	h.Helper()
	return &backup.Move{
		Source: dbtest.Open(h.T, h.DBURL), Target: db.Config{URL: to, MaxConns: 2}, To: "the new one",
		Events: event.NewLog(slog.New(slog.DiscardHandler), secret.Random{}, time.Now, nil), Now: time.Now,
		Wait: func(ctx context.Context, _ time.Duration) error { return backup.Sleep(ctx, 1200*time.Millisecond) }, Progress: func(backup.Progress) {},
	}
}

func refresh(token string) harness.Request {
	return harness.Post("/v1/token/refresh", harness.Body{"refresh_token": token})
}

// While it moves from SQLite to PostgreSQL and back, people go on to use what they have, changes are put off, and in the end
// everybody's session goes on in the new database.
func TestNobodyIsSignedOut(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), harness.SharedURL)
	h.Register(ada)
	at := h.Login(ada)
	h.Register("eve@example.org")
	gone := h.Login("eve@example.org")
	h.Expect(204, "", harness.Request{Method: "POST", Path: "/v1/logout", Bearer: gone.Str("access_token")})
	for _, to := range []string{dbtest.EmptyPostgres(t), "sqlite:" + filepath.Join(t.TempDir(), "back.db")} {
		m := moving(h, to)
		tried := false
		m.Progress = func(p backup.Progress) {
			if tried || !strings.HasPrefix(p.Step, "copying") {
				return
			}
			tried = true
			h.Expect(200, "", harness.Get("/v1/me", at.Str("access_token")))
			h.Expect(503, "database_unavailable", refresh(at.Str("refresh_token")))
			h.Expect(503, "database_unavailable", harness.SignInAs(ada, harness.Passphrase))
		}
		out, err := m.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !tried || out.Accounts != 2 || len(out.Log.Findings) > 0 {
			t.Errorf("%t, %+v", tried, out)
		}
		// What it came from takes no changes any more, and is not served again.
		h.Expect(503, "database_unavailable", refresh(at.Str("refresh_token")))
		if f := harness.RefusedStart(t, "DATABASE_URL="+h.DBURL); f.Code != "moved" {
			t.Errorf("a second start: %v", f)
		}
		next := harness.Open(t, to, harness.SharedURL)
		next.Expect(200, "", harness.Get("/v1/me", at.Str("access_token")))
		next.Expect(401, "invalid_token", harness.Get("/v1/me", gone.Str("access_token"))) // revocations move, too
		at = next.Expect(200, "", refresh(at.Str("refresh_token")))
		next.Expect(200, "", harness.SignInAs(ada, harness.Passphrase))
		if n := next.Count(`SELECT COUNT(*) FROM event WHERE kind = 'database_moved'`); n == 0 {
			t.Error("no event says that it has moved")
		}
		next.Settled()
		if r, err := event.Verify(t.Context(), dbtest.Open(t, to), event.VerifyOptions{}); err != nil || len(r.Findings) > 0 {
			t.Errorf("the log: %+v, %v", r.Findings, err)
		}
		if _, err := moving(h, to).Run(t.Context()); fault.As(err) == nil || fault.As(err).Code != "moved" {
			t.Errorf("once more: %v", err)
		}
		h = next
	}
}

// errKilled stands for a process that is gone.
var errKilled = errors.New("killed")

// killedAt runs a move that ends at its nth step as if it were killed: nothing is done after.
func killedAt(m *backup.Move, n int) (steps int, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errKilled
		}
	}()
	seen := map[string]bool{}
	m.Progress = func(p backup.Progress) {
		if seen[p.Step] { // how far a table is, which another goroutine tells
			return
		}
		seen[p.Step] = true
		if steps++; steps == n {
			panic(errKilled)
		}
	}
	_, err = m.Run(context.Background())
	return steps, err
}

// Killed at any step, the same move goes on and ends as one that was not: at each moment at most one of the two databases can
// be written to.
func TestAMoveThatIsKilledGoesOn(t *testing.T) {
	for name, target := range map[string]func() string{
		"to PostgreSQL": func() string { return dbtest.EmptyPostgres(t) },
		"to SQLite":     func() string { return "sqlite:" + filepath.Join(t.TempDir(), "new.db") },
	} {
		t.Run(name, func(t *testing.T) {
			h := harness.Open(t, dbtest.SQLite(t), harness.SharedURL)
			h.Register(ada)
			at := h.Login(ada)
			to := target()
			for n := 3; ; n += 6 { // preparing and raising the fence come before
				_, err := killedAt(quick(h, to), n)
				if err == nil {
					break
				}
				if !errors.Is(err, errKilled) {
					t.Fatalf("step %d: %v", n, err)
				}
				if f := harness.RefusedStart(t, "DATABASE_URL="+h.DBURL); f.Code != "fenced" && f.Code != "moved" {
					t.Fatalf("step %d: the old one can be written to: %v", n, f)
				}
			}
			next := harness.Open(t, to, harness.SharedURL)
			next.Expect(200, "", refresh(at.Str("refresh_token")))
		})
	}
}

// A move that fails lifts the fence, and one that was killed is given up by the operator: the old database takes changes again.
func TestAMoveIsGivenUp(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), harness.SharedURL)
	h.Register(ada)
	ctx, cancel := context.WithCancel(t.Context())
	m := moving(h, "sqlite:"+filepath.Join(t.TempDir(), "new.db"))
	m.Progress = func(p backup.Progress) {
		if p.Step == "copying session" {
			cancel()
		}
	}
	if _, err := m.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	h.Eventually("a sign-in", func() (string, bool) {
		a := h.Do(harness.SignInAs(ada, harness.Passphrase))
		return a.Text, a.Status == 200
	})
	if _, err := killedAt(moving(h, "sqlite:"+filepath.Join(t.TempDir(), "other.db")), 9); !errors.Is(err, errKilled) {
		t.Errorf("%v", err)
	}
	h.Expect(503, "database_unavailable", harness.SignInAs(ada, harness.Passphrase))
	if err := moving(h, "").Abort(t.Context(), false); err != nil {
		t.Error(err)
	}
	h.Eventually("a sign-in", func() (string, bool) {
		a := h.Do(harness.SignInAs(ada, harness.Passphrase))
		return a.Text, a.Status == 200
	})
	if _, err := moving(h, h.DBURL).Run(t.Context()); fault.As(err) == nil || fault.As(err).Code != "target_not_empty" {
		t.Errorf("over itself: %v", err)
	}
	h.Expect(200, "", harness.SignInAs(ada, harness.Passphrase))
}
