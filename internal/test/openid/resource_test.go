package openid

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
	"github.com/gatehouse-auth/gatehouse/verify"
)

const (
	notes = "https://notes.example.org/mcp"
	files = "https://files.example.org/"
)

// resources registers two, which have a scope of the same name.
func resources(h *harness.Server) {
	h.Helper()
	for _, r := range []client.Resource{
		{URI: notes, Name: "Notes", Scopes: []client.Scope{{Name: "notes.read", Title: "Read your notes"}, {Name: "share"}}},
		{URI: files, Name: "Files", Scopes: []client.Scope{{Name: "files.read"}, {Name: "share"}}},
	} {
		if _, err := h.Operator().AddResource(h.Context(), r, harness.OriginOfTests); err != nil {
			h.Fatal(err)
		}
	}
}

// awaited waits until a request for a resource is taken here: the registry has followed.
func (a app) awaited(uri string) {
	a.Helper()
	a.Eventually("the resource "+uri, func() (string, bool) {
		to := a.Do(harness.Get("/oauth2/authorize?" + a.parameters("resource", uri).Encode())).Header.Get("Location")
		return to, !strings.Contains(to, "invalid_target")
	})
}

// said is what an access token says, unchecked.
func said(access string) (claims map[string]any) {
	if parts := strings.Split(access, "."); len(parts) == 3 {
		payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
		_ = json.Unmarshal(payload, &claims)
	}
	return claims
}

// aud is whom an access token is for, and its scope.
func aud(access string) (audience, scope string) {
	claims := said(access)
	audience, _ = claims["aud"].(string)
	scope, _ = claims["scope"].(string)
	return audience, scope
}

// A token for one resource is refused by all others, at the userinfo endpoint, and at our own API; it has that resource's scopes alone,
// and says nothing of the person's roles.
func TestASVS_V10_3_1_V10_3_2_ATokenForOneResource(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		verified(h, ada)
		resources(h)
		ours, theirs := h.Application("notes-server"), h.Application("files-server")
		for name, uri := range map[string]string{"notes-server": notes, "files-server": files} {
			if _, err := h.Operator().SetClient(t.Context(), name, func(s client.Settings) client.Settings {
				s.Serves = []string{uri}
				return s
			}, harness.OriginOfTests); err != nil {
				t.Fatal(err)
			}
		}
		a, b := register(h, "app", client.Web), h.Browser()
		a.awaited(notes)
		got := a.grant(b, "resource", notes, "scope", "openid email roles offline_access notes.read files.read unknown")
		access := got.Str("access_token")
		if audience, scope := aud(access); audience != notes || scope != "notes.read" || got.Str("scope") != "notes.read" {
			t.Errorf("it is for %q, with %q: %s", audience, scope, got.Text)
		}
		if claims := said(access); claims["roles"] != nil {
			t.Errorf("a resource is told of roles: %v", claims)
		}
		if id := a.claims(got.Str("id_token")); id["email"] != ada {
			t.Errorf("the ID token: %v", id)
		}
		for _, path := range []string{"/v1/me", "/v1/forward-auth", "/v1/me/applications"} {
			h.Expect(401, "invalid_token", harness.Get(path, access))
		}
		if info := a.userInfo(access); info.Status != 401 {
			t.Errorf("the userinfo endpoint takes it: %d", info.Status)
		}
		for _, path := range []string{"/v1/token/introspect", "/oauth2/introspect"} {
			h.Eventually("what the server of the resource is told", func() (string, bool) {
				told := h.Expect(200, "", ours.Ask(path, access))
				return told.Text, told.Fields["active"] == true && told.Str("aud") == notes && told.Str("scope") == "notes.read" && told.Str("client_id") == a.ID
			})
			for what, token := range map[string]string{"access": access, "refresh": got.Str("refresh_token")} {
				if told := h.Expect(200, "", theirs.Ask(path, token)); strings.TrimSpace(told.Text) != `{"active":false}` {
					t.Errorf("another resource's server is told of the %s token at %s: %s", what, path, told.Text)
				}
			}
			if told := h.Expect(200, "", ours.Ask(path, got.Str("refresh_token"))); told.Fields["active"] != false {
				t.Errorf("a resource is told of a refresh token: %s", told.Text)
			}
			// A session's tokens are told of as before.
			if told := h.Expect(200, "", ours.Ask(path, h.Login(ada).Str("access_token"))); told.Fields["active"] != true {
				t.Errorf("a session's token: %s", told.Text)
			}
		}
		for uri, taken := range map[string]bool{notes: true, files: false, h.App.PublicURL(): false} {
			v, err := verify.New(h.App.PublicURL(), verify.WithAddress(h.URL()), verify.WithAudience(uri))
			if err != nil {
				t.Fatal(err)
			}
			if who, err := v.Verify(t.Context(), access); (err == nil) != taken || taken && (who.Scope != "notes.read" || who.Client != a.ID) {
				t.Errorf("verify for %s: %+v, %v", uri, who, err)
			}
			v.Close()
		}
		if told := h.Expect(200, "", a.form("/oauth2/introspect", url.Values{"token": {access}})); told.Fields["active"] != true {
			t.Errorf("its own application: %s", told.Text)
		}
		// It ends with what it was granted.
		h.Expect(200, "", a.form("/oauth2/revoke", url.Values{"token": {access}}))
		if told := h.Expect(200, "", ours.Ask("/v1/token/introspect", access)); told.Fields["active"] != false {
			t.Errorf("revoked: %s", told.Text)
		}
		a.invalid(400, "invalid_grant", a.refreshing(got.Str("refresh_token")))
		if n := h.Logged("suspicious_activity", "access_token_invalid"); n > 0 {
			t.Error("who asks about good tokens is suspicious")
		}
	})
}

// Each token is for one of the resources that were asked for, or for the userinfo endpoint: no other can be put in at the exchange or at
// a refresh, and what is refused spends neither code nor token.
func TestASVS_V10_4_11_OneResourceEachToken(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		verified(h, ada)
		resources(h)
		a, b := register(h, "app", client.Web), h.Browser()
		userInfo := h.URL() + "/oauth2/userinfo"
		a.awaited(notes)
		asked := a.parameters("scope", "openid email notes.read share")
		asked["resource"] = []string{notes, files}
		page, at := walk(b, "/oauth2/authorize?"+asked.Encode())
		if at.Host != "" {
			t.Fatal(at)
		}
		page, _ = signIn(b, page, ada)
		for _, word := range []string{"Notes", notes, "Read your notes", "Files", files, "share"} {
			if !strings.Contains(page.Text, word) {
				t.Errorf("the page does not say %q:\n%s", word, page.Text)
			}
		}
		code := a.code(say(b, page, "yes"))
		for _, wrong := range []string{h.URL(), "gatehouse", notes + "/", "https://evil.example.org/", "x", a.ID} {
			a.invalid(400, "invalid_target", a.exchanging(code, "resource", wrong))
		}
		two := a.exchanging(code)
		two.Body = two.Body.(string) + "&" + url.Values{"resource": {notes, files}}.Encode()
		a.invalid(400, "invalid_target", two)
		got := h.Expect(200, "", a.exchanging(code, "resource", files))
		if audience, scope := aud(got.Str("access_token")); audience != files || scope != "share" {
			t.Errorf("exchanged: for %q, with %q", audience, scope)
		}
		refresh := func(resource, scope string) harness.Request {
			in := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got.Str("refresh_token")}}
			if resource != "" {
				in.Set("resource", resource)
			}
			if scope != "" {
				in.Set("scope", scope)
			}
			return a.form("/oauth2/token", in)
		}
		for _, c := range []struct{ resource, scope, wantAudience, wantScope string }{
			{notes, "", notes, "notes.read share"}, {notes, "share", notes, "share"}, {files, "openid share", files, "share"}, {"", "", userInfo, "openid email"},
			{userInfo, "", userInfo, "openid email"}, {userInfo, "openid notes.read", userInfo, "openid"},
		} {
			a.invalid(400, "invalid_target", refresh("https://evil.example.org/", ""))
			a.invalid(400, "invalid_scope", refresh(notes, "notes.read profile"))
			got = h.Expect(200, "", refresh(c.resource, c.scope))
			if audience, scope := aud(got.Str("access_token")); audience != c.wantAudience || scope != c.wantScope {
				t.Errorf("%+v: for %q, with %q", c, audience, scope)
			}
		}
		if info := a.userInfo(got.Str("access_token")); info.Status != 200 {
			t.Errorf("the userinfo endpoint: %d", info.Status)
		}
		// One that was not asked for can't be put in later.
		plain := a.grant(b)
		a.invalid(400, "invalid_target", a.form("/oauth2/token", url.Values{
			"grant_type": {"refresh_token"}, "refresh_token": {plain.Str("refresh_token")}, "resource": {notes},
		}))
		if audience, scope := aud(h.Expect(200, "", a.refreshing(plain.Str("refresh_token"))).Str("access_token")); audience != userInfo ||
			strings.Contains(scope, "notes") {
			t.Errorf("without a resource: for %q, with %q", audience, scope)
		}
	})
}

// What may be asked for is what is registered, and what the application may have: wherever a request goes on, and at each refresh.
func TestASVS_V10_4_11_WhatMayBeAskedFor(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		h.Register(ada)
		resources(h)
		a, b := register(h, "app", client.Web), h.Browser()
		a.awaited(notes)
		for _, wrong := range []string{"https://evil.example.org/", notes + "#x", h.URL(), "gatehouse", "x"} {
			_, to := a.ask(b, "resource", wrong)
			a.refused(to, "invalid_target")
			a.invalid(400, "invalid_target", a.form("/oauth2/par", a.parameters("resource", wrong)))
		}
		if page, at := a.ask(b, "resource", "two words"); at.Host != "" || page.Status != 400 {
			t.Errorf("no URI: %d %s", page.Status, at)
		}
		_, to := a.ask(b, "resource", notes, "scope", "unknown")
		a.refused(to, "invalid_scope")
		set := func(change func(s *client.Settings)) {
			t.Helper()
			if _, err := h.Operator().SetClient(t.Context(), "app", func(s client.Settings) client.Settings {
				change(&s)
				return s
			}, harness.OriginOfTests); err != nil {
				t.Fatal(err)
			}
		}
		// By a pushed request, without a scope; then the application may have it no more.
		path := a.push("resource", notes, "scope", "")
		page, _ := walk(b, path)
		page, _ = signIn(b, page, ada)
		got := h.Expect(200, "", a.exchanging(a.code(say(b, page, "yes"))))
		if audience, scope := aud(got.Str("access_token")); audience != notes || scope != "" || got.Str("id_token") != "" {
			t.Errorf("for %q, with %q", audience, scope)
		}
		page, _ = a.ask(b, "resource", notes, "scope", "notes.read share")
		late := a.code(say(b, page, "yes"))
		page, _ = a.ask(b, "resource", notes, "scope", "notes.read", "prompt", "consent")
		set(func(s *client.Settings) { s.Resources = []string{files} })
		a.Eventually("the change", func() (string, bool) {
			r := a.Do(a.refreshing(got.Str("refresh_token")))
			if r.Status == 200 {
				got = r
			}
			return r.Text, r.Str("error") == "invalid_target"
		})
		a.invalid(400, "invalid_target", a.exchanging(late))
		a.refused(say(b, page, "yes"), "invalid_target")
		set(func(s *client.Settings) { s.Resources, s.DefaultResource = []string{files, notes}, notes })
		a.awaited(notes)
		got = h.Expect(200, "", a.refreshing(got.Str("refresh_token")))
		h.Expect(200, "", a.exchanging(late))
		// Where it names none, it is taken to ask for its default.
		a.Eventually("the default", func() (string, bool) {
			audience, _ := aud(a.grant(b, "scope", "openid notes.read", "prompt", "consent").Str("access_token"))
			return audience, audience == notes
		})
		set(func(s *client.Settings) { s.Scopes = []string{"openid", "share"} })
		a.Eventually("the scopes", func() (string, bool) {
			r := a.Expect(200, "", a.refreshing(got.Str("refresh_token")))
			got = r
			_, scope := aud(r.Str("access_token"))
			return scope, !strings.Contains(scope, "notes.read")
		})
	})
}

// A person is asked about a resource and its scopes once, and again for what is new alone: for a scope that is known of one resource at
// another too.
func TestASVS_V10_7_1_ConsentToResources(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		h.Register(ada)
		resources(h)
		a, b := register(h, "app", client.Web), h.Browser()
		a.awaited(notes)
		a.grant(b, "resource", notes, "scope", "openid share")
		if _, to := a.ask(b, "resource", notes, "scope", "share"); to.Host == "" {
			t.Error("it is asked for less again")
		}
		for _, more := range [][]string{
			{"resource", notes, "scope", "share notes.read"}, {"resource", files, "scope", "openid"}, {"resource", files, "scope", "share"},
			{"scope", "openid email"},
		} {
			page, to := a.ask(b, more...)
			if to.Host != "" || strings.Count(page.Text, `class="tag"`) != 1 {
				t.Errorf("%v: %s %d new", more, to, strings.Count(page.Text, `class="tag"`))
				continue
			}
			say(b, page, "yes")
			if _, to := a.ask(b, more...); to.Host == "" {
				t.Errorf("%v: asked again", more)
			}
		}
		me := h.Login(ada).Str("access_token")
		list := h.Expect(200, "", harness.Get("/v1/me/applications", me))
		for _, word := range []string{`"uri":"` + notes, `"uri":"` + files, `"notes.read"`} {
			if !strings.Contains(list.Text, word) {
				t.Errorf("the person is not told of %s: %s", word, list.Text)
			}
		}
	})
}

// Sixteen exchanges of one code at once, each for another resource, make one token.
func TestSixteenExchangesForResources(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		h.Register(ada)
		resources(h)
		a, b := register(h, "app", client.Web, firstParty), h.Browser()
		a.awaited(notes)
		asked := a.parameters("scope", "openid")
		asked["resource"] = []string{notes, files}
		page, _ := walk(b, "/oauth2/authorize?"+asked.Encode())
		_, to := signIn(b, page, ada)
		code := a.code(to)
		var (
			mu  sync.Mutex
			won []string
			all sync.WaitGroup
		)
		for i := range 16 {
			all.Go(func() {
				target := []string{notes, files, "https://evil.example.org/"}[i%3]
				got := h.Do(a.exchanging(code, "resource", target))
				mu.Lock()
				defer mu.Unlock()
				if got.Status == http.StatusOK {
					won = append(won, got.Str("access_token"))
				}
			})
		}
		all.Wait()
		if len(won) != 1 {
			t.Fatalf("%d got tokens", len(won))
		}
		if audience, _ := aud(won[0]); !slices.Contains([]string{notes, files}, audience) {
			t.Error(audience)
		}
	})
}

// What can be no resource is refused, and one that an application names stays.
func TestWhatAResourceIs(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		o := h.Operator()
		add := func(r client.Resource) string {
			_, err := o.AddResource(t.Context(), r, harness.OriginOfTests)
			if f := fault.As(err); f != nil {
				return f.Code
			}
			if err != nil {
				t.Fatal(err)
			}
			return ""
		}
		for _, uri := range []string{
			"", "notes", "/notes", "https://notes.example.org/#x", "https://ada@notes.example.org/", "https://notes.example.org/a b", "ftp://notes.example.org/",
			"https://notes.example.org/*", "gatehouse", "urn:x", "https://" + strings.Repeat("x", 600) + ".org/",
		} {
			if code := add(client.Resource{URI: uri, Name: "Notes"}); code != "invalid_resource" {
				t.Errorf("%q: %q", uri, code)
			}
		}
		for _, name := range []string{"openid", "email", "offline_access", "a b", "", `"`} {
			if code := add(client.Resource{URI: notes, Name: "Notes", Scopes: []client.Scope{{Name: name}}}); code != "invalid_scopes" {
				t.Errorf("the scope %q: %q", name, code)
			}
		}
		resources(h)
		if code := add(client.Resource{URI: notes, Name: "Again"}); code != "resource_taken" {
			t.Error(code)
		}
		if code := add(client.Resource{URI: "urn:example:notes", Name: "By a name"}); code != "" {
			t.Error(code)
		}
		_, _, err := o.RegisterClient(t.Context(), "app", client.Service, client.Settings{Resources: []string{"https://evil.example.org/"}}, harness.OriginOfTests)
		if f := fault.As(err); f == nil || f.Code != "unknown_resource" {
			t.Errorf("an application for one that there is not: %v", err)
		}
		if _, _, err := o.RegisterClient(t.Context(), "app", client.Service, client.Settings{Resources: []string{notes}}, harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		if f := fault.As(o.DeleteResource(t.Context(), notes, harness.OriginOfTests)); f == nil || f.Code != "resource_in_use" {
			t.Errorf("one that an application names is deleted: %v", f)
		}
		if err := o.DeleteResource(t.Context(), files, harness.OriginOfTests); err != nil {
			t.Error(err)
		}
		// What is another token's audience here is no resource, whoever registered it.
		root := h.Administrator("root@example.org")
		for _, uri := range []string{h.App.URL(), h.App.URL() + "/oauth2/userinfo"} {
			h.Expect(400, "invalid_resource", harness.Request{
				Method: "POST", Path: "/v1/admin/resources", Bearer: root, Body: harness.Body{"uri": uri, "name": "Us", "reason": "Exercise"},
			})
			if code := add(client.Resource{URI: uri, Name: "Us"}); code != "" { // the operator's settings here name another server
				t.Fatal(code)
			}
		}
		a, b := register(h, "web", client.Web, firstParty), h.Browser()
		h.Register(ada)
		a.awaited(notes)
		_, to := a.ask(b, "resource", h.App.URL())
		a.refused(to, "invalid_target")
		if info := a.userInfo(a.grant(b, "resource", h.App.URL()+"/oauth2/userinfo").Str("access_token")); info.Status != 200 {
			t.Errorf("the userinfo endpoint by name: %d", info.Status)
		}
	})
}
