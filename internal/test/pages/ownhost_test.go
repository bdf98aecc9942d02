package pages_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// An application on a host of its own, behind nginx, in Chromium: its person is led to sign in, comes back to the page, follows a link from another
// site and is still in, in a second tab too; and once the session is over is led to sign in again.
func TestASVS_V3_5_4_AnApplicationOnAHostOfItsOwnInChromium(t *testing.T) {
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = fmt.Fprintf(w, `<p id="here">%s</p><p id="path">%s</p>`, r.Header.Get("X-Auth-Email"), r.RequestURI)
	}))
	t.Cleanup(behind.Close)
	listens := harness.FreePort(t)
	port := listens[strings.LastIndexByte(listens, ':'):]
	auth, app := "http://auth.localhost"+port, "http://wiki.localhost"+port
	h := harness.Open(t, dbtest.SQLite(t), "PUBLIC_URL="+auth, "TRUSTED_PROXIES=127.0.0.1")
	gatehouse := strings.TrimPrefix(h.App.URL(), "http://")
	harness.Nginx(t, listens, "server { listen "+listens+"; server_name auth.localhost; location / { proxy_pass http://"+gatehouse+";\n"+
		"proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;\n"+
		"proxy_set_header X-Forwarded-Host \"\"; proxy_buffer_size 32k; proxy_buffers 4 32k; } }\n"+
		"server { listen "+listens+"; server_name wiki.localhost;\n"+harness.Guide(t, "own-hosts.md", "127.0.0.1:8000", gatehouse, "127.0.0.1:8080",
		strings.TrimPrefix(behind.URL, "http://"), "auth.example.com", "auth.localhost"+port)+"\n}\n")
	h.Register("ada@example.org")
	if _, _, err := h.Operator().RegisterClient(t.Context(), "wiki", client.Guarded, client.Settings{
		RedirectURIs: []string{app + client.EnterPath},
	}, harness.OriginOfTests); err != nil {
		t.Fatal(err)
	}
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, `<a id="link" href="%s/linked">the wiki</a>`, app)
	}))
	t.Cleanup(elsewhere.Close)

	c := newChromium(h)
	signIn := func() {
		t.Helper()
		c.run("the sign-in page", chromedp.WaitVisible("#email"))
		if at := c.eval("location.origin"); at != auth {
			t.Fatalf("the sign-in page is at %s", at)
		}
		c.run("sign-in", chromedp.SendKeys("#email", "ada@example.org"), chromedp.SendKeys("#password", harness.Passphrase), chromedp.Click(".btn.main"))
	}
	here := func(path string) {
		t.Helper()
		c.run("the application", chromedp.WaitVisible("#here"))
		who, at, shown := c.eval("document.getElementById('here').textContent"), c.eval("location.origin"), c.eval("document.getElementById('path').textContent")
		if who != "ada@example.org" || at != app || shown != path {
			t.Errorf("at %s%s it sees %q", at, shown, who)
		}
	}
	h.Eventually("the registration", func() (string, bool) {
		got := h.Do(harness.Request{Method: "GET", Path: "/.gatehouse/begin", Header: http.Header{
			"X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"wiki.localhost" + port}, "X-Forwarded-For": {"127.0.0.2"},
		}})
		return got.Text, got.Status == 303
	})
	c.run("a page of the application", chromedp.Navigate(app+"/page?q=a%20b"))
	signIn()
	here("/page?q=a%20b")
	c.run("another site", chromedp.Navigate(elsewhere.URL), chromedp.WaitVisible("#link"), chromedp.Click("#link"))
	here("/linked")
	if _, err := h.Operator().EndSessions(t.Context(), "ada@example.org", harness.OriginOfTests); err != nil {
		t.Fatal(err)
	}
	h.Eventually("the application sees nobody", func() (string, bool) {
		c.run("the application again", chromedp.Navigate(app+"/after"), chromedp.WaitReady("body"))
		at := c.eval("location.origin")
		return at, at == auth
	})
	signIn()
	here("/after")
}
