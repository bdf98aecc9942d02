package app_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// sharedURL lets replicas take one another's tokens: without it each is named
// after its own port.
const sharedURL = "PUBLIC_URL=http://127.0.0.1:8000"

// refusedWithin asks until the token is refused, and returns how long that took
// from the given time on. It fails if the token is refused for another reason.
func (h *house) refusedWithin(access string, since time.Time) time.Duration {
	h.Helper()
	for {
		a := h.do(request{method: "GET", path: "/v1/me", bearer: access})
		switch {
		case a.status == 401 && a.str("code") == "invalid_token":
			return time.Since(since)
		case a.status != 200:
			h.Fatalf("%d %s", a.status, a.text)
		case time.Since(since) > 10*time.Second:
			h.Fatal("the token is still taken after ten seconds")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// TestJWT5_EveryReplicaRefusesARevokedToken revokes on one replica and asks
// another, while transactions that began before stay open.
func TestJWT5_EveryReplicaRefusesARevokedToken(t *testing.T) {
	dbURL := dbtest.Postgres(t)
	var replicas []*house
	for range 3 {
		replicas = append(replicas, open(t, dbURL, sharedURL))
	}
	replicas[0].register("ada@example.org")
	// A transaction with an older id commits last: a reader that goes by ids or by
	// times would miss what it revokes.
	d := dbtest.Open(t, dbURL)
	commit := make(chan bool)
	goOn := sync.OnceFunc(func() { close(commit) })
	defer goOn()
	var late sync.WaitGroup
	slow := replicas[0].login("ada@example.org")
	begun := make(chan bool)
	late.Go(func() {
		err := d.Write(context.Background(), func(tx *db.Tx) error {
			_, err := tx.Exec(`INSERT INTO revocation (kind, subject, roles, n, expires_at) VALUES ('session', $1, '[]', 0, $2)`,
				slow.str("session_id"), db.Micros(time.Now().Add(time.Hour)))
			close(begun)
			<-commit
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-begun
	worst := time.Duration(0)
	for i := range 20 {
		s := replicas[i%3].login("ada@example.org")
		for _, h := range replicas {
			h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: s.str("access_token")})
		}
		replicas[i%3].expect(204, "", request{method: "POST", path: "/v1/logout", bearer: s.str("access_token")})
		at := time.Now()
		for _, h := range replicas {
			worst = max(worst, h.refusedWithin(s.str("access_token"), at))
		}
	}
	goOn()
	late.Wait()
	at := time.Now()
	for _, h := range replicas {
		worst = max(worst, h.refusedWithin(slow.str("access_token"), at))
	}
	t.Logf("the slowest took %v", worst)
}

// TestJWT5_TheCommandLineRevokesToo changes the database beside a server on
// SQLite, as `gatehouse session end` and `user roles` do.
func TestJWT5_TheCommandLineRevokesToo(t *testing.T) {
	each(t, func(h *house) {
		o := h.operator()
		from := originOfTests
		h.register("ada@example.org")
		s := h.login("ada@example.org")
		if err := o.EndSession(h.Context(), s.str("session_id"), from); err != nil {
			h.Fatal(err)
		}
		h.refusedWithin(s.str("access_token"), time.Now())

		s = h.login("ada@example.org")
		if _, err := o.SetRoles(h.Context(), "ada@example.org", []string{"editor"}, from); err != nil {
			h.Fatal(err)
		}
		h.refusedWithin(s.str("access_token"), time.Now())
		// The session lives: a refresh brings a token that says what is true now.
		s = h.expect(200, "", refreshing(s.str("refresh_token")))
		if me := h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: s.str("access_token")}); !strings.Contains(me.text, `"editor"`) {
			h.Errorf("the account: %s", me.text)
		}
		if _, err := o.SetRoles(h.Context(), "ada@example.org", []string{"editor", "reader"}, from); err != nil {
			h.Fatal(err)
		}
		if _, err := o.SetRoles(h.Context(), "ada@example.org", []string{"editor"}, from); err != nil {
			h.Fatal(err)
		}
		// Back to what the token says: it tells the truth again.
		time.Sleep(time.Second)
		h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: s.str("access_token")})

		if _, err := o.Disable(h.Context(), "ada@example.org", from); err != nil {
			h.Fatal(err)
		}
		h.refusedWithin(s.str("access_token"), time.Now())
	})
}

// TestJWT5_ADatabaseThatIsAwaySignsNobodyOut takes the database away: a token
// that can't be judged is answered 503, never 401, and one that is known to be
// revoked stays refused.
func TestJWT5_ADatabaseThatIsAwaySignsNobodyOut(t *testing.T) {
	for _, stale := range []int{0, 900} {
		t.Run(fmt.Sprint("stale for ", stale), func(t *testing.T) {
			h := open(t, dbtest.Postgres(t), fmt.Sprint("REVOCATION_STALE_SECONDS=", stale))
			h.register("ada@example.org")
			dead, alive := h.login("ada@example.org"), h.login("ada@example.org")
			h.expect(204, "", request{method: "POST", path: "/v1/logout", bearer: dead.str("access_token")})
			h.breakDatabase()
			deadline := time.Now().Add(30 * time.Second)
			for {
				_, text := h.admin("/readyz")
				if strings.Contains(text, `"revocations":"stale"`) {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("readyz does not say that revocations are stale: %s", text)
				}
				time.Sleep(50 * time.Millisecond)
			}
			h.expect(401, "invalid_token", request{method: "GET", path: "/v1/me", bearer: dead.str("access_token")})
			code := "revocations_unknown"
			if stale > 0 {
				code = "database_unavailable" // the token is taken; the account can't be read
			}
			if a := h.expect(503, code, request{method: "GET", path: "/v1/me", bearer: alive.str("access_token")}); a.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		})
	}
}

// TestJWT5_ARestartKnowsWhatWasRevokedBefore starts a second replica after the
// fact, and then deletes the rows that no token can meet any more.
func TestJWT5_ARestartKnowsWhatWasRevokedBefore(t *testing.T) {
	each(t, func(h *house) {
		h.register("ada@example.org")
		s := h.login("ada@example.org")
		h.expect(204, "", request{method: "POST", path: "/v1/logout", bearer: s.str("access_token")})
		again := open(h.T, h.dbURL, sharedURL)
		again.expect(401, "invalid_token", request{method: "GET", path: "/v1/me", bearer: s.str("access_token")})
	}, sharedURL)
}
