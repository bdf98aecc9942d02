package backup_test

import (
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// A restore whose JWT_SECRET_KEY is lost makes all keys anew, takes passkeys as they are, suspends apps, whose secrets are gone,
// and says how many.
func TestALostSecretTakesPasskeysAsTheyAre(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, url string) {
		f := newFixture(t, url)
		handle, made := []byte("the handle of a1"), time.Now().Add(-time.Hour)
		store := func(d *db.DB, master string) *factor.Store {
			ring, err := keyring.Open(t.Context(), d, secret.Random{}, time.Now(), keyring.Config{Secret: master})
			if err != nil {
				t.Fatal(err)
			}
			return factor.NewStore(func() [][]byte { return [][]byte{ring.Key(keyring.Factor)} }, secret.Random{})
		}
		before := store(f.d, master)
		err := f.d.Write(t.Context(), func(tx *db.Tx) error {
			if _, err := tx.Exec(`UPDATE account SET handle = $1, factors = 2`, handle); err != nil {
				return err
			}
			if _, err := tx.Exec(`INSERT INTO totp (account_id, id, sealed, last_step, made_at) VALUES ('a1', 't', $1, 0, 1)`, []byte("sealed")); err != nil {
				return err
			}
			return before.AddPasskey(tx, factor.Passkey{
				Account: "a1", RPID: "id.example.org", Credential: []byte("credential"), PublicKey: []byte("key"), Name: "laptop",
			}, handle, made)
		})
		if err != nil {
			t.Fatal(err)
		}
		m := f.create(t).Manifest
		for name, target := range targets {
			t.Run(name, func(t *testing.T) {
				const another = "another secret that is long enough to be one"
				url := target(t)
				r := f.restoring(url)
				r.Secret, r.Lost = "", true
				r.Fresh = func() (keyring.Config, error) { return keyring.Config{Secret: another, Algorithm: keyring.EdDSA}, nil }
				out, err := restore(t.Context(), r, f.install, m.ID)
				if err != nil {
					t.Fatal(err)
				}
				if out.Factors != (operate.Resealed{Passkeys: 1, Apps: 1}) {
					t.Errorf("%+v", out.Factors)
				}
				d := dbtest.Open(t, url)
				if n := one[int](t, d, `SELECT COUNT(*) FROM event WHERE kind = 'factors_resealed'`); n != 2 {
					t.Errorf("%d events", n)
				}
				if n := one[int](t, d, `SELECT COUNT(*) FROM totp WHERE suspect_at IS NOT NULL`); n != 1 {
					t.Errorf("%d apps are suspended", n)
				}
				if a := one[string](t, d, `SELECT algorithm FROM ring_key WHERE purpose = 'access-sign' AND n = 1`); a != keyring.EdDSA {
					t.Errorf("access tokens are signed with %s", a)
				}
				now := store(d, another)
				err = d.Read(t.Context(), func(tx *db.Tx) error {
					k, found, err := factor.PasskeyByCredential(tx, []byte("credential"))
					if err == nil && (!found || !now.Genuine(k, handle)) {
						t.Error("the passkey is not recognised")
					}
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
			})
		}
	})
}
