package openid

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// TestJWT1_AnIDTokenVerifiesUntilItEnds: one that was signed just before the key is replaced, with the published keys, while a new
// key signs the next; and the event log has the rotation.
func TestJWT1_AnIDTokenVerifiesUntilItEnds(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		h.Register(ada)
		a, b := register(h, "app", client.Web, firstParty), h.Browser()
		k := h.Keys()
		k.Now, k.Period = clock.Now, time.Minute
		clock.Shift(2 * time.Minute)
		if err := k.Due(t.Context()); err != nil {
			t.Fatal(err)
		}
		published := func() (rsa int) {
			kids, _ := h.Published()
			for _, alg := range kids {
				if alg == "RS256" {
					rsa++
				}
			}
			return rsa
		}
		h.Eventually("the next key for ID tokens", func() (string, bool) { n := published(); return "", n == 2 })
		clock.Shift(keyring.Lead - time.Minute)
		last := a.grant(b).Str("id_token")
		clock.Shift(2 * time.Minute)
		first := a.grant(b).Str("id_token")
		if old, fresh := harness.HeaderOf(last).Kid, harness.HeaderOf(first).Kid; old == fresh {
			t.Errorf("%s still signs", old)
		}
		for life := time.Duration(a.claims(last)["exp"].(float64)-a.claims(last)["iat"].(float64)) * time.Second; life > 0; life -= time.Minute {
			a.claims(last)
			a.claims(first)
			clock.Shift(time.Minute)
		}
		clock.Shift(5 * time.Minute)
		if n := published(); n != 1 {
			t.Errorf("when it has ended %d keys for ID tokens are published", n)
		}
		if n := rotated(h); n != 1 {
			t.Errorf("the event log has the rotation %d times", n)
		}
	})
}

// rotated counts the events that tell of the key for ID tokens.
func rotated(h *harness.Server) (n int) {
	h.Helper()
	err := h.Database().Read(h.Context(), func(tx *db.Tx) error {
		rows, err := tx.Query(`SELECT p.data FROM event AS e JOIN event_personal AS p ON p.event_id = e.id WHERE e.kind = 'key_rotated'`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var data string
			if err := rows.Scan(&data); err != nil {
				return err
			}
			if strings.Contains(data, `"id-sign"`) && strings.Contains(data, `"age"`) {
				n++
			}
		}
		return rows.Err()
	})
	if err != nil {
		h.Fatal(err)
	}
	return n
}

// TestStrangersMakeNoKey by reading where things are: the first application that is registered does.
func TestStrangersMakeNoKey(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
			if a := h.Expect(200, "", harness.Get(path)); a.Str("authorization_endpoint") == "" {
				t.Errorf("%s: %s", path, a.Text)
			}
		}
		if keys := h.Keys().Ring.Keys(keyring.IDSign); len(keys) != 0 {
			t.Errorf("a key for ID tokens was made: %v", keys[0].Name)
		}
		register(h, "app", client.Web, firstParty)
		keys := h.Keys().Ring.Keys(keyring.IDSign)
		if len(keys) != 1 {
			t.Fatalf("with an application there are %d keys for ID tokens", len(keys))
		}
		h.Eventually("the key for ID tokens", func() (string, bool) { kids, _ := h.Published(); return "", kids[keys[0].Name] == "RS256" })
	})
}
