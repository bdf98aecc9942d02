package openid

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// written is a file of one application with that secret.
func written(t *testing.T, secret, more string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(secret))
	path := filepath.Join(t.TempDir(), "clients.yaml")
	text := fmt.Sprintf("clients:\n  - id: shop\n    type: web\n    first_party: true\n    secret_sha256: %s\n    redirect_uris: [%s]\n%s",
		hex.EncodeToString(sum[:]), redirect, more)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// An application that CLIENTS_FILE describes is there when the server is ready, under its name; the console and the API refuse to change it.
func TestApplicationsOfAFile(t *testing.T) {
	const secret = "a secret of the application's own, long enough"
	dbtest.EachProduction(t, func(t *testing.T, dbURL string) {
		h := harness.Open(t, dbURL, "CLIENTS_FILE="+written(t, secret, ""))
		h.Register(ada)
		o := h.Operator()
		c, err := o.Client(t.Context(), "shop")
		if err != nil || c.ID != "shop" || !c.FromFile {
			t.Fatalf("%+v %v", c, err)
		}
		a := app{h, c, secret}
		got := a.grant(h.Browser())
		if a.userInfo(got.Str("access_token")).Status != 200 {
			t.Error("nobody signs in to it")
		}
		if _, err := o.SetRoles(t.Context(), ada, []string{"admin"}, harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		bearer := h.Login(ada).Str("access_token")
		for _, r := range []harness.Request{
			{Method: "PATCH", Path: "/v1/admin/clients/shop", Bearer: bearer, Body: `{"disabled":true,"reason":"Exercise"}`},
			{Method: "POST", Path: "/v1/admin/clients/shop/secret", Bearer: bearer, Body: `{"reason":"Exercise"}`},
			{Method: "DELETE", Path: "/v1/admin/clients/shop?reason=Exercise", Bearer: bearer},
		} {
			h.Expect(409, "managed_by_file", r)
		}
		if told := h.Expect(200, "", harness.Get("/v1/admin/clients", bearer)); !strings.Contains(told.Text, `"managed_by_file":true`) {
			t.Errorf("the list: %s", told.Text)
		}

		// The next start with another file changes it, and takes what the person had with a disabled one.
		if err := h.Stop(); err != nil {
			t.Fatal(err)
		}
		next := harness.Open(t, dbURL, "CLIENTS_FILE="+written(t, secret, "    disabled: true\n"))
		a = app{next, c, secret}
		a.invalid(401, "invalid_client", a.refreshing(got.Str("refresh_token")))
	})
}

const apis = "resources:\n  - {uri: %s, name: Notes, scopes: [notes.read Read your notes]}\n"

// A resource that CLIENTS_FILE describes is there when the server is ready, and what its application asks for it gets; the API refuses to change it.
// Once the file does not have it any more no tokens are made for it, at a refresh either.
func TestResourcesOfAFile(t *testing.T) {
	const secret = "a secret of the application's own, long enough"
	dbtest.EachProduction(t, func(t *testing.T, dbURL string) {
		h := harness.Open(t, dbURL, "CLIENTS_FILE="+written(t, secret, fmt.Sprintf(apis, notes)))
		h.Register(ada)
		o := h.Operator()
		c, err := o.Client(t.Context(), "shop")
		if err != nil {
			t.Fatal(err)
		}
		a := app{h, c, secret}
		got := a.grant(h.Browser(), "resource", notes, "scope", "openid notes.read")
		if audience, scope := aud(got.Str("access_token")); audience != notes || scope != "notes.read" {
			t.Errorf("the token is for %q, %q", audience, scope)
		}
		if _, err := o.SetRoles(t.Context(), ada, []string{"admin"}, harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		bearer := h.Login(ada).Str("access_token")
		for _, r := range []harness.Request{
			{Method: "PUT", Path: "/v1/admin/resources", Bearer: bearer, Body: harness.Body{"uri": notes, "name": "X", "reason": "Exercise"}},
			{Method: "DELETE", Path: "/v1/admin/resources?reason=Exercise&uri=" + notes, Bearer: bearer},
		} {
			h.Expect(409, "managed_by_file", r)
		}
		if told := h.Expect(200, "", harness.Get("/v1/admin/resources", bearer)); !strings.Contains(told.Text, `"managed_by_file":true`) {
			t.Errorf("the list: %s", told.Text)
		}
		if err := h.Stop(); err != nil {
			t.Fatal(err)
		}
		next := harness.Open(t, dbURL, "CLIENTS_FILE="+written(t, secret, ""))
		a = app{next, c, secret}
		a.invalid(400, "invalid_target", a.form("/oauth2/token", url.Values{
			"grant_type": {"refresh_token"}, "refresh_token": {got.Str("refresh_token")}, "resource": {notes},
		}))
		// An application at the console's host is refused, all of the file with it.
		beside := next.Operator()
		beside.Console = "https://console.example.org"
		file, err := client.ReadFile(written(t, secret,
			"  - {id: beside, type: spa, redirect_uris: [https://console.example.org/cb]}\n"+fmt.Sprintf(apis, notes)), true)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := beside.ApplyClients(t.Context(), file, false, harness.OriginOfTests); err == nil {
			t.Error("an application at the console's host is taken")
		}
		if r, err := beside.Resource(t.Context(), notes); err != nil || !r.Disabled || !r.FromFile {
			t.Errorf("the resource is %+v, %v", r, err)
		}
	})
}

// Sixteen who apply a file at once, and two files by turns, leave what one of them says, and each application once.
func TestSixteenApplyAFile(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		o := h.Operator()
		if err := o.SignsID(t.Context(), "RS256"); err != nil { // else each of sixteen looks for an RSA key
			t.Fatal(err)
		}
		var files [2]client.Described
		for i := range files {
			var err error
			more := fmt.Sprintf("  - {id: app%d, type: spa, redirect_uris: [https://app.example.org/%d]}\n", i, i) +
				fmt.Sprintf(apis, fmt.Sprintf("https://api.example.org/%d", i)) // each names one that the other does not have
			if files[i], err = client.ReadFile(written(t, fmt.Sprint("secret ", i), more), true); err != nil {
				t.Fatal(err)
			}
		}
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				if _, err := o.ApplyClients(t.Context(), files[i%2], false, harness.OriginOfTests); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		done, err := o.ApplyClients(t.Context(), files[0], false, harness.OriginOfTests)
		if err != nil {
			t.Fatal(err)
		}
		again, err := o.ApplyClients(t.Context(), files[0], false, harness.OriginOfTests)
		if err != nil || len(again) > 0 {
			t.Errorf("%v; applied %v, and then %v", err, done, again)
		}
		list, err := o.Clients(t.Context())
		if err != nil || len(list) != 3 {
			t.Fatalf("%v: %+v", err, list)
		}
		for _, c := range list {
			if off := !c.DisabledAt.IsZero(); off != (c.Name == "app1") {
				t.Errorf("%s is disabled: %v", c.Name, off)
			}
		}
		plan, err := o.PlanClients(t.Context(), files[1], true)
		if err != nil || len(plan) != 5 || plan[2] != (operate.Applied{Name: "app0", Did: operate.Deleted}) ||
			plan[3] != (operate.Applied{Name: "https://api.example.org/0", Resource: true, Did: operate.Deleted}) {
			t.Errorf("%v: %v", err, plan)
		}
		a := app{h, client.Client{ID: "shop"}, "secret 0"}
		h.Eventually("the secret", func() (string, bool) {
			r := a.form("/oauth2/introspect", asking)
			got := h.Do(r)
			return got.Text, got.Status == http.StatusOK
		})
	})
}
