package passkeys

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// reseal has the operator look, or take factors as they are, and returns what was shown.
func reseal(h *harness.Server, look bool) (n operate.Resealed, shown []string) {
	h.Helper()
	n, err := h.Operator().ResealFactors(h.Context(), look, harness.OriginOfTests, func(u operate.Unrecognised) error {
		line := string(u.Kind) + " " + u.Email + " " + u.Name
		if u.Altered {
			line += " altered"
		}
		shown = append(shown, line)
		return nil
	})
	if err != nil {
		h.Fatal(err)
	}
	slices.Sort(shown)
	return n, shown
}

// plant writes a passkey into the database, as somebody does who has no JWT_SECRET_KEY.
func plant(h *harness.Server, k *harness.Passkey, name string, made time.Time) *harness.Passkey {
	h.Helper()
	planted := h.NewPasskey(k.Email)
	planted.Handle = k.Handle
	exec(h, `INSERT INTO passkey (id, account_id, rp_id, credential, public_key, mac, counter, eligible, backed_up, verifies, discoverable,
			aaguid, transports, name, suspect_at, made_at, used_at)
		SELECT $1, account_id, rp_id, $2, $3, $2, 0, 0, 0, 1, 1, aaguid, transports, $1, NULL, $4, NULL FROM passkey WHERE credential = $5`,
		name, planted.ID, planted.COSE(), db.Micros(made), k.ID)
	exec(h, `UPDATE account SET factors = factors + 1 WHERE email = $1`, k.Email)
	return planted
}

// Once JWT_SECRET_KEY is lost no passkey is recognised, and the operator takes them as they are: one that somebody has planted
// too, which nothing tells from the others; so each is named before. What was made when the keys were there already is not taken.
func TestPasskeysAreTakenAsTheyAreAfterALostSecret(t *testing.T) {
	dbtest.EachProduction(t, func(t *testing.T, url string) {
		clock := &harness.Clock{}
		h := harness.OpenAt(t, url, clock.Now, harness.BehindProxy)
		h.Register(ada)
		k := h.PasskeyFor(ada)
		app := h.AddApp(clock, "eve@example.org")
		if n, shown := reseal(h, false); n.Genuine != 1 || len(shown) != 0 {
			t.Errorf("nothing is lost: %+v %v", n, shown)
		}
		if err := h.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := dbtest.Open(t, url).Write(t.Context(), keyring.Forget); err != nil {
			t.Fatal(err)
		}
		h = harness.OpenAt(t, url, clock.Now, harness.BehindProxy)
		k.Server, k.Browser.Origin, app.Server = h, h.URL(), h
		planted := plant(h, k, "planted", time.Now().Add(-time.Hour))
		late := plant(h, k, "late", clock.Now().Add(time.Minute))

		h.Expect(401, "invalid_passkey", k.Alone())
		n, shown := reseal(h, true)
		want := []string{"passkey ada@example.org Passkey", "passkey ada@example.org late altered", "passkey ada@example.org planted", "totp eve@example.org "}
		if diff := cmp.Diff(want, shown); diff != "" || n != (operate.Resealed{Passkeys: 2, Apps: 1, Altered: 1}) {
			t.Errorf("%+v\n%s", n, diff)
		}
		h.Expect(401, "invalid_passkey", k.Alone()) // it has only looked
		if n := h.Count(`SELECT COUNT(*) FROM event WHERE kind = 'factors_resealed'`); n != 0 {
			t.Errorf("%d events before", n)
		}

		if n, _ := reseal(h, false); n != (operate.Resealed{Passkeys: 2, Apps: 1, Altered: 1}) {
			t.Errorf("%+v", n)
		}
		h.Expect(200, "", k.Alone())
		h.Expect(200, "", planted.Alone()) // which is why it is named
		h.Expect(401, "invalid_passkey", late.Alone())
		if n := h.Count(`SELECT COUNT(*) FROM event WHERE kind = '` + string(event.FactorsResealed) + `'`); n != 2 {
			t.Errorf("%d events", n)
		}
		// The app counts and opens nothing; a recovery code does, and a new app takes its place.
		waits := h.Expect(403, "second_factor_required", harness.SignInAs(app.Email, harness.Passphrase))
		if diff := cmp.Diff([]any{"recovery_code"}, waits.Fields["factors"]); diff != "" {
			t.Errorf("the ways:\n%s", diff)
		}
		h.Expect(401, "invalid_code", harness.ShowCode(waits.Str("pending_token"), app.Code(1)))
		access := h.Expect(200, "", harness.ShowRecovery(waits.Str("pending_token"), app.Recovery[0])).Str("access_token")
		app.Secret = h.Expect(200, "", harness.Post("/v1/factors/totp", nil, access)).Str("secret")
		h.Expect(204, "", harness.Post("/v1/factors/totp/confirm", harness.Body{"code": app.Code(0)}, access))
		app.Next()
		app.SignIn()
		// A second time there is nothing left to do.
		if n, _ := reseal(h, false); n.Passkeys+n.Apps != 0 || n.Genuine != 2 || n.Altered != 1 {
			t.Errorf("again: %+v", n)
		}
	})
}
