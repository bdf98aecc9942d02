package pages_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/locale"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// A person adds an app on the page, keeps the recovery codes, signs in with a code and with a recovery code, makes new ones and
// removes the app: with script and without, in the languages that differ most. Every page on the way is one that axe-core has
// nothing to say about, and that is light enough.
func TestASecondStepInChromium(t *testing.T) {
	for _, l := range []look{{1360, false, "en"}, {390, true, "ar"}, {390, false, "de"}} {
		t.Run(l.String(), func(t *testing.T) {
			clock := &harness.Clock{}
			h := harness.OpenAt(t, dbtest.SQLite(t), clock.Now)
			const ada = "ada@example.org"
			h.Register(ada)
			c, box, words := newChromium(h), h.Mailbox(), locale.Named(l.lang)
			base, script := h.App.URL(), l.lang != "de"
			look := func(where string) {
				t.Helper()
				if where == "codes" {
					c.fitsOnce(where, mostPage)
				} else {
					c.fits(where, mostPage)
				}
				c.shot("factors-" + where + "-" + l.String())
				if script {
					c.accessible(where)
				}
			}
			says := func(where, text string) {
				t.Helper()
				c.Eventually(where+" says "+text, func() (string, bool) {
					got := c.eval(`document.querySelector("main")?.innerText`)
					return got, strings.Contains(got, text)
				})
			}
			c.see(l)
			c.run("the language", chromedp.Navigate(base+"/login?lang="+l.lang))
			c.script(script)
			signIn := func(then string) {
				t.Helper()
				c.run("sign in", chromedp.Navigate(base+"/login"), chromedp.SendKeys("#email", ada), chromedp.SendKeys("#password", harness.Passphrase),
					chromedp.Click("form .btn.main"), chromedp.WaitVisible(then))
			}
			signIn("#factors")
			says("the account", words.Text("factors.off"))
			c.run("add", chromedp.Click("#factors summary"), chromedp.Click(`#factors a[href="/account/factors"]`), chromedp.WaitVisible(`[name="begin"] ~ .btn.main`))
			look("begin")
			c.run("begin", chromedp.Click("form .btn.main"), chromedp.WaitVisible("#mail_code"))
			look("secret")
			a := &harness.App{Server: h, Email: ada, Clock: clock, Secret: strings.ReplaceAll(c.eval(`document.querySelector("main code").textContent`), " ", "")}
			c.run("a wrong code", chromedp.SendKeys("#code", a.WrongCode()), chromedp.SendKeys("#mail_code", "AAAABBBB"), chromedp.Click("form .btn.main"),
				chromedp.WaitVisible("#code-err"))
			look("wrong")
			c.run("the code", chromedp.SendKeys("#code", a.Code(0)), chromedp.SendKeys("#mail_code", box.Last(ada, notice.FactorCode).Code),
				chromedp.Click("form .btn.main"), chromedp.WaitVisible("#codes"))
			look("codes")
			codes := strings.Fields(c.eval(`document.querySelector("#codes").innerText`))
			if len(codes) != 10 {
				t.Fatalf("recovery codes: %v", codes)
			}
			if shown := c.eval(`!document.querySelector("[data-print]").hidden`); shown != fmt.Sprint(script) {
				t.Errorf("the button that prints is shown: %s", shown)
			}
			c.run("kept", chromedp.Click("a.btn.main"), chromedp.WaitVisible("#factors"))
			says("the account", words.Text("factors.left", "n", 10))
			look("account")
			c.run("sign out", chromedp.Click(`form[action="/logout"] button`), chromedp.WaitVisible("#password"))
			a.Next()
			signIn("#code")
			look("second")
			c.run("the second step", chromedp.SendKeys("#code", a.Code(0)), chromedp.Click("form .btn.main"), chromedp.WaitVisible("#factors"))
			c.run("sign out", chromedp.Click(`form[action="/logout"] button`), chromedp.WaitVisible("#password"))
			signIn("#code")
			c.run("a recovery code", chromedp.Click(`a[href*="recovery_code"]`), chromedp.WaitVisible("#recovery_code"))
			look("recovery")
			c.run("a recovery code", chromedp.SendKeys("#recovery_code", strings.ToLower(codes[0])), chromedp.Click("form .btn.main"), chromedp.WaitVisible("#factors"))
			says("the account", words.Text("factors.left", "n", 9))
			c.run("new codes", chromedp.Click(`//input[@name="codes"]/ancestor::details/summary`), chromedp.Click(`//input[@name="codes"]/ancestor::form//button`),
				chromedp.WaitVisible("#codes"), chromedp.Click("a.btn.main"), chromedp.WaitVisible("#factors"))
			says("the account", words.Text("factors.left", "n", 10))
			c.run("remove", chromedp.Click("#factors summary"), chromedp.Click(`#factors .btn.bad`), chromedp.WaitVisible("#done"))
			says("the account", words.Text("done.factor-removed"))
			says("the account", words.Text("factors.off"))
			c.quiet("the journey", "400", "Failed to load resource", "Cleared data types")
		})
	}
}
