package openid

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
	"github.com/gatehouse-auth/gatehouse/internal/test/proctest"
	"github.com/gatehouse-auth/gatehouse/verify"
)

const (
	open      = "CLIENT_REGISTRATION=open"
	localhost = "http://localhost/callback"
)

func registering(body string, header ...string) harness.Request {
	r := harness.Request{Method: "POST", Path: "/oauth2/register", Body: body, ContentType: "application/json", Header: http.Header{}}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

// selfRegistered has an application register itself.
func selfRegistered(h *harness.Server, body string) app {
	h.Helper()
	got := h.Expect(201, "", registering(body))
	if got.Str("token_endpoint_auth_method") != "none" || got.Str("client_secret") != "" || got.Fields["first_party"] != nil {
		h.Errorf("%s", got.Text)
	}
	a := app{h, client.Client{ID: got.Str("client_id"), Self: true}, ""}
	h.Eventually("the registration", func() (string, bool) {
		r := h.Do(a.form("/oauth2/revoke", url.Values{"token": {"x"}}))
		return r.Text, r.Status == 200
	})
	return a
}

// What registers itself has people sign in, who are told that nobody has checked it, each time; it has tokens for open resources alone, and
// no address of ours leads from a stranger's link to it.
func TestASVS_V10_4_1_V10_7_1_WhatRegistersItself(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		verified(h, ada)
		resources(h)
		if _, err := h.Operator().SetResource(t.Context(), notes, func(r client.Resource) client.Resource {
			r.Open = true
			return r
		}, harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		a := selfRegistered(h, `{"client_name":"A tool","redirect_uris":["`+redirect+`"],"first_party":true,"require_roles":[],
			"token_endpoint_auth_method":"client_secret_post","scope":"x","jwks":{"keys":[]}}`)
		b := h.Browser()
		_, to := a.ask(b, "resource", files)
		if to.Host != "" {
			t.Errorf("a stranger's link leads from us to %s", to)
		}
		for range 2 {
			page, at := a.ask(b, "resource", notes, "scope", "notes.read")
			if at.Host == "" && strings.Contains(page.Text, `action="/login"`) {
				page, at = signIn(b, page, ada)
			}
			if at.Host != "" || !strings.Contains(page.Text, "A tool registered itself. Nobody here has checked it") {
				t.Fatalf("%s: nobody is told\n%s", at, page.Text)
			}
			got := h.Expect(200, "", a.exchanging(a.code(say(b, page, "yes"))))
			if audience, scope := aud(got.Str("access_token")); audience != notes || scope != "notes.read" {
				t.Errorf("for %q, with %q", audience, scope)
			}
		}
		_, to = a.ask(b, "resource", files) // somebody is signed in: the answer is theirs
		a.refused(to, "invalid_target")
		for _, bad := range []string{
			`{}`, `[]`, `{"redirect_uris":[]}`, `{"redirect_uris":["com.example.app:/cb"]}`, `{"redirect_uris":["http://app.example.org/cb"]}`,
			`{"redirect_uris":["https://app.example.org/*"]}`, `{"redirect_uris":["javascript:alert(1)"]}`,
			`{"redirect_uris":["` + redirect + `"],"client_name":"` + strings.Repeat("x", 101) + `"}`,
		} {
			got := h.Do(registering(bad))
			if got.Status != 400 || got.Str("error") != "invalid_redirect_uri" && got.Str("error") != "invalid_client_metadata" {
				t.Errorf("%s: %d %s", bad, got.Status, got.Text)
			}
		}
		for range 4 {
			h.Expect(201, "", registering(`{"redirect_uris":["`+localhost+`"]}`))
		}
		h.Expect(429, "rate_limited", registering(`{"redirect_uris":["`+localhost+`"]}`))
	}, open)
}

// Scripts of any origin find us and register where that is open; elsewhere only those who have the token register, or nobody.
func TestASVS_V10_4_4_WhoRegistersItself(t *testing.T) {
	const token = "a token of the operator of forty characters"
	body := `{"redirect_uris":["` + localhost + `"]}`
	for setting, status := range map[string]int{open: 201, "CLIENT_REGISTRATION=off": 404, "CLIENT_REGISTRATION=token": 401} {
		shown := strings.ReplaceAll(token, " ", "-")
		h := harness.Open(t, dbtest.SQLite(t), setting, "CLIENT_REGISTRATION_TOKEN="+shown)
		got := h.Do(registering(body, "Origin", "https://app.example.org"))
		if got.Status != status {
			t.Errorf("%s: %d %s", setting, got.Status, got.Text)
		}
		if echoed := got.Header.Get("Access-Control-Allow-Origin"); (echoed == "https://app.example.org") != (setting == open) {
			t.Errorf("%s: scripts of %q may", setting, echoed)
		}
		found := h.Do(harness.Request{Method: "GET", Path: "/.well-known/oauth-authorization-server", Header: http.Header{"Origin": {"https://app.example.org"}}})
		if at := found.Str("registration_endpoint"); (at != "") != (status != 404) ||
			(found.Header.Get("Access-Control-Allow-Origin") != "") != (setting == open) {
			t.Errorf("%s: it is at %q, %v", setting, at, found.Header)
		}
		if got := h.Do(harness.Request{Method: "GET", Path: "/v1/me", Header: http.Header{"Origin": {"https://app.example.org"}}}); got.Header.Get(
			"Access-Control-Allow-Origin") != "" {
			t.Error("any origin's script reads our own API")
		}
		if status == 401 {
			h.Expect(401, "invalid_token", registering(body, "Authorization", "Bearer "+shown+"x"))
			h.Expect(201, "", registering(body, "Authorization", "Bearer "+shown))
		}
	}
}

// What nobody uses goes by itself, and what somebody uses stays.
func TestUnusedRegistrationsGo(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		h.Register(ada)
		used := selfRegistered(h, `{"client_name":"Used","redirect_uris":["`+redirect+`"]}`)
		selfRegistered(h, `{"client_name":"Unused","redirect_uris":["`+redirect+`"]}`)
		register(h, "by-hand", client.Web)
		used.grant(h.Browser(), "scope", "openid offline_access")
		for _, c := range []struct {
			after time.Duration
			want  int
		}{{23 * time.Hour, 3}, {25 * time.Hour, 2}} {
			if err := h.Mailbox().DB.Write(t.Context(), func(tx *db.Tx) error {
				_, err := client.ForgetSelf(tx, clock.Now().Add(c.after), 100)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			if n := h.Count(`SELECT COUNT(*) FROM client`); n != c.want {
				t.Errorf("after %v there are %d", c.after, n)
			}
		}
	}, open)
}

// TestMCPClient: the client of the Model Context Protocol's SDK finds a server's resource by RFC 9728, registers itself, has a person sign in, and
// calls the server with a token for that alone.
func TestMCPClient(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), open)
	verified(h, ada)
	var v *verify.Verifier
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	defer server.Close()
	resource := server.URL + "/mcp"
	mux.HandleFunc("/.well-known/oauth-protected-resource/mcp", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"resource": resource, "authorization_servers": []string{h.App.PublicURL()}, "scopes_supported": []string{"notes.read"},
		})
	})
	mux.HandleFunc("/mcp", func(w http.ResponseWriter, r *http.Request) {
		who, err := v.Request(r)
		if err != nil || who.Scope != "notes.read" {
			w.Header().Set("WWW-Authenticate", `Bearer resource_metadata="`+server.URL+`/.well-known/oauth-protected-resource/mcp"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, who.Subject)
	})
	var err error
	if v, err = verify.New(h.App.PublicURL(), verify.WithAddress(h.URL()), verify.WithAudience(resource)); err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if _, err := h.Operator().AddResource(t.Context(), client.Resource{URI: resource, Name: "Notes", Scopes: []client.Scope{{Name: "notes.read"}}, Open: true},
		harness.OriginOfTests); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join("testdata", "mcp.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := proctest.Node(t, string(text), resource)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	a, b, last := app{Server: h}, h.Browser(), ""
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if last = lines.Text(); !strings.HasPrefix(last, "http") {
			continue
		}
		to, err := url.Parse(last)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(in, a.whereTo(b, to.RequestURI()).String()+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Wait(); err != nil || !strings.HasPrefix(last, "done ") {
		t.Errorf("%v: %s", err, last)
	}
}
