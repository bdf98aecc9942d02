package openid

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
	"github.com/gatehouse-auth/gatehouse/internal/test/proctest"
)

// chromium opens two tabs of one browser.
func chromium(t *testing.T) (tabs [2]context.Context) {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.Flag("disable-dev-shm-usage", true))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // root has no other way
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*harness.Patience)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	for i := range tabs {
		if ctx, cancel = chromedp.NewContext(ctx); i == 0 {
			if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
				t.Fatalf("Chromium: %v. On Debian: apt-get install chromium", err)
			}
		}
		t.Cleanup(cancel)
		tabs[i] = ctx
	}
	return tabs
}

// TestOIDCClientTSInChromium: a single-page application on an origin of its own signs in with oidc-client-ts, renews by refresh token and in a
// frame, from two tabs at once, and signs out.
func TestOIDCClientTSInChromium(t *testing.T) {
	library := filepath.Join(proctest.Modules(t), "oidc-client-ts/dist/browser/oidc-client-ts.min.js")
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/oidc-client-ts.min.js" {
			http.ServeFile(w, r, library)
			return
		}
		http.ServeFile(w, r, "testdata/spa.html")
	}))
	defer page.Close()
	h := harness.Open(t, dbtest.SQLite(t))
	verified(h, ada)
	a := register(h, "shop", client.SPA, func(s *client.Settings) {
		s.RedirectURIs, s.PostLogoutURIs = []string{page.URL + "/", page.URL + "/silent"}, []string{page.URL + "/"}
	})
	tabs := chromium(t)
	do := func(tab context.Context, what string, actions ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(tab, actions...); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	is := func(tab context.Context, expression string) string {
		t.Helper()
		text, err := chromedp.Run(tab, chromedp.Evaluate[string](`(async () => String(await (`+expression+`)))()`, chromedp.EvalAwaitPromise))
		if err != nil {
			t.Fatalf("%s: %v", expression, err)
		}
		return text
	}
	start := page.URL + "/?" + url.Values{"authority": {h.App.URL()}, "client": {a.ID}}.Encode()
	first, second := tabs[0], tabs[1]
	do(first, "sign in", chromedp.Navigate(start), chromedp.WaitReady("#out"), chromedp.Evaluate[chromedp.Void](`void manager.signinRedirect()`),
		chromedp.WaitVisible("#password"), chromedp.SendKeys("#email", ada), chromedp.SendKeys("#password", harness.Passphrase),
		chromedp.Click(".btn.main"), chromedp.WaitVisible(`button[value="yes"]`), chromedp.Click(`button[value="yes"]`), chromedp.WaitReady("#in"))
	who := is(first, `document.body.textContent`)
	if !strings.HasSuffix(who, " "+ada) {
		t.Fatalf("signed in as %q", who)
	}
	do(second, "a second tab", chromedp.Navigate(page.URL+"/"), chromedp.WaitReady("#in"))
	for what, renew := range map[string]string{"by refresh token": `silent()`, "in a frame": `silent({forceIframeAuth: true})`} {
		var wg sync.WaitGroup
		for _, tab := range tabs {
			wg.Go(func() {
				if got := is(tab, renew); got != who {
					t.Errorf("renewed %s as %q, want %q", what, got, who)
				}
				if got := is(tab, `info()`); got != "200" {
					t.Errorf("renewed %s: the userinfo endpoint answers %s", what, got)
				}
			})
		}
		wg.Wait()
	}
	do(first, "sign out", chromedp.Evaluate[chromedp.Void](`void manager.signoutRedirect()`), chromedp.WaitReady("#out"))
	if got := is(second, `silent({forceIframeAuth: true})`); got != "failed: login_required" {
		t.Errorf("renewed after the end: %s", got)
	}
	if got := is(second, `silent()`); strings.Contains(got, ada) {
		t.Errorf("refreshed after the end: %s", got)
	}
}
