package pages_test

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// The console on a host of its own, behind nginx as the guide has it, in Chromium: the sign-in is on PUBLIC_URL, with the second factor; a change in the
// console works, and one by a sign-in that is too old leads through a new one and back to itself with what was typed; a second tab is in as well; a
// sign-out in it shows in the first one as soon as that is loaded again. Nothing that browsers complain of.
func TestASVS_V3_5_4_TheConsoleOnAHostOfItsOwnInChromium(t *testing.T) {
	listens := harness.FreePort(t)
	port := listens[strings.LastIndexByte(listens, ':'):]
	auth, console := "http://auth.localhost"+port, "http://admin.localhost"+port
	clock := &harness.Clock{}
	h := harness.OpenAt(t, dbtest.SQLite(t), clock.Now, "PUBLIC_URL="+auth, "ADMIN_URL="+console, "TRUSTED_PROXIES=127.0.0.1", "SECOND_FACTOR=admin")
	gatehouse := strings.TrimPrefix(h.App.URL(), "http://")
	harness.Nginx(t, listens, "server { listen "+listens+"; server_name auth.localhost; location / { proxy_pass http://"+gatehouse+";\n"+
		"proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;\n"+
		"proxy_set_header X-Forwarded-Host \"\"; proxy_buffer_size 32k; proxy_buffers 4 32k; } }\n"+
		"server { listen "+listens+"; server_name admin.localhost;\n"+
		harness.Guide(t, "administration.md", "127.0.0.1:8000", gatehouse, "admin.example.com", "admin.localhost"+port)+"\n}\n")
	root := h.AddApp(clock, "root@example.org")
	if _, err := h.Operator().SetRoles(t.Context(), "root@example.org", []string{"admin"}, harness.OriginOfTests); err != nil {
		t.Fatal(err)
	}

	c := newChromium(h)
	at := func(what, want string) {
		t.Helper()
		h.Eventually(what, func() (string, bool) {
			got := c.eval("location.origin + location.pathname")
			return got, got == want
		})
	}
	signIn := func() {
		t.Helper()
		at("the sign-in page", auth+"/login")
		root.Next()
		c.run("the sign-in page", chromedp.WaitVisible("#email"))
		c.eval("document.getElementById('email').value = ''")
		c.run("the password", chromedp.SendKeys("#email", "root@example.org"),
			chromedp.SendKeys("#password", harness.Passphrase), chromedp.Click(".btn.main"))
		at("the second step", auth+"/login/second")
		c.run("the code", chromedp.WaitVisible("#code"), chromedp.SendKeys("#code", root.Code(0)), chromedp.Click(".btn.main"))
	}
	const makes = ".ask .btn.main"
	block := func(network string) {
		t.Helper()
		c.run("a block", chromedp.Navigate(console+"/admin/blocks/new?for=24&reason=it+guesses&network="+network), chromedp.WaitVisible(makes))
	}
	c.run("the console", chromedp.Navigate(console+"/admin"))
	signIn()
	at("the console", console+"/admin")
	block("203.0.113.0/24")
	c.run("it is made", chromedp.Click(makes))
	at("the list", console+"/admin/blocks")

	// A sign-in that is too old for a change: its form leads to PUBLIC_URL, which form-action allows, and back.
	block("198.51.100.0/24")
	clock.Shift(20 * time.Minute)
	c.run("a change that is late", chromedp.Click(makes))
	signIn()
	at("the change again", console+"/admin/blocks/new")
	c.run("it is made after all", chromedp.WaitVisible(makes), chromedp.Click(makes))
	at("the list", console+"/admin/blocks")
	if text := c.eval("document.body.innerText"); !strings.Contains(text, "198.51.100.0/24") {
		t.Errorf("the change is lost: %s", text)
	}

	// Two tabs: one signs out, the other is out when it is loaded again.
	second := c.beside()
	second.run("a second tab", chromedp.Navigate(console+"/admin/people"), chromedp.WaitVisible(".side"))
	if got := second.eval("location.href"); got != console+"/admin/people" {
		t.Errorf("the second tab is at %s", got)
	}
	second.run("signing out", chromedp.Click(".side form[action='/logout'] button"), chromedp.WaitVisible("#email"))
	if got := second.eval("location.href"); got != auth+"/login" {
		t.Errorf("signing out leads to %s", got)
	}
	c.run("the first tab again", chromedp.Reload(), chromedp.WaitVisible("#email"))
	at("the first tab", auth+"/login")
	// A sign-in that began on PUBLIC_URL leads to the console too, as the first administrator's does.
	c.run("the sign-in page", chromedp.Navigate(auth+"/login?return_to=%2Fadmin"))
	signIn()
	at("the console", console+"/admin")
	c.quiet("the console", "Cleared data types")
}
