package pages_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// TestCaseB4_SignInLeadsToAnApplicationInChromium: past form-action, to an origin of CORS_ORIGINS, and under a proxy's
// Referrer-Policy: no-referrer (F5); and a person who is signed in passes the sign-in page unasked, from another site (C12).
func TestCaseB4_SignInLeadsToAnApplicationInChromium(t *testing.T) {
	application := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if to := r.URL.Query().Get("link"); to != "" {
			_, _ = w.Write([]byte(`<a id="link" href="` + to + `">go</a>`))
			return
		}
		_, _ = w.Write([]byte(`<p id="here">` + r.URL.Path + `</p>`))
	}))
	t.Cleanup(application.Close)
	// Another site to the browser: localhost is not 127.0.0.1.
	origin := strings.Replace(application.URL, "127.0.0.1", "localhost", 1)
	h := harness.Open(t, dbtest.SQLite(t), "CORS_ORIGINS="+origin)
	h.Register("ada@example.org")
	c := newChromium(h)
	to := h.App.URL() + "/login?return_to=" + url.QueryEscape(origin+"/dash")
	c.run("sign-in", chromedp.Navigate(to), chromedp.SendKeys("#email", "ada@example.org"), chromedp.SendKeys("#password", harness.Passphrase),
		chromedp.Click(".btn.main"), chromedp.WaitVisible("#here"))
	if at := c.eval("location.href"); at != origin+"/dash" {
		t.Errorf("it leads to %s; the browser says %q", at, c.said())
	}
	for target, want := range map[string]string{to: origin + "/dash", h.App.URL() + "/account": h.App.URL() + "/account",
		h.App.URL() + "/login": h.App.URL() + "/account"} {
		wait := `form[action="/logout"]`
		if target == to {
			wait = "#here"
		}
		c.run("a link on another site", chromedp.Navigate(origin+"/?link="+url.QueryEscape(target)), chromedp.Click("#link"), chromedp.WaitVisible(wait))
		if at := c.eval("location.href"); at != want {
			t.Errorf("%s from another site leads to %s, want %s", target, at, want)
		}
	}
}
