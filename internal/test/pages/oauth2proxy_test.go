package pages_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
	"github.com/gatehouse-auth/gatehouse/internal/test/proctest"
)

// block returns the first block of a guide in a language.
func block(t *testing.T, guide, language string) string {
	t.Helper()
	text, err := os.ReadFile(proctest.File("docs/guides/" + guide))
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "\n```"+language+"\n")
	inside, _, closed := strings.Cut(after, "\n```\n")
	if !found || !closed {
		t.Fatalf("%s has no block of %s", guide, language)
	}
	return inside + "\n"
}

// changed replaces texts, each of which must be there.
func changed(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("there is no %q in\n%s", pairs[i], text)
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

// tellsWho is an application that says what the proxy before it told of a person.
func tellsWho(t *testing.T) *httptest.Server {
	t.Helper()
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = fmt.Fprintf(w, `<p id="here">%s %s %s</p>`, r.Header.Get("X-Forwarded-User"), r.Header.Get("X-Forwarded-Email"), r.Header.Get("X-Forwarded-Groups"))
	}))
	t.Cleanup(behind.Close)
	return behind
}

// oauth2Proxy starts one with the file of the guide, in front of an application, and returns its address. What the file says of the address, of
// https and of times is changed.
func oauth2Proxy(h *harness.Server, more ...string) (site string) {
	h.Helper()
	programs, err := exec.Command(proctest.File("scripts/oauth2proxy")).Output()
	if err != nil {
		h.Fatalf("scripts/oauth2proxy: %v", err)
	}
	behind := tellsWho(h.T)
	listens := harness.FreePort(h.T)
	site = "http://localhost" + listens[strings.LastIndexByte(listens, ':'):] // another site to the browser than 127.0.0.1
	app, secret, err := h.Operator().RegisterClient(h.Context(), "wiki", client.Web, client.Settings{
		RedirectURIs: []string{site + "/oauth2/callback"}, PostLogoutURIs: []string{site + "/"}, FirstParty: true,
	}, harness.OriginOfTests)
	if err != nil {
		h.Fatal(err)
	}
	dir := h.TempDir()
	for name, text := range map[string]string{"client-secret": secret, "cookie-secret": strings.Repeat("0123456789abcdef", 2)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			h.Fatal(err)
		}
	}
	conf := filepath.Join(dir, "oauth2-proxy.cfg")
	text := changed(h.T, block(h.T, "oauth2-proxy.md", "toml"), `"https://auth.example.org"`, `"`+h.URL()+`"`,
		`"auth.example.org"`, `"`+strings.TrimPrefix(h.URL(), "http://")+`"`, "https://wiki.example.com", site, "the client id", app.ID,
		"/etc/oauth2-proxy", dir, "127.0.0.1:4180", listens, "http://127.0.0.1:8080/", behind.URL+"/", "__Host-wiki", "wiki",
		`"5m"`, `"1s"`) + "cookie_secure = false\n" + strings.Join(more, "\n")
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		h.Fatal(err)
	}
	harness.StartProgram(h.T, listens, filepath.Join(strings.TrimSpace(string(programs)), "oauth2-proxy"), "--config", conf)
	h.Eventually("the registration", func() (string, bool) {
		got := h.Do(harness.Get("/oauth2/authorize?client_id=" + app.ID + "&redirect_uri=" + url.QueryEscape(site+"/oauth2/callback")))
		return got.Text, got.Status != 400
	})
	return site
}

// goTo has a browser go to an application, and sign in if it is led to that; it returns what the application says.
func (c *chromium) goTo(site, email string) string {
	c.Helper()
	c.run("the application", chromedp.Navigate(site+"/"))
	if strings.HasPrefix(c.eval("location.href"), c.URL()+"/login") {
		c.run("sign-in", chromedp.SendKeys("#email", email), chromedp.SendKeys("#password", harness.Passphrase), chromedp.Click(".btn.main"))
	}
	c.run("back at the application", chromedp.WaitVisible("#here"))
	return c.eval("document.getElementById('here').textContent")
}

// The file of the guide, run: oauth2-proxy in front of an application has people sign in with Chromium, refreshes, signs them out, and ends
// what was ended at Gatehouse.
func TestOIDC_OAuth2ProxyInChromium(t *testing.T) {
	const ada = "ada@example.org"
	h := harness.Open(t, dbtest.SQLite(t))
	h.Register(ada)
	o := h.Operator()
	if err := o.Verify(t.Context(), ada, harness.OriginOfTests); err != nil {
		t.Fatal(err)
	}
	site := oauth2Proxy(h)
	c := newChromium(h)
	said := c.goTo(site, ada)
	if me := h.Expect(200, "", harness.Get("/v1/me", h.Login(ada).Str("access_token"))); said != me.Str("id")+" "+ada+" " {
		t.Fatalf("the application knows %q", said)
	}
	generations := func() int { return h.Count(`SELECT COALESCE(SUM(gen), 0) FROM client_grant`) }
	first := generations()
	h.Eventually("a refresh", func() (string, bool) { // oauth2-proxy counts whole seconds
		c.run("the application again", chromedp.Navigate(site+"/"), chromedp.WaitVisible("#here"))
		return fmt.Sprint(generations()), generations() > first+1
	})
	where := func() string {
		c.run("the application once more", chromedp.Navigate(site+"/"), chromedp.WaitReady("body"))
		return c.eval("location.href")
	}
	if at := where(); at != site+"/" {
		t.Fatalf("after refreshes the browser is at %s", at)
	}

	// By the guide's link: out of both, and back at the application, which leads to a sign-in.
	link := changed(t, block(t, "oauth2-proxy.md", "text"), "https%3A%2F%2Fauth.example.org", url.QueryEscape(h.URL()), "https%253A%252F%252Fwiki.example.com",
		url.QueryEscape(url.QueryEscape(site)), "https://wiki.example.com", site)
	c.run("signing out", chromedp.Navigate(strings.TrimSpace(link)), chromedp.WaitVisible("#email"))
	if n := h.Count(`SELECT COUNT(*) FROM session WHERE ended_at IS NULL`); n != 1 { // that of h.Login
		t.Errorf("%d sessions are left", n)
	}

	// What ends at Gatehouse ends there at the next refresh.
	c.goTo(site, ada)
	if _, err := o.EndSessions(t.Context(), ada, harness.OriginOfTests); err != nil {
		t.Fatal(err)
	}
	h.Eventually("the end", func() (string, bool) {
		at := where()
		return at, strings.HasPrefix(at, h.URL()+"/login")
	})
}

// With allowed_groups, as the guide has it, only accounts with the role get in.
func TestOIDC_OAuth2ProxyAsksForARole(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	o := h.Operator()
	for _, email := range []string{"ada@example.org", "bob@example.org"} {
		h.Register(email)
		if err := o.Verify(t.Context(), email, harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := o.SetRoles(t.Context(), "ada@example.org", []string{"staff"}, harness.OriginOfTests); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(proctest.File("docs/guides/oauth2-proxy.md"))
	if err != nil || !strings.Contains(string(text), "`allowed_groups = [\"staff\"]`") {
		t.Fatalf("%v: the guide says something else", err)
	}
	site := oauth2Proxy(h, `allowed_groups = ["staff"]`)
	if said := newChromium(h).goTo(site, "ada@example.org"); !strings.HasSuffix(said, " staff") {
		t.Errorf("the application is told %q", said)
	}
	c := newChromium(h)
	c.run("the application", chromedp.Navigate(site+"/"), chromedp.SendKeys("#email", "bob@example.org"), chromedp.SendKeys("#password", harness.Passphrase),
		chromedp.Click(".btn.main"))
	h.Eventually("a refusal", func() (string, bool) {
		text := c.eval("document.body?.innerText ?? ''")
		return text, strings.Contains(text, "403")
	})
}
