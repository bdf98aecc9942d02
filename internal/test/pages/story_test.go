package pages_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/locale"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// A person's own bad day, from a mail and from the account's page, in all languages, with script and without: the story says what
// happened, what has ended and what to do next, and leads to the new password.
func TestABadDayInChromium(t *testing.T) {
	for i, l := range []look{{1360, false, "en"}, {390, true, "ar"}, {390, false, "de"}, {768, true, "fr"}, {320, false, "es"}} {
		t.Run(l.String(), func(t *testing.T) {
			h := harness.Open(t, dbtest.SQLite(t))
			const ada = "ada@example.org"
			h.Register(ada)
			h.Expect(401, "invalid_credentials", harness.SignInAs(ada, "wrong, quite wrong"))
			access := h.Login(ada).Str("access_token")
			h.Expect(204, "", harness.Post("/v1/password/change", harness.Body{"current_password": harness.Passphrase, "new_password": harness.AnotherPassphrase},
				access))
			c, words, base := newChromium(h), locale.Named(l.lang), h.App.URL()
			script := i%2 == 0
			c.see(l)
			c.run("the language", chromedp.Navigate(base+"/login?lang="+l.lang))
			c.script(script)
			told := func(where string, want ...string) {
				t.Helper()
				c.run(where, chromedp.WaitVisible("#done"))
				got := c.eval(`document.querySelector("main").innerText`)
				for _, w := range append(want, words.Text("not-me.happened"), words.Text("not-me.ended"), words.Text("not-me.todo"), words.Text("not-me.login")) {
					if !strings.Contains(got, w) {
						t.Errorf("%s does not say %q:\n%s", where, w, got)
					}
				}
				c.fits(where, mostPage)
				c.shot("story-" + where + "-" + l.String())
				if script {
					c.accessible(where)
				}
				c.run(where, chromedp.Navigate(base+"/not-me?step=expelled"), chromedp.WaitVisible("#done")) // loaded again, it sends nothing
				c.run(where, chromedp.Click(".btn.main"), chromedp.WaitVisible("#email"))
			}
			link := harness.TokenOf(h, h.Mailbox().Last(ada, notice.PasswordChanged).NotMe)
			c.run("the link", chromedp.Navigate(base+"/not-me#"+link))
			if !script {
				c.run("the token", chromedp.SendKeys("#token", link))
			}
			c.run("not me", chromedp.Click(".btn.main"))
			told("mail", words.Text("activity.password"), words.Text("not-me.failed", "n", 1), words.Text("not-me.sessions", "n", 1))

			h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": ada}))
			h.Expect(204, "", harness.Post("/v1/password/reset",
				harness.Body{"token": harness.TokenOf(h, h.Mailbox().Last(ada, notice.ResetPassword).Link), "new_password": harness.Passphrase}))
			c.run("sign in", chromedp.Navigate(base+"/login"), chromedp.SendKeys("#email", ada), chromedp.SendKeys("#password", harness.Passphrase),
				chromedp.Click("form .btn.main"), chromedp.WaitVisible("#activity"))
			c.run("open", chromedp.Click("#activity summary"), chromedp.SendKeys("#not-me-password", "wrong, quite wrong"), chromedp.Click("#activity form .btn.main"),
				chromedp.WaitVisible("#not-me-password-err"))
			c.run("not me", chromedp.SendKeys("#not-me-password", harness.Passphrase), chromedp.Click("#activity form .btn.main"))
			told("account", words.Text("not-me.sessions", "n", 1))
			c.quiet("the journey", "403", "Failed to load resource", "Cleared data types")
		})
	}
}
