package flow

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

// FuzzSetupToken: no token opens the set-up but the one that was given out, and
// one that does not is refused before any work is done: there is no hasher here.
func FuzzSetupToken(f *testing.F) {
	d := dbtest.Open(f, dbtest.SQLite(f))
	if _, err := keyring.Open(context.Background(), d, secret.Random{}, time.Now(), keyring.Config{Secret: strings.Repeat("k", 32)}); err != nil {
		f.Fatal(err) // it makes the installation's row
	}
	setup := &Setup{Core: Core{DB: d, Now: time.Now}, Random: secret.Random{}}
	good, err := setup.Link(context.Background())
	if err != nil || !strings.HasPrefix(good, setupPrefix) {
		f.Fatalf("the link's token is %q, %v", good, err)
	}
	for _, s := range []string{"", setupPrefix, "' OR 1=1 --", "\x00", "\xff", strings.Repeat("A", 1<<16)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, token := range []string{s, setupPrefix + s, good + s, good[:len(good)-1] + s} {
			if token == good {
				continue
			}
			if err := setup.Do(t.Context(), token, Credentials{}, event.Origin{}); !errors.Is(err, ErrSetupClosed) {
				t.Fatalf("%q: %v", token, err)
			}
		}
	})
}
