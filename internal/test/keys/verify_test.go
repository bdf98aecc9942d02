package keys_test

import (
	"errors"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
	"github.com/gatehouse-auth/gatehouse/verify"
)

// publicURL is the issuer of the replicas of sharedURL.
const publicURL = "http://127.0.0.1:8000"

// goApplication is a Verifier as an application has it, which follows at these
// replicas.
func goApplication(t *testing.T, replicas ...*harness.Server) *verify.Verifier {
	t.Helper()
	id, shown, err := replicas[0].Operator().CreateClient(t.Context(), "shop", harness.OriginOfTests)
	if err != nil {
		t.Fatal(err)
	}
	var places []string
	for _, h := range replicas {
		places = append(places, h.App.URL())
	}
	v, err := verify.New(publicURL, verify.WithAddress(places...), verify.WithClient(id.ID, shown), verify.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

// TestJWT5_AGoApplicationRefusesARevokedToken revokes on each of three replicas,
// under load and with long transactions open: the replicas and an
// application that uses verify refuse the token. How long the slowest took is in
// the log.
func TestJWT5_AGoApplicationRefusesARevokedToken(t *testing.T) {
	dbURL := dbtest.Postgres(t)
	var replicas []*harness.Server
	for range 3 {
		replicas = append(replicas, harness.Open(t, dbURL, harness.SharedURL, "LOG_LEVEL=WARNING"))
	}
	v := goApplication(t, replicas...)
	replicas[0].Register("ada@example.org")
	replicas[0].Register("load@example.org")

	rounds := 6
	if os.Getenv("GATEHOUSE_SOAK") != "" {
		rounds = 100
	}
	end, open := make(chan struct{}), make(chan struct{})
	var beside sync.WaitGroup
	defer beside.Wait()
	defer sync.OnceFunc(func() { close(end) })()
	beside.Go(func() { // holds the horizon back, for three seconds at a time: a write has ten
		d, opened := dbtest.Open(t, dbURL), sync.OnceFunc(func() { close(open) })
		for over := false; !over; {
			if err := d.Write(t.Context(), func(tx *db.Tx) error {
				_, err := tx.Exec(`INSERT INTO revocation (kind, subject, roles, n, expires_at) VALUES ('session', 'nobody', '[]', 0, $1)`,
					db.Micros(time.Now().Add(time.Hour)))
				opened()
				select {
				case <-end:
					over = true
				case <-time.After(3 * time.Second):
				}
				return err
			}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	<-open
	for _, h := range replicas {
		beside.Go(func() {
			a, err := h.Try(harness.SignInAs("load@example.org", harness.Passphrase))
			for err == nil && a.Status == 200 {
				select {
				case <-end:
					return
				default:
				}
				if _, wrong := v.Verify(t.Context(), a.Str("access_token")); wrong != nil {
					t.Errorf("a good token: %v", wrong)
				}
				a, err = h.Try(harness.Refreshing(a.Str("refresh_token")))
			}
			t.Errorf("the load: %d %s %v", a.Status, a.Text, err)
		})
	}
	var worst, worstReplica time.Duration
	for i := range rounds {
		access := replicas[i%3].Login("ada@example.org").Str("access_token")
		if _, err := v.Verify(t.Context(), access); err != nil {
			t.Fatalf("a good token: %v", err)
		}
		replicas[i%3].Expect(204, "", harness.Request{Method: "POST", Path: "/v1/logout", Bearer: access})
		at := time.Now()
		var application sync.WaitGroup
		application.Go(func() {
			for {
				_, err := v.Verify(t.Context(), access)
				if errors.Is(err, verify.ErrRevoked) {
					break
				}
				if err != nil || time.Since(at) > harness.Patience {
					t.Errorf("after %v: %v", time.Since(at), err)
					break
				}
				time.Sleep(time.Millisecond)
			}
			worst = max(worst, time.Since(at))
		})
		for _, h := range replicas {
			worstReplica = max(worstReplica, refusedWithin(h, access, at))
		}
		application.Wait()
	}
	t.Logf("of %d, the slowest took the application %v, the replicas %v", rounds, worst, worstReplica)
}
