package openid

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

func es256(s *client.Settings) { s.IDTokenAlg = keyring.ES256 }

// Each application's ID tokens are signed with what is set for it, RS256 by default: an independent library finds each key where discovery says,
// and takes no other algorithm. The key for ES256 is made when the first application asks for it.
func TestOIDC_IDTokensByES256(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		verified(h, ada)
		plain, b := register(h, "plain", client.Web, firstParty), h.Browser()
		ring := func() int { return len(h.Keys().Ring.Keys(keyring.IDSignES256)) }
		if n := ring(); n != 0 {
			t.Errorf("nobody has asked, and there are %d keys for ES256", n)
		}
		short := register(h, "short", client.Web, firstParty, es256)
		if n := ring(); n != 1 {
			t.Errorf("there are %d keys for ES256", n)
		}
		said := h.Expect(200, "", harness.Get("/.well-known/openid-configuration"))
		if list, _ := said.Fields["id_token_signing_alg_values_supported"].([]any); !slices.Equal(list, []any{"RS256", "ES256"}) {
			t.Errorf("discovery: %v", list)
		}
		provider, err := oidc.NewProvider(t.Context(), h.App.URL())
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			app
			want, other string
		}{{plain, "RS256", "ES256"}, {short, "ES256", "RS256"}} {
			got := c.grant(b)
			raw := got.Str("id_token")
			if alg := harness.HeaderOf(raw).Alg; alg != c.want {
				t.Fatalf("%s: signed with %s", c.Name, alg)
			}
			c.claims(raw)
			id, err := provider.Verifier(&oidc.Config{ClientID: c.ID}).Verify(t.Context(), raw)
			if err != nil || id.VerifyAccessToken(got.Str("access_token")) != nil {
				t.Errorf("%s: %v", c.Name, err)
			}
			strict := &oidc.Config{ClientID: c.ID, SupportedSigningAlgs: []string{c.other}}
			if _, err := provider.Verifier(strict).Verify(t.Context(), raw); err == nil {
				t.Errorf("%s is taken where %s is wanted", c.want, c.other)
			}
			next := h.Expect(200, "", c.refreshing(got.Str("refresh_token")))
			if alg := harness.HeaderOf(next.Str("id_token")).Alg; alg != c.want {
				t.Errorf("%s: refreshed, signed with %s", c.Name, alg)
			}
			// It is a hint of whose session is meant, as any other.
			if to := c.through(b, "prompt", "none", "id_token_hint", raw); c.code(to) == "" {
				t.Error("no code")
			}
		}
	})
}

// A setting that changes between the code and its exchange holds for the exchange, and back again for a refresh; a browser waits for nothing.
func TestOIDC_TheAlgorithmChangesOnTheWay(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		verified(h, ada)
		a, b := register(h, "app", client.Web, firstParty), h.Browser()
		code := a.code(a.through(b))
		set := func(algorithm string) {
			t.Helper()
			if _, err := h.Operator().SetClient(t.Context(), "app", func(s client.Settings) client.Settings {
				s.IDTokenAlg = algorithm
				return s
			}, harness.OriginOfTests); err != nil {
				t.Fatal(err)
			}
		}
		set(keyring.ES256)
		var got harness.Answer
		h.Eventually("the change", func() (string, bool) { // the replica hears of it within a second
			got = h.Do(a.exchanging(code))
			alg := ""
			if got.Status == http.StatusOK {
				alg = harness.HeaderOf(got.Str("id_token")).Alg
				code = a.code(a.through(b))
			}
			return got.Text, alg == keyring.ES256
		})
		a.Settings.IDTokenAlg = keyring.ES256
		a.claims(got.Str("id_token"))
		set("")
		token := got.Str("refresh_token")
		h.Eventually("the change back", func() (string, bool) {
			next := h.Expect(200, "", a.refreshing(token))
			token = next.Str("refresh_token")
			return next.Text, harness.HeaderOf(next.Str("id_token")).Alg == keyring.RS256
		})
	})
}

// The key for ES256 is replaced by the clock as the other is, published ahead, and ended by key revoke: hints that it has signed mean nothing any
// more, and the next ID token is another key's.
func TestJWT1_TheKeyOfES256IsReplacedAndRevoked(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		h.Register(ada)
		a, b := register(h, "app", client.Web, firstParty, es256), h.Browser()
		k := h.Keys()
		k.Now, k.Period = clock.Now, time.Minute
		first := a.grant(b).Str("id_token")
		old := harness.HeaderOf(first).Kid
		clock.Shift(2 * time.Minute)
		if err := k.Due(t.Context()); err != nil {
			t.Fatal(err)
		}
		all := h.Keys().Ring.Keys(keyring.IDSignES256)
		if len(all) != 2 {
			t.Fatalf("there are %d keys", len(all))
		}
		h.Eventually("the next key", func() (string, bool) { kids, _ := h.Published(); return "", kids[all[1].Name] == keyring.ES256 })
		if kid := harness.HeaderOf(a.grant(b).Str("id_token")).Kid; kid != old {
			t.Errorf("%s signs before everybody may know it", kid)
		}
		clock.Shift(keyring.Lead + time.Minute)
		second := a.grant(b).Str("id_token")
		if kid := harness.HeaderOf(second).Kid; kid != all[1].Name {
			t.Errorf("%s signs, not %s", kid, all[1].Name)
		}
		a.claims(first)
		a.claims(second)
		// Revoked: its hints are nobody's.
		revoked, err := h.Keys().Revoke(t.Context(), []string{all[1].Name}, harness.OriginOfTests)
		if err != nil || len(revoked) != 1 || revoked[0].Purpose != keyring.IDSignES256 {
			t.Fatalf("%v: %v", err, revoked)
		}
		h.Eventually("the revocation", func() (string, bool) { kids, _ := h.Published(); return "", kids[all[1].Name] == "" })
		a.refused(a.through(b, "prompt", "none", "id_token_hint", second), "login_required")
		if third := a.grant(b).Str("id_token"); harness.HeaderOf(third).Kid == all[1].Name || harness.HeaderOf(third).Alg != keyring.ES256 {
			t.Errorf("after the revocation it is signed by %v", harness.HeaderOf(third))
		}
	})
}

// A logout token is signed as the application's ID tokens are.
func TestOIDC_LogoutTokensByES256(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		verified(h, ada)
		l := listen(t, nil)
		a := register(h, "short", client.Web, l.told, es256)
		got := a.grant(h.Browser())
		if _, err := h.Operator().EndSessions(t.Context(), ada, harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		if told := a.logout(l.await(h, 1)); told["sid"] != a.claims(got.Str("id_token"))["sid"] {
			t.Errorf("%v", told)
		}
	})
}

// What the command line, the console and the API take of an algorithm: RS256 and ES256 alone, whoever asks, and nothing for a service.
func TestOIDC_AlgorithmsThatAreRefused(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		bearer := h.Administrator("root@example.org")
		send := func(kind, algorithm string) harness.Answer {
			in, err := json.Marshal(map[string]any{
				"name": "app", "type": kind, "reason": "Exercise",
				"settings": map[string]any{"redirect_uris": []string{redirect}, "id_token_alg": algorithm},
			})
			if err != nil {
				t.Fatal(err)
			}
			return h.Do(harness.Request{Method: "POST", Path: "/v1/admin/clients", Bearer: bearer, Body: string(in)})
		}
		for _, bad := range []string{"none", "HS256", "RS384", "PS256", "EdDSA", "es256", "RS256 ES256"} {
			if got := send("web", bad); got.Status != 400 || !strings.Contains(got.Text, "id_token_alg") {
				t.Errorf("%s: %d %s", bad, got.Status, got.Text)
			}
		}
		for _, kind := range []string{"service", "guarded"} {
			if got := send(kind, "ES256"); got.Status != 400 {
				t.Errorf("%s: %d %s", kind, got.Status, got.Text)
			}
		}
		if got := send("web", "ES256"); got.Status != 201 || !strings.Contains(got.Text, `"id_token_alg":"ES256"`) {
			t.Errorf("%d %s", got.Status, got.Text)
		}
	})
}

// A file sets it too; sixteen who ask for the first key of ES256 at once make one.
func TestSixteenWantTheKeyOfES256(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		entries, err := client.ReadFile(written(t, "a secret", "    id_token_alg: ES256\n"), true)
		if err != nil || entries.Clients[0].Settings.IDTokenAlg != "ES256" {
			t.Fatalf("%v: %+v", err, entries)
		}
		o := h.Operator()
		if err := o.SignsID(t.Context(), keyring.RS256); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				if _, err := o.ApplyClients(t.Context(), entries, false, harness.OriginOfTests); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := len(h.Keys().Ring.Keys(keyring.IDSignES256)); n != 1 {
			t.Errorf("there are %d keys", n)
		}
	})
}
