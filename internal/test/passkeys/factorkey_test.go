package passkeys

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// newestFactorKey is the name of the key that second factors are protected with.
func newestFactorKey(h *harness.Server) string {
	h.Helper()
	name := ""
	for _, k := range h.Keys().List() {
		if k.Purpose == keyring.Factor && k.RevokedAt.IsZero() {
			name = k.Name
		}
	}
	return name
}

// addAppMeanwhile registers an account and adds an app. The secret that it is shown may be void before it is confirmed: then it asks
// for another.
func addAppMeanwhile(h *harness.Server, clock *harness.Clock, email string) *harness.App {
	h.Register(email)
	access := h.Login(email).Str("access_token")
	a := &harness.App{Server: h, Email: email, Clock: clock}
	for {
		mailed := h.MailFactorCode(email, harness.Post("/v1/factors/mail-code", nil, access))
		a.Secret = h.Expect(200, "", harness.Post("/v1/factors/totp", nil, access)).Str("secret")
		confirmed := h.Do(harness.Post("/v1/factors/totp/confirm", mailed.With("code", a.Code(0)), access))
		if confirmed.Status == 200 {
			return a
		}
		if confirmed.Status != 400 || !strings.Contains(confirmed.Text, "offer_over") {
			h.Errorf("%s: %d %s", email, confirmed.Status, confirmed.Text)
			return a
		}
	}
}

// TestARevokedFactorKeyTakesNobodysSecondStep: apps and passkeys go on working when the key that protects them is revoked, while
// people sign in with them and others add some; what somebody planted stays out, and what the old key made later opens nothing.
func TestARevokedFactorKeyTakesNobodysSecondStep(t *testing.T) {
	dbtest.EachProduction(t, func(t *testing.T, url string) {
		clock := &harness.Clock{}
		h := harness.OpenAt(t, url, clock.Now, harness.BehindProxy)
		h.Register(ada)
		k := h.PasskeyFor(ada)
		app := h.AddApp(clock, "eve@example.org")
		planted := plant(h, k, "planted", clock.Now())
		var old struct{ mac, sealed []byte }
		err := h.Database().Read(t.Context(), func(tx *db.Tx) error {
			return tx.QueryRow(`SELECT (SELECT mac FROM passkey WHERE credential = $1), (SELECT sealed FROM totp)`, k.ID).Scan(&old.mac, &old.sealed)
		})
		if err != nil {
			t.Fatal(err)
		}

		// One who is stopped in the middle has taken nothing away, and it can be done again.
		leaked := newestFactorKey(h)
		stopped, stop := context.WithTimeout(t.Context(), keyring.Agree/2)
		if _, err := h.Keys().Revoke(stopped, []string{leaked}, harness.OriginOfTests); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("stopped while the replicas hear of the next key: %v", err)
		}
		stop()
		h.Expect(200, "", k.Alone())

		done := make(chan struct{})
		var adding sync.WaitGroup
		var added []*harness.App
		adding.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
					added = append(added, addAppMeanwhile(h, clock, fmt.Sprintf("new%d@example.org", i)))
				}
			}
		})
		revoked, err := h.Keys().Revoke(t.Context(), []string{leaked}, harness.OriginOfTests)
		close(done)
		adding.Wait()
		if err != nil || len(revoked) != 1 || revoked[0].Name != leaked {
			t.Fatalf("revoked %v: %v", revoked, err)
		}
		time.Sleep(keyring.Agree) // by now the server has heard of it
		h.Expect(200, "", k.Alone())
		h.Expect(401, "invalid_passkey", planted.Alone())
		for _, a := range append(added, app) {
			a.Next()
			a.SignIn()
		}

		// Whoever has the old key signs and seals nothing any more.
		exec(h, `UPDATE passkey SET mac = $1 WHERE credential = $2`, old.mac, k.ID)
		exec(h, `UPDATE totp SET sealed = $1 WHERE account_id = (SELECT id FROM account WHERE email = $2)`, old.sealed, app.Email)
		h.Expect(401, "invalid_passkey", k.Alone())
		waits := h.Expect(403, "second_factor_required", harness.SignInAs(app.Email, harness.Passphrase))
		if a := h.Do(harness.ShowCode(waits.Str("pending_token"), app.Code(1))); a.Status == 200 {
			t.Error("a secret sealed under the revoked key signs in")
		}
	})
}
