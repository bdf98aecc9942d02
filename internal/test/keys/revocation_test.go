package keys_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// refusedWithin asks until the token is refused, and returns how long that took
// from the given time on. It fails if the token is refused for another reason.
func refusedWithin(h *harness.Server, access string, since time.Time) time.Duration {
	h.Helper()
	for {
		a := h.Do(harness.Get("/v1/me", access))
		switch {
		case a.Status == 401 && a.Str("code") == "invalid_token":
			return time.Since(since)
		case a.Status != 200:
			h.Fatalf("%d %s", a.Status, a.Text)
		case time.Since(since) > harness.Patience:
			h.Fatalf("the token is still taken after %v", time.Since(since))
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// TestJWT5_EveryReplicaRefusesARevokedToken revokes on one replica and asks
// another, while transactions that began before stay open.
func TestJWT5_EveryReplicaRefusesARevokedToken(t *testing.T) {
	dbURL := dbtest.Postgres(t)
	var replicas []*harness.Server
	for range 3 {
		replicas = append(replicas, harness.Open(t, dbURL, harness.SharedURL))
	}
	replicas[0].Register("ada@example.org")
	// A transaction with an older id commits last: a reader that goes by ids or by
	// times would miss what it revokes.
	slow := replicas[0].Login("ada@example.org")
	late, err := pgx.Connect(t.Context(), dbtest.Patient(dbURL)) // a Write of ours has ten seconds
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close(context.Background())
	open, err := late.Begin(t.Context())
	if err == nil {
		_, err = open.Exec(t.Context(), `INSERT INTO revocation (kind, subject, roles, n, expires_at) VALUES ('session', $1, '[]', 0, $2)`,
			slow.Str("session_id"), db.Micros(time.Now().Add(time.Hour)))
	}
	if err != nil {
		t.Fatal(err)
	}
	worst := time.Duration(0)
	for i := range 20 {
		s := replicas[i%3].Login("ada@example.org")
		for _, h := range replicas {
			h.Expect(200, "", harness.Get("/v1/me", s.Str("access_token")))
		}
		replicas[i%3].Expect(204, "", harness.Request{Method: "POST", Path: "/v1/logout", Bearer: s.Str("access_token")})
		at := time.Now()
		for _, h := range replicas {
			worst = max(worst, refusedWithin(h, s.Str("access_token"), at))
		}
	}
	if err := open.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	for _, h := range replicas {
		worst = max(worst, refusedWithin(h, slow.Str("access_token"), at))
	}
	t.Logf("the slowest took %v", worst)
}

// TestJWT5_TheCommandLineRevokesToo changes the database under a running server on
// SQLite, as `gatehouse session end` and `user roles` do.
func TestJWT5_TheCommandLineRevokesToo(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		o := h.Operator()
		from := harness.OriginOfTests
		h.Register("ada@example.org")
		s := h.Login("ada@example.org")
		if err := o.EndSession(h.Context(), s.Str("session_id"), from); err != nil {
			h.Fatal(err)
		}
		refusedWithin(h, s.Str("access_token"), time.Now())

		s = h.Login("ada@example.org")
		if _, err := o.SetRoles(h.Context(), "ada@example.org", []string{"editor"}, from); err != nil {
			h.Fatal(err)
		}
		refusedWithin(h, s.Str("access_token"), time.Now())
		// The session lives: a refresh brings a token that says what is true now.
		s = h.Expect(200, "", harness.Refreshing(s.Str("refresh_token")))
		if me := h.Expect(200, "", harness.Get("/v1/me", s.Str("access_token"))); !strings.Contains(me.Text, `"editor"`) {
			h.Errorf("the account: %s", me.Text)
		}
		if _, err := o.SetRoles(h.Context(), "ada@example.org", []string{"editor", "reader"}, from); err != nil {
			h.Fatal(err)
		}
		if _, err := o.SetRoles(h.Context(), "ada@example.org", []string{"editor"}, from); err != nil {
			h.Fatal(err)
		}
		// Back to what the token says: it is correct again.
		time.Sleep(time.Second)
		h.Expect(200, "", harness.Get("/v1/me", s.Str("access_token")))

		if _, err := o.Disable(h.Context(), "ada@example.org", from); err != nil {
			h.Fatal(err)
		}
		refusedWithin(h, s.Str("access_token"), time.Now())
	})
}

// TestJWT5_ADatabaseThatIsAwaySignsNobodyOut takes the database away: a token
// that can't be judged is answered 503, never 401, and one that is known to be
// revoked stays refused.
func TestJWT5_ADatabaseThatIsAwaySignsNobodyOut(t *testing.T) {
	for _, stale := range []int{0, 900} {
		t.Run(fmt.Sprint("stale for ", stale), func(t *testing.T) {
			h := harness.Open(t, dbtest.Postgres(t), fmt.Sprint("REVOCATION_STALE_SECONDS=", stale))
			h.Register("ada@example.org")
			dead, alive := h.Login("ada@example.org"), h.Login("ada@example.org")
			h.Expect(204, "", harness.Request{Method: "POST", Path: "/v1/logout", Bearer: dead.Str("access_token")})
			h.BreakDatabase()
			deadline := time.Now().Add(30 * time.Second)
			for {
				_, text := h.Admin("/readyz")
				if strings.Contains(text, `"revocations":"stale"`) {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("readyz does not say that revocations are stale: %s", text)
				}
				time.Sleep(50 * time.Millisecond)
			}
			h.Expect(401, "invalid_token", harness.Get("/v1/me", dead.Str("access_token")))
			code := "revocations_unknown"
			if stale > 0 {
				code = "database_unavailable" // the token is taken; the account can't be read
			}
			if a := h.Expect(503, code, harness.Get("/v1/me", alive.Str("access_token"))); a.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		})
	}
}

// TestJWT5_ARestartKnowsWhatWasRevokedBefore starts a second replica after the
// fact, and then deletes the rows that no token can meet any more.
func TestJWT5_ARestartKnowsWhatWasRevokedBefore(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		s := h.Login("ada@example.org")
		h.Expect(204, "", harness.Request{Method: "POST", Path: "/v1/logout", Bearer: s.Str("access_token")})
		again := harness.Open(h.T, h.DBURL, harness.SharedURL)
		again.Expect(401, "invalid_token", harness.Get("/v1/me", s.Str("access_token")))
	}, harness.SharedURL)
}
