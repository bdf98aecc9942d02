package upstream

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// trusting is a world whose first provider's word on second factors counts (trust_amr), and the second's does not.
func trusting(t *testing.T, dbURL string, settings ...string) *world {
	t.Helper()
	clock := &harness.Clock{}
	corp, lax := newFake(t, clock.Now), newFake(t, clock.Now)
	file := upstreams(t, fmt.Sprintf(`
- {id: corp, kind: oidc, name: Corp, issuer: %q, client_id: gatehouse, secret_file: secret, signup: [corp.example], authoritative_for: [corp.example],
   trust_amr: true}
- {id: lax, kind: oidc, name: Lax, issuer: %q, client_id: gatehouse, secret_file: secret, signup: ["*"]}
`, corp.URL, lax.URL))
	return &world{harness.OpenAt(t, dbURL, clock.Now, append([]string{"UPSTREAMS_FILE=" + file}, settings...)...), clock, corp, lax}
}

// newest is what the newest session has shown.
func (w *world) newest() (amr string) {
	w.Helper()
	for _, one := range []string{`["fed"]`, `["fed","mfa"]`, `["fed","otp","mfa"]`} {
		if w.Count(`SELECT COUNT(*) FROM session WHERE id = (SELECT MAX(id) FROM session) AND amr = '`+one+`'`) == 1 {
			return one
		}
	}
	return ""
}

// With trust_amr a second factor that somebody has shown at the provider counts, if the signed ID token says mfa in so many letters; whatever else it says,
// or somebody else says, an account that has a factor is asked for it.
func TestTrustAMR_WhatCounts(t *testing.T) {
	dbtest.EachProduction(t, func(t *testing.T, dbURL string) {
		w := trusting(t, dbURL)
		w.corp.is("1", bob, true)
		b := w.Browser()
		signedIn(b, by(b, w.corp, "corp"), bob)
		if got := w.newest(); got != `["fed"]` {
			t.Errorf("without a word of factors: %s", got)
		}
		w.corp.is("1", bob, true, map[string]any{"amr": []string{"pwd", "mfa"}})
		b = w.Browser()
		signedIn(b, by(b, w.corp, "corp"), bob)
		if got := w.newest(); got != `["fed","mfa"]` {
			t.Errorf("a factor was shown there: %s", got)
		}
		said, err := base64.RawURLEncoding.DecodeString(strings.Split(b.Cookie("gatehouse_at"), ".")[1])
		if err != nil || !strings.Contains(string(said), `"amr":["fed","mfa"]`) {
			t.Errorf("%v: the token says %s", err, said)
		}
	})
	dbtest.EachProduction(t, func(t *testing.T, dbURL string) {
		w := trusting(t, dbURL)
		w.verified(bob)
		w.corp.is("1", bob, true)
		w.AppFor(w.clock, bob)
		asks := func(f *fake, id string) bool {
			t.Helper()
			b := w.Browser()
			a := by(b, f, id)
			asked := a.Status == 303 && a.Header.Get("Location") == "/login/second"
			if asked == (in(b) == bob) {
				t.Fatalf("%d %s, and %q is signed in", a.Status, a.Header.Get("Location"), in(b))
			}
			return asked
		}
		for name, amr := range map[string]any{ // ten sign-ins of an account may wait for their second step
			"nothing": nil, "one factor": []string{"pwd"}, "two, but not mfa": []string{"pwd", "otp"}, "other letters": []string{"MFA"}, "a text": "mfa",
			"a list in a list": []any{[]string{"mfa"}}, "an object": map[string]bool{"mfa": true}, "a mixed list": []any{"mfa", 1},
		} {
			w.corp.is("1", bob, true, map[string]any{"amr": amr})
			if !asks(w.corp, "corp") {
				t.Errorf("%s: nobody is asked", name)
			}
		}
		// The acr says nothing, nor does the userinfo document, which is not signed.
		w.corp.is("1", bob, true, map[string]any{"acr": "2fa"})
		if !asks(w.corp, "corp") {
			t.Error("the acr of a provider counts")
		}
		w.corp.is("1", bob, true, map[string]any{"amr": []string{"pwd", "mfa"}})
		if asks(w.corp, "corp") {
			t.Error("mfa of a trusted provider does not count")
		}
	})
}

// It is one provider's word: that of another, which the same account is linked to, counts nothing.
func TestTrustAMR_IsOneProviders(t *testing.T) {
	w := trusting(t, dbtest.SQLite(t))
	w.verified(ada)
	b := w.Browser()
	b.SignIn(ada)
	w.lax.is("9", ada, true)
	linking(b, w.lax, "lax")
	w.AppFor(w.clock, ada)
	w.lax.is("9", ada, true, map[string]any{"amr": []string{"mfa"}})
	b = w.Browser()
	if a := by(b, w.lax, "lax"); a.Header.Get("Location") != "/login/second" || in(b) != "" {
		t.Errorf("%d %s", a.Status, a.Header.Get("Location"))
	}
}

// Where SECOND_FACTOR demands a factor of everybody, that shown at a trusted provider does; where it must be a passkey, it does not.
func TestTrustAMR_AndWhatIsDemanded(t *testing.T) {
	w := trusting(t, dbtest.SQLite(t), "SECOND_FACTOR=*")
	w.corp.is("1", bob, true, map[string]any{"amr": []string{"mfa"}})
	b := w.Browser()
	signedIn(b, by(b, w.corp, "corp"), bob)
	w.corp.is("1", bob, true, map[string]any{"amr": []string{"pwd"}})
	b = w.Browser()
	if a := by(b, w.corp, "corp"); a.Header.Get("Location") != "/login/enrol" || in(b) != "" {
		t.Errorf("one factor: %d %s", a.Status, a.Header.Get("Location"))
	}
	w = trusting(t, dbtest.SQLite(t), "SECOND_FACTOR=*:passkey")
	w.corp.is("1", bob, true, map[string]any{"amr": []string{"mfa"}})
	b = w.Browser()
	if a := by(b, w.corp, "corp"); a.Header.Get("Location") != "/login/enrol" || in(b) != "" {
		t.Errorf("a passkey is demanded: %d %s", a.Status, a.Header.Get("Location"))
	}
}
