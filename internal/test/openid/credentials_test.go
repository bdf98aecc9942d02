package openid

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
	"github.com/gatehouse-auth/gatehouse/internal/test/proctest"
)

// service registers one that may ask for a resource.
func service(h *harness.Server, name string, change ...func(*client.Settings)) app {
	h.Helper()
	s := client.Settings{Resources: []string{notes}}
	for _, c := range change {
		c(&s)
	}
	c, secret, err := h.Operator().RegisterClient(h.Context(), name, client.Service, s, harness.OriginOfTests)
	if err != nil {
		h.Fatal(err)
	}
	a := app{h, c, secret}
	if secret != "" {
		a.told()
	}
	return a
}

// told waits until the application is known here.
func (a app) told() {
	a.Helper()
	a.Eventually("the registration of "+a.Name, func() (string, bool) {
		got := a.Do(a.form("/oauth2/introspect", asking))
		return got.Text, got.Status == 200
	})
}

// own asks for a token of the service's own.
func (a app) own(more ...string) harness.Request {
	in := url.Values{"grant_type": {"client_credentials"}, "resource": {notes}}
	for i := 0; i < len(more); i += 2 {
		in.Set(more[i], more[i+1])
		if more[i+1] == "" {
			in.Del(more[i])
		}
	}
	return a.form("/oauth2/token", in)
}

// A service gets tokens for itself: for a resource that it is registered for, with its scopes there, in which nobody signed in. They open
// nothing else, and there is no refresh token.
func TestASVS_V10_4_4_ClientCredentials(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		verified(h, ada)
		resources(h)
		a := service(h, "billing", func(s *client.Settings) { s.Scopes = []string{"notes.read"} })
		got := h.Expect(200, "", a.own())
		claims := said(got.Str("access_token"))
		if claims["sub"] != a.ID || claims["client_id"] != a.ID || claims["aud"] != notes || claims["scope"] != "notes.read" || claims["sid"] == "" ||
			claims["auth_time"] != claims["iat"] || len(claims["amr"].([]any)) != 0 || claims["acr"] != nil || claims["roles"] != nil {
			t.Errorf("it says %v", claims)
		}
		for _, name := range []string{"refresh_token", "id_token"} {
			if got.Str(name) != "" {
				t.Errorf("there is one: %s", name)
			}
		}
		if got.Str("scope") != "notes.read" || got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%v %s", got.Header, got.Text)
		}
		for _, path := range []string{"/v1/me", "/v1/forward-auth", "/oauth2/userinfo"} {
			h.Expect(401, "invalid_token", harness.Get(path, got.Str("access_token")))
		}
		a.invalid(400, "invalid_target", a.own("resource", files))
		a.invalid(400, "invalid_target", a.own("resource", h.App.URL()+"/oauth2/userinfo"))
		a.invalid(400, "invalid_target", a.own("resource", h.App.URL()))
		a.invalid(400, "invalid_target", a.own("resource", ""))
		a.invalid(400, "invalid_scope", a.own("scope", "share"))
		a.invalid(400, "invalid_scope", a.own("scope", "openid email"))
		a.invalid(400, "unauthorized_client", a.form("/oauth2/token", url.Values{"grant_type": {"authorization_code"}, "code": {"x"}}))
		// A service without a resource gets none, nor has an application for itself what people let it do.
		none := service(h, "reader", func(s *client.Settings) { s.Resources = nil })
		none.invalid(400, "invalid_target", none.own())
		for _, kind := range []client.Type{client.Web, client.SPA, client.Native} {
			other := register(h, string(kind), kind)
			other.invalid(400, "unauthorized_client", other.own())
		}
		wrong := app{h, a.Client, "gatehouse_cs_wrong"}
		wrong.invalid(401, "invalid_client", wrong.own())
	})
}

// What a service has got for itself ends when it is disabled, when it gives one back, and when its secret ends at once; what it gets after
// that is good.
func TestASVS_V10_4_9_AServicesTokensEnd(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		resources(h)
		o := h.Operator()
		a := service(h, "billing")
		server := service(h, "notes-server", func(s *client.Settings) { s.Resources, s.Serves = nil, []string{notes} })
		active := func(token string) bool {
			told := h.Expect(200, "", server.form("/oauth2/introspect", url.Values{"token": {token}}))
			return told.Fields["active"] == true
		}
		ended := func(what, token string) {
			t.Helper()
			h.Eventually(what, func() (string, bool) { return "it is still good", !active(token) })
		}
		first := h.Expect(200, "", a.own()).Str("access_token")
		if second := h.Expect(200, "", a.own()).Str("access_token"); said(second)["sid"] != said(first)["sid"] || !active(first) || !active(second) {
			t.Error("two tokens of one service have two sids")
		}
		h.Expect(200, "", server.form("/oauth2/revoke", url.Values{"token": {first}})) // another's
		if !active(first) {
			t.Error("another service has ended it")
		}
		h.Expect(200, "", a.form("/oauth2/revoke", url.Values{"token": {first}}))
		ended("given back", first)
		fresh := func(what string) (token string) {
			t.Helper()
			h.Eventually(what, func() (string, bool) {
				got := h.Do(a.own())
				token = got.Str("access_token")
				return got.Text, got.Status == 200 && active(token)
			})
			return token
		}
		token := fresh("after it was given back")
		if _, err := o.DisableClient(t.Context(), "billing", true, harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		ended("disabled", token)
		h.Eventually("no more", func() (string, bool) { r := h.Do(a.own()); return r.Text, r.Status == 401 })
		if _, err := o.DisableClient(t.Context(), "billing", false, harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		if active(token) {
			t.Error("enabled again, and the old token is good")
		}
		token = fresh("enabled again")
		c, secret, err := o.RotateClient(t.Context(), "billing", o.Now(), harness.OriginOfTests)
		if err != nil {
			t.Fatal(err)
		}
		ended("its secret ended at once", token)
		a = app{h, c, secret}
		token = fresh("with the new secret")
		if _, err := o.DeleteClient(t.Context(), "billing", harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		ended("deleted", token)
	})
}

// Sixteen who ask at once for the first token of a service get the same sid; one who is disabled meanwhile leaves no token that is good.
func TestSixteenAskForTheFirstToken(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		resources(h)
		server := service(h, "notes-server", func(s *client.Settings) { s.Resources, s.Serves = nil, []string{notes} })
		for _, disabled := range []bool{false, true} {
			a := service(h, "billing-"+map[bool]string{true: "disabled", false: "on"}[disabled])
			var (
				all  sync.WaitGroup
				mu   sync.Mutex
				sids = map[any]bool{}
				got  []string
			)
			for i := range 16 {
				all.Go(func() {
					if disabled && i == 8 {
						if _, err := h.Operator().DisableClient(t.Context(), a.Name, true, harness.OriginOfTests); err != nil {
							t.Error(err)
						}
						return
					}
					r := h.Do(a.own())
					mu.Lock()
					defer mu.Unlock()
					if token := r.Str("access_token"); token != "" {
						sids[said(token)["sid"]] = true
						got = append(got, token)
					}
				})
			}
			all.Wait()
			if !disabled && (len(got) != 16 || len(sids) != 1) {
				t.Errorf("%d tokens with %d sids", len(got), len(sids))
			}
			for _, token := range got {
				if disabled {
					h.Eventually("the end of all", func() (string, bool) {
						told := h.Expect(200, "", server.form("/oauth2/introspect", url.Values{"token": {token}}))
						return told.Text, told.Fields["active"] == false
					})
				}
			}
		}
	})
}

// openid-client gets tokens for a resource as a service, with a secret and with a key.
func TestOpenIDClientAsAService(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	resources(h)
	private := newKey(t)
	keyed := service(h, "keyed", func(s *client.Settings) { s.JWKS = keySet(t, jose.JSONWebKey{Key: private.Public(), KeyID: "one"}) })
	key, err := jose.JSONWebKey{Key: private}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	a := service(h, "billing") // known here, so the one before is
	text, err := os.ReadFile(filepath.Join("testdata", "service.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	for id, proof := range map[string]string{a.ID: a.secret, keyed.ID: string(key)} {
		out, err := proctest.Node(t, string(text), h.App.URL(), id, proof, notes).CombinedOutput()
		if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "done "+id) {
			t.Errorf("%v: %s", err, out)
		}
	}
}
