package openid

import (
	"bufio"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
	"github.com/gatehouse-auth/gatehouse/internal/test/proctest"
)

// TestCertifiedLibrariesSignIn: certified libraries that are not ours find the endpoints, have people sign in, check what they get, refresh, introspect,
// revoke and sign out, with secrets and with keys.
func TestCertifiedLibrariesSignIn(t *testing.T) {
	for _, script := range []string{"oauth4webapi.mjs", "openid-client.mjs"} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			h := harness.Open(t, dbtest.SQLite(t))
			verified(h, ada)
			a := register(h, "app", client.Web)
			a.run(script, a.secret)
			private := newKey(t)
			a = register(h, "keyed", client.Web, func(s *client.Settings) { s.JWKS = keySet(t, jose.JSONWebKey{Key: private.Public(), KeyID: "one"}) })
			key, err := jose.JSONWebKey{Key: private}.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			a.run(script, string(key))
			a = register(h, "short", client.Web, func(s *client.Settings) { s.IDTokenAlg = keyring.ES256 })
			a.run(script, a.secret)
		})
	}
}

// run runs a script as the application, which shows who it is with a secret or a key, and a browser for it.
func (a app) run(script, proof string) {
	t, b := a.T, a.Browser()
	text, err := os.ReadFile(filepath.Join("testdata", script))
	if err != nil {
		t.Fatal(err)
	}
	cmd := proctest.Node(t, string(text), a.App.URL(), a.ID, proof, redirect, a.Settings.IDAlgorithm())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var last string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if last = lines.Text(); strings.HasPrefix(last, "done ") {
			break
		}
		to, err := url.Parse(last)
		if err != nil || !strings.HasPrefix(to.Path, "/oauth2/") {
			t.Fatalf("it prints %q", last)
		}
		if _, err := io.WriteString(in, a.whereTo(b, to.RequestURI()).String()+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Wait(); err != nil || !strings.HasPrefix(last, "done ") {
		t.Errorf("%v: %s", err, last)
	}
}

// whereTo goes where an application sends a browser, through whatever page that needs, and returns the application's address at its end.
func (a app) whereTo(b *harness.Browser, path string) *url.URL {
	page, at := walk(b, path)
	if at.Host == "" && strings.Contains(page.Text, `action="/login"`) {
		page, at = signIn(b, page, ada)
	}
	if at.Host == "" {
		at = say(b, page, "yes")
	}
	return at
}

// TestGoOIDCSignsIn: coreos/go-oidc with x/oauth2, as most servers in Go have it.
func TestGoOIDCSignsIn(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	verified(h, ada)
	a := register(h, "app", client.Web)
	ctx := t.Context()
	provider, err := oidc.NewProvider(ctx, h.App.URL())
	if err != nil {
		t.Fatal(err)
	}
	config := oauth2.Config{
		ClientID: a.ID, ClientSecret: a.secret, Endpoint: provider.Endpoint(), RedirectURL: redirect, Scopes: []string{oidc.ScopeOpenID, "email"},
	}
	verifier, b := oauth2.GenerateVerifier(), h.Browser()
	to, err := url.Parse(config.AuthCodeURL("the state", oidc.Nonce("the nonce"), oauth2.S256ChallengeOption(verifier)))
	if err != nil {
		t.Fatal(err)
	}
	back := a.whereTo(b, to.RequestURI()).Query()
	if back.Get("state") != "the state" || back.Get("iss") != h.App.URL() {
		t.Errorf("the answer: %v", back)
	}
	got, err := config.Exchange(ctx, back.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := got.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: a.ID}).Verify(ctx, raw)
	if err != nil || id.Nonce != "the nonce" || id.VerifyAccessToken(got.AccessToken) != nil {
		t.Fatalf("%v: %+v", err, id)
	}
	if _, err := provider.Verifier(&oidc.Config{ClientID: "another"}).Verify(ctx, raw); err == nil {
		t.Error("an ID token for another application is taken")
	}
	source := config.TokenSource(ctx, got)
	info, err := provider.UserInfo(ctx, source)
	if err != nil || info.Subject != id.Subject || info.Email != ada || !info.EmailVerified {
		t.Errorf("%v: %+v", err, info)
	}
	// It refreshes by itself once the token is over, and again with what it got.
	for range 2 {
		old := got.RefreshToken
		got.Expiry = time.Now().Add(-time.Minute)
		if got, err = config.TokenSource(ctx, got).Token(); err != nil || got.RefreshToken == old {
			t.Fatalf("%v: refreshed", err)
		}
	}
	// The library tries a code again in the other style of authentication when a secret is refused: that spends none.
	config.ClientSecret = "gatehouse_cs_wrong"
	code := a.code(a.through(b))
	if _, err := config.Exchange(ctx, code, oauth2.VerifierOption(verifier)); err == nil {
		t.Error("a wrong secret is taken")
	}
	h.Expect(200, "", a.exchanging(code))
}
