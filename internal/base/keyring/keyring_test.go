package keyring_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

const master = "9fJq3xQz0Vb7nL2kTgYw5sRp8uHc1mEd"

var purposes = []keyring.Purpose{keyring.RefreshMAC, keyring.RefreshDerive, keyring.AccessSign, keyring.CSRF, keyring.Limit, keyring.Lockout, keyring.Pseudonym,
	keyring.Outbox}

func open(d *db.DB, master string) (*keyring.Ring, error) {
	return keyring.Open(context.Background(), d, secret.Random{}, time.Now(), keyring.Config{Secret: master})
}

func keys(r *keyring.Ring) map[keyring.Purpose]string {
	m := map[keyring.Purpose]string{}
	for _, p := range purposes {
		m[p] = string(r.Keys(p)[0].Material)
	}
	return m
}

func TestOpenMakesDistinctKeysOnceAndFindsThemAgain(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		first, err := open(d, master)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for p, k := range keys(first) {
			if len(k) < secret.KeySize || seen[k] {
				t.Errorf("the key for %s has %d bytes, or is another one's too", p, len(k))
			}
			seen[k] = true
		}
		second, err := open(d, master)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(keys(first), keys(second)); diff != "" {
			t.Errorf("opened again, the keys differ:\n%s", diff)
		}
		if first.InstallID != second.InstallID || first.Epoch != 1 {
			t.Errorf("installation %s epoch %d, then %s", first.InstallID, first.Epoch, second.InstallID)
		}
	})
}

func TestSixteenReplicasStartingAtOnceAgreeOnTheKeys(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		rings := make([]*keyring.Ring, 16)
		var wg sync.WaitGroup
		for i := range rings {
			wg.Go(func() {
				r, err := open(d, master)
				if err != nil {
					t.Error(err)
					return
				}
				rings[i] = r
			})
		}
		wg.Wait()
		if t.Failed() {
			return
		}
		for _, r := range rings[1:] {
			if diff := cmp.Diff(keys(rings[0]), keys(r)); diff != "" {
				t.Fatalf("two replicas have different keys:\n%s", diff)
			}
		}
	})
}

func TestAWrongSecretIsToldPlainlyAndChangesNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		if _, err := open(d, master); err != nil {
			t.Fatal(err)
		}
		other := strings.Repeat("another-secret-", 4)
		_, err := open(d, other)
		if f := fault.As(err); f == nil || f.Code != "wrong_secret" || !strings.Contains(f.Message, "JWT_SECRET_KEY") {
			t.Fatalf("opened with another secret: %v", err)
		}
		if strings.Contains(err.Error(), other) || strings.Contains(err.Error(), master) {
			t.Error("the message tells a secret")
		}
		if _, err := open(d, master); err != nil {
			t.Errorf("the right secret no longer opens the keys: %v", err)
		}
	})
}

func TestASealedKeyCannotBeMovedToAnotherPurpose(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		if _, err := open(d, master); err != nil {
			t.Fatal(err)
		}
		err := d.Write(context.Background(), func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE ring_wrap SET sealed = (SELECT w.sealed FROM ring_wrap AS w JOIN ring_key AS k ON k.id = w.key_id WHERE k.purpose = 'pseudonym')
				WHERE key_id = (SELECT id FROM ring_key WHERE purpose = 'refresh-mac')`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := open(d, master); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("a key moved to another row was opened: %v", err)
		}
	})
}
