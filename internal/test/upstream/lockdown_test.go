package upstream

import (
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockdown"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// shut closes doors for a while, as an incident's lockdown does, and waits until the server obeys.
func (w *world) shut(access string, doors ...lockdown.Door) {
	w.Helper()
	d := dbtest.Open(w.T, dbtest.Superusers(w.T, w.DBURL))
	err := d.Write(w.Context(), func(tx *db.Tx) error {
		for _, door := range lockdown.Doors {
			if err := lockdown.Shut(tx, door, time.Time{}); err != nil {
				return err
			}
		}
		for _, door := range doors {
			if err := lockdown.Shut(tx, door, w.clock.Now().Add(time.Hour)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
	for door, probe := range map[lockdown.Door]harness.Request{
		lockdown.SignIn:       harness.SignInAs(ada, harness.Passphrase),
		lockdown.Registration: harness.Post("/v1/register", harness.Credentials{Email: ada, Password: harness.Passphrase}),
		lockdown.Changes:      harness.Post("/v1/email/change", map[string]string{"email": "x@example.org", "current_password": "wrong"}, access),
	} {
		w.Eventually(string(door), func() (string, bool) {
			a := w.Do(probe)
			return a.Text, (a.Str("code") == lockdown.ErrShut.Code) == slices.Contains(doors, door)
		})
	}
}

// What an incident closes is closed for whoever comes by a provider: no account is made, nothing is linked or cleansed, and nobody but an
// administrator signs in. Sessions that there are go on.
func TestIR2_LockdownHoldsForProviders(t *testing.T) {
	each(t, func(w *world) {
		w.verified(ada)
		w.verified(eve)
		w.verified("root@corp.example")
		if _, err := w.Operator().SetRoles(t.Context(), "root@corp.example", []string{"admin"}, harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		owner := w.linked() // ada, by lax
		w.corp.is("root", "root@corp.example", true)
		b := w.Browser()
		signedIn(b, by(b, w.corp, "corp"), "root@corp.example")
		counts := func() [3]int {
			return [3]int{
				w.Count(`SELECT COUNT(*) FROM identity`), w.Count(`SELECT COUNT(*) FROM account`),
				w.Count(`SELECT COUNT(*) FROM session WHERE ended_at IS NULL`),
			}
		}
		closed := func(f *fake, id string) {
			t.Helper()
			b := w.Browser()
			if a := by(b, f, id); a.Status != 403 || in(b) != "" {
				t.Errorf("%d %s, and %q is signed in", a.Status, a.Header.Get("Location"), in(b))
			}
		}
		access := w.Login(ada).Str("access_token")
		w.shut(access, lockdown.SignIn)
		before := counts()
		closed(w.lax, "lax") // a known identity
		w.corp.is("root", "root@corp.example", true)
		b = w.Browser()
		signedIn(b, by(b, w.corp, "corp"), "root@corp.example")
		before[2]++
		if in(owner) != ada {
			t.Error("a session that there is does not go on")
		}
		if now := counts(); now != before {
			t.Errorf("%v, and before %v", now, before)
		}

		w.shut(access, lockdown.Registration)
		before = counts()
		w.corp.is("2", bob, true)
		closed(w.corp, "corp")
		if now := counts(); now != before {
			t.Errorf("an account was made: %v, and before %v", now, before)
		}

		w.shut(access, lockdown.Changes)
		w.Register(bob) // nobody has verified it: the provider's word would cleanse it
		before = counts()
		closed(w.corp, "corp")
		if a := act(owner, "identity-link", "provider", "corp"); a.Status != 403 {
			t.Errorf("linking: %d", a.Status)
		}
		if a := act(owner, "identity-unlink", "identity", identities(owner)[0]["id"].(string)); a.Status != 403 {
			t.Errorf("unlinking: %d", a.Status)
		}
		if now := counts(); now != before {
			t.Errorf("%v, and before %v", now, before)
		}

		w.shut(access)
		w.corp.is("2", bob, true)
		b = w.Browser()
		signedIn(b, by(b, w.corp, "corp"), bob)
	})
}
