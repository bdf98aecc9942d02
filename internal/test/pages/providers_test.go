package pages_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// relyingOn is a server whose people sign in by another one, which knows nothing of that but a registered application. They are two sites for
// a browser: localhost and 127.0.0.1.
func relyingOn(t *testing.T, up *harness.Server) (h *harness.Server, base string) {
	t.Helper()
	listens := harness.FreePort(t)
	_, port, err := net.SplitHostPort(listens)
	if err != nil {
		t.Fatal(err)
	}
	base = "http://localhost:" + port
	c, secret, err := up.Operator().RegisterClient(up.Context(), "relying", client.Web, client.Settings{
		RedirectURIs: []string{base + "/signin/up/callback"}, Title: "The other one",
	}, harness.OriginOfTests)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"secret": secret, "upstreams.yaml": fmt.Sprintf(
		"providers: [{id: up, kind: oidc, name: Upstairs, issuer: %q, client_id: %q, secret_file: secret, signup: ['*'], trusted_email: true}]", up.URL(), c.ID,
	)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return harness.Open(t, dbtest.SQLite(t), "LISTEN_ADDR="+listens, "PUBLIC_URL="+base, "UPSTREAMS_FILE="+filepath.Join(dir, "upstreams.yaml")), base
}

// Gatehouse signs people in by another Gatehouse, in a browser that keeps strict cookies to itself: to an account that is made, and to the same
// again; the last way in can't be unlinked, and a password can be set.
func TestSignInByAnotherGatehouseInChromium(t *testing.T) {
	up := harness.Open(t, dbtest.SQLite(t))
	const ada = "ada@example.org"
	up.Register(ada)
	if err := up.Operator().Verify(up.Context(), ada, harness.OriginOfTests); err != nil {
		t.Fatal(err)
	}
	h, base := relyingOn(t, up)
	c := newChromium(h)
	at := func(where, origin string) {
		t.Helper()
		c.Eventually(where, func() (string, bool) {
			got := c.eval(`location.origin + " " + document.readyState`)
			return got, got == origin+" complete"
		})
	}
	through := func(signIn bool) {
		t.Helper()
		c.run("the button", chromedp.Navigate(base+"/login?lang=en"), chromedp.Click(`form[action="/signin/up"] button`))
		if signIn { // and never again
			at("the provider", up.URL())
			c.run("sign in there", chromedp.WaitVisible("#password"), chromedp.SendKeys("#email", ada), chromedp.SendKeys("#password", harness.Passphrase),
				chromedp.Click("form:not([data-passkey]) .btn.main"), chromedp.WaitVisible(`button[value="yes"]`), chromedp.Click(`button[value="yes"]`))
		}
		c.run("back", chromedp.WaitVisible("#identities"))
		at("back", base)
	}
	through(true)
	if text := c.eval(`document.querySelector("#identities").innerText`); !strings.Contains(text, "Upstairs") || !strings.Contains(text, ada) {
		t.Errorf("the account says %s", text)
	}
	if n := h.Count(`SELECT COUNT(*) FROM account`); n != 1 {
		t.Errorf("%d accounts", n)
	}
	c.run("unlink", chromedp.Click(`#identities summary`), chromedp.Click(`#identities .btn.bad`), chromedp.WaitVisible("#problem"))
	if text := c.eval(`document.querySelector("#problem").innerText`); !strings.Contains(text, "last way into your account") {
		t.Errorf("the last way in: %s", text)
	}
	c.run("sign out", chromedp.Navigate(base+"/account"), chromedp.Click(`form[action="/logout"] button`), chromedp.WaitVisible("#password"))
	through(false)
	if accounts, linked := h.Count(`SELECT COUNT(*) FROM account`), h.Count(`SELECT COUNT(*) FROM identity`); accounts != 1 || linked != 1 {
		t.Errorf("%d accounts, %d identities", accounts, linked)
	}
	c.quiet("the journey", "Cleared data types", "409")
}
