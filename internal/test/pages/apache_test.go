package pages_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// apacheConf is an Apache with mod_auth_openidc, of Debian. The names in capitals are replaced; what guards an application is the guide's.
const apacheConf = `ServerRoot DIR
PidFile DIR/pid
ServerName localhost
Listen PORT
User www-data
Group www-data
ErrorLog /dev/stderr
LoadModule mpm_event_module MODULES/mod_mpm_event.so
LoadModule authz_core_module MODULES/mod_authz_core.so
LoadModule authn_core_module MODULES/mod_authn_core.so
LoadModule authz_user_module MODULES/mod_authz_user.so
LoadModule proxy_module MODULES/mod_proxy.so
LoadModule proxy_http_module MODULES/mod_proxy_http.so
LoadModule auth_openidc_module MODULES/mod_auth_openidc.so
`

const apacheModules = "/usr/lib/apache2/modules"

// An application behind Apache and mod_auth_openidc, which keeps a session of its own: its person signs in by Gatehouse in Chromium. Signing out
// at Gatehouse leaves them in there until the application is told; once it is, it ends the very session.
func TestOIDC_BackChannel_ModAuthOpenIDCInChromium(t *testing.T) {
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = fmt.Fprintf(w, `<p id="here">%s</p>`, r.Header.Get("OIDC_CLAIM_sub"))
	}))
	t.Cleanup(behind.Close)
	h := harness.Open(t, dbtest.SQLite(t))
	h.Register("ada@example.org")
	listens := harness.FreePort(t)
	site := "http://localhost" + listens[strings.LastIndexByte(listens, ':'):] // another site to the browser than 127.0.0.1
	back := site + "/oidc?logout=backchannel"
	settings := client.Settings{RedirectURIs: []string{site + "/oidc"}, FirstParty: true}
	o := h.Operator()
	app, secret, err := o.RegisterClient(t.Context(), "apache", client.Web, settings, harness.OriginOfTests)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	conf := filepath.Join(dir, "apache.conf")
	guide := changed(t, block(t, "mod-auth-openidc.md", "apache"), "https://auth.example.org", h.URL(), "the client id", app.ID, "the client secret", secret,
		"https://wiki.example.com", site, "http://127.0.0.1:8080/", behind.URL+"/")
	text := strings.NewReplacer("DIR", dir, "PORT", listens, "MODULES", apacheModules).Replace(apacheConf) + guide
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(apacheModules + "/mod_auth_openidc.so"); err != nil {
		t.Fatalf("%v: scripts/servers brings it", err)
	}
	harness.StartProgram(t, listens, "/usr/sbin/apache2", "-DFOREGROUND", "-f", conf)

	c := newChromium(h)
	in := func() string {
		c.run("the application", chromedp.Navigate(site+"/"))
		if strings.HasPrefix(c.eval("location.href"), h.URL()+"/login") {
			c.run("sign-in", chromedp.SendKeys("#email", "ada@example.org"), chromedp.SendKeys("#password", harness.Passphrase), chromedp.Click(".btn.main"))
		}
		c.run("back at the application", chromedp.WaitVisible("#here"))
		return c.eval("document.getElementById('here').textContent")
	}
	h.Eventually("the registration", func() (string, bool) {
		got := h.Do(harness.Get("/oauth2/authorize?client_id=" + app.ID + "&redirect_uri=" + url.QueryEscape(site+"/oidc")))
		return got.Text, got.Status != 400
	})
	sub := in()
	if me := h.Expect(200, "", harness.Get("/v1/me", h.Login("ada@example.org").Str("access_token"))); me.Str("id") != sub {
		t.Fatalf("the application knows %q", sub)
	}
	where := func() string {
		c.run("the application once more", chromedp.Navigate(site+"/"), chromedp.WaitReady("body"))
		return c.eval("location.href")
	}
	end := func() {
		if _, err := o.EndSessions(t.Context(), "ada@example.org", harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		h.Eventually("the notices", func() (string, bool) {
			n := h.Count(`SELECT COUNT(*) FROM logout_notice`)
			return fmt.Sprint(n), n == 0
		})
	}
	end()
	if at := where(); at != site+"/" {
		t.Fatalf("an application that nobody has told: the browser is at %s", at)
	}
	if _, err := o.SetClient(t.Context(), "apache", func(s client.Settings) client.Settings {
		s.BackchannelLogoutURI, s.BackchannelLogoutSessionRequired = back, true
		return s
	}, harness.OriginOfTests); err != nil {
		t.Fatal(err)
	}
	other := newChromium(h)
	c, other = other, c // a fresh browser, beside the one whose session is not this one
	if in() != sub {
		t.Error("another person")
	}
	end()
	if n := h.Count(`SELECT COUNT(*) FROM event WHERE kind = 'logout_notified' AND outcome = 'success'`); n != 1 {
		t.Errorf("%d notices were taken", n)
	}
	if at := where(); !strings.HasPrefix(at, h.URL()+"/login") {
		t.Errorf("told, and the browser is at %s", at)
	}
	if c = other; where() != site+"/" {
		t.Error("another session of the application, which it knows by another sid, ended too")
	}
}
