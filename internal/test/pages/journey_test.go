package pages_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/locale"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// mostPage is the most that a page may weigh, uncompressed (agreements: "Pages").
const mostPage = 50 << 10

// shortly is as long as a form takes that is not waited for.
const shortly = 400 * time.Millisecond

// Every page of a stranger's and of somebody's, narrow and wide, light and dark, in two languages of which one runs right
// to left: axe-core finds nothing, nothing scrolls sideways or shifts, nothing is asked of another host, the
// browser has no complaint, and no page weighs more than it may.
func TestPagesLookRightInChromium(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	const ada = "ada.okafor@example.org"
	h.Register(ada)
	h.Login(ada)
	c := newChromium(h)
	base := h.App.URL()
	see := func(paths map[string]string) {
		for name, path := range paths {
			for _, l := range looks(look{320, true, "ar"}, look{768, false, "de"}, look{1360, false, "en"}) {
				where := name + "-" + l.String()
				c.see(l)
				at, fragment, _ := strings.Cut(path, "#")
				join := "?"
				if strings.Contains(at, "?") {
					join = "&"
				}
				c.run(where, chromedp.Navigate(base+at+join+"lang="+l.lang+"#"+fragment))
				if got := c.eval(`document.documentElement.lang`); got != l.lang {
					t.Errorf("%s is in %s", where, got)
				}
				c.fits(where, mostPage)
				c.shot(where)
				if l.width != 768 || soaking() {
					c.accessible(where)
				}
				c.quiet(where, "404", "status of 503")
			}
		}
	}
	see(map[string]string{
		"login": "/login", "register": "/register", "verify": "/verify", "verify-link": "/verify#gatehouse_mt_x", "forgot": "/forgot",
		"reset-link": "/reset#gatehouse_mt_x",
		"not-me":     "/not-me#gatehouse_mt_x", "undo": "/undo#gatehouse_mt_x", "unlock": "/unlock#gatehouse_mt_x", "setup": "/setup#x", "welcome": "/",
		"dev-mail": "/dev/mail", "dev-mail-text": "/dev/mail?as=text", "privacy": "/privacy", "terms": "/terms", "not-found": "/nowhere",
	})
	c.run("sign in", chromedp.Navigate(base+"/login?lang=en"), chromedp.SendKeys("#email", ada), chromedp.SendKeys("#password", harness.Passphrase),
		chromedp.Click(".btn.main"), chromedp.WaitVisible("#devices"))
	see(map[string]string{"account": "/account", "logout": "/logout"})
}

// focusAndFields begins an expression of what has the focus, and what stands in the fields.
const focusAndFields = `document.activeElement.id + " " + document.querySelector("#email").value + " " + `

// The states of forms: a wrong password, a weak one while it is typed, a wrong code, a wait that counts down.
func TestStatesInChromium(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), "LOGIN_RATE_LIMIT_ATTEMPTS=2")
	c := newChromium(h)
	base := h.App.URL()
	state := func(name string) {
		t.Helper()
		for _, l := range []look{{390, false, "en"}, {1280, true, "en"}} {
			c.see(l)
			c.shot("state-" + name + "-" + l.String())
		}
		c.accessible(name)
		c.quiet(name, "401", "400", "429", "Failed to load resource")
	}
	c.run("a weak password", chromedp.Navigate(base+"/register"), chromedp.SendKeys("#email", "ada@example.org"),
		chromedp.SendKeys("#new_password", "gatehouse-2026!!"),
		chromedp.WaitVisible(`.meter[data-level="1"]`))
	if got := c.eval(`document.querySelector("#new_password-advice").innerText + document.querySelectorAll(".ticks .is-bad").length`); !strings.HasPrefix(got,
		"Easy to guess.") || strings.HasSuffix(got, "0") {
		t.Errorf("a weak password: %q", got)
	}
	c.eval(`document.querySelector("[data-show]").click()`)
	state("weak")
	c.run("a strong password", chromedp.Navigate(base+"/register?lang=de"), chromedp.SendKeys("#email", "ada@example.org"),
		chromedp.SendKeys("#new_password", "teapot gravel violin seven"),
		chromedp.WaitVisible(`.meter[data-level="3"]`))
	if got := c.eval(`document.querySelector("#new_password-advice").innerText`); !strings.HasPrefix(got, "Stark.") {
		t.Errorf("a strong password, in German: %q", got)
	}
	state("strong")
	c.run("no password", chromedp.Navigate(base+"/login?lang=en"))
	for range 3 {
		c.run("wrong", chromedp.Navigate(base+"/login"), chromedp.SendKeys("#email", "ada@example.org"), chromedp.SendKeys("#password", "wrong, quite wrong"),
			chromedp.Click(".btn.main"),
			chromedp.WaitVisible("#problem"))
		if c.eval(`document.querySelector("[data-seconds]") ? 1 : 0`) == "0" {
			if at := c.eval(focusAndFields + `document.querySelector("#password").value`); at != "password ada@example.org " {
				t.Errorf("after a wrong password the focus and the fields are %q", at)
			}
			state("wrong")
		}
	}
	if got := c.eval(`document.querySelector("[data-seconds]").innerText + " " + document.querySelector(".btn.main").ariaDisabled`); !strings.Contains(got,
		"minutes true") {
		t.Errorf("a limit: %q", got)
	}
	state("limited")
	// The focus is on the first field to blame, which says what is wrong, and what was typed is kept.
	c.run("a short password", chromedp.Navigate(base+"/register"), chromedp.SendKeys("#email", "ada@example.org"), chromedp.SendKeys("#new_password", "short"),
		chromedp.Click(".btn.main"), chromedp.WaitVisible("#new_password-err"))
	if at := c.eval(focusAndFields + `document.querySelector("#new_password").value`); at != "new_password ada@example.org " {
		t.Errorf("after a short password: %q", at)
	}
	state("short")
}

// From registration to signing out everywhere, in two languages, with script and without.
func TestJourneysInChromium(t *testing.T) {
	for _, lang := range []string{"en", "de"} {
		for _, script := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s script %v", lang, script), func(t *testing.T) {
				h := harness.Open(t, dbtest.SQLite(t), "EMAIL_VERIFICATION=required")
				l, box, c := locale.Named(lang), h.Mailbox(), newChromium(h)
				base := h.App.URL()
				const ada = "ada@example.org"
				says := func(where, words string) {
					t.Helper()
					c.Eventually(where+" says "+words, func() (string, bool) {
						text := c.eval(`document.querySelector("main")?.innerText`)
						return text, strings.Contains(text, words)
					})
				}
				c.see(look{1360, false, lang})
				c.run("the language", chromedp.Navigate(base+"/register?lang="+lang))
				c.script(script)
				c.run("register", chromedp.Navigate(base+"/register"), chromedp.SendKeys("#email", ada), chromedp.SendKeys("#new_password", harness.Passphrase),
					chromedp.Click("form .btn.main"), chromedp.WaitVisible("#code"))
				says("registered", l.Text("verify.check"))
				c.run("the code", chromedp.SendKeys("#code", box.Last(ada, notice.VerifyAddress).Code), chromedp.Click("form .btn.main"), chromedp.WaitVisible("#done"))
				says("confirmed", l.Text("verify.done"))
				signIn := func(password string) {
					t.Helper()
					c.run("sign in", chromedp.Navigate(base+"/login"), chromedp.SendKeys("#email", ada), chromedp.SendKeys("#password", password),
						chromedp.Click("form .btn.main"), chromedp.WaitVisible("#devices"))
				}
				signIn(harness.Passphrase)
				says("the account", l.Text("devices.this"))
				open := func(do string) string {
					t.Helper()
					c.run(do, chromedp.Click(`//input[@value="`+do+`"]/ancestor::details/summary`))
					return `//input[@value="` + do + `"]/ancestor::form//button[contains(@class,"main")]`
				}
				press := open("name")
				c.run("a name", chromedp.SendKeys("#name", "Ada Okafor"), chromedp.Click(press), chromedp.WaitVisible("#done"))
				says("a name", "Ada Okafor")
				press = open("password")
				c.run("a password", chromedp.SendKeys("#current_password", harness.Passphrase), chromedp.SendKeys("#new_password", harness.AnotherPassphrase),
					chromedp.Click(press), chromedp.WaitVisible("#done"))
				says("a password", l.Text("done.password"))
				h.Expect(200, "", harness.SignInAs(ada, harness.AnotherPassphrase)) // somewhere else
				c.run("everywhere else", chromedp.Navigate(base+"/account"), chromedp.Click(`//input[@value="sessions-end"]/ancestor::form//button`),
					chromedp.WaitVisible("#done"))
				says("everywhere else", l.Text("done.sessions"))
				c.run("sign out", chromedp.Click(`form[action="/logout"] button`), chromedp.WaitVisible("#password"))
				c.run("forgot", chromedp.Navigate(base+"/forgot"), chromedp.SendKeys("#email", ada), chromedp.Click("form .btn.main"), chromedp.WaitVisible("#code"))
				c.run("reset", chromedp.SendKeys("#code", box.Last(ada, notice.ResetPassword).Code), chromedp.SendKeys("#new_password", harness.Passphrase),
					chromedp.Click("form .btn.main"), chromedp.WaitVisible("#done"))
				says("reset", l.Text("reset.done"))
				signIn(harness.Passphrase)
				c.quiet("the journey", "Cleared data types")
			})
		}
	}
}

// By keyboard alone: in, through the account, and out.
func TestByKeyboardInChromium(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	h.Register("ada@example.org")
	c := newChromium(h)
	keys := func(what, text string) { c.run(what, chromedp.KeyEvent(text)) }
	c.run("login", chromedp.Navigate(h.App.URL()+"/login"), chromedp.WaitVisible("#email"))
	keys("the address, which has the focus", "ada@example.org")
	tabTo := func(want string) {
		t.Helper()
		for range 60 {
			if c.eval(`document.activeElement.matches(`+"`"+want+"`"+`)`) == "true" {
				if ring := c.eval(`getComputedStyle(document.activeElement).outlineStyle`); ring == "none" {
					t.Errorf("%s shows no focus", want)
				}
				return
			}
			keys("tab", kb.Tab)
		}
		t.Fatalf("the keyboard does not reach %s", want)
	}
	tabTo("#password")
	keys("the password", harness.Passphrase)
	keys("enter", kb.Enter)
	c.run("account", chromedp.WaitVisible("#devices"))
	tabTo(".skip")
	tabTo("#profile summary")
	keys("open", kb.Enter)
	tabTo("#name")
	keys("a name", "Ada")
	keys("enter", kb.Enter)
	c.run("saved", chromedp.WaitVisible("#done"))
	if got := c.eval(`document.activeElement.id`); got != "done" {
		t.Errorf("after saving the focus is on %q", got)
	}
	c.run("again", chromedp.Navigate(h.App.URL()+"/account"))
	tabTo(`form[action="/logout"] button`)
	keys("sign out", kb.Enter)
	c.run("out", chromedp.WaitVisible("#password"))
}

// Two tabs, a session that ended elsewhere, a form from before: nothing is lost, and nothing is done twice.
func TestTabsInChromium(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	const ada = "ada@example.org"
	h.Register(ada)
	c := newChromium(h)
	base := h.App.URL()
	signIn := func() {
		c.run("sign in", chromedp.Navigate(base+"/login"), chromedp.WaitVisible("#email"), chromedp.SendKeys("#email", ada),
			chromedp.SendKeys("#password", harness.Passphrase),
			chromedp.Click(".btn.main"), chromedp.WaitVisible("#devices"))
	}
	signIn()
	// The session ends elsewhere; the form of this tab leads to the sign-in.
	other := h.Expect(200, "", harness.SignInAs(ada, harness.Passphrase)).Str("access_token")
	h.Expect(204, "", harness.Post("/v1/logout-all", map[string]bool{"keep_current": true}, other))
	c.run("a form of a session that ended", chromedp.Click(`#profile summary`), chromedp.SendKeys("#name", "Ada"), chromedp.Click(`#profile .btn.main`),
		chromedp.WaitVisible("#password"))
	signIn()
	// A form with the token of a session before is shown anew, with what was typed.
	c.eval(`document.querySelectorAll("[name=csrf_token]").forEach((f) => { f.value = "stale" })`)
	c.run("an old form", chromedp.Click(`#profile summary`), chromedp.SendKeys("#name", "Ada"), chromedp.Click(`#profile .btn.main`),
		chromedp.WaitVisible("#problem"))
	c.run("and again", chromedp.SendKeys("#name", "Ada"), chromedp.Click(`#profile .btn.main`), chromedp.WaitVisible("#done"))
	// Pressed twice, it is sent once; Back finds the button as it was.
	before := h.Count(`SELECT COUNT(*) FROM event WHERE kind = 'profile_change'`)
	c.run("open", chromedp.Click(`#profile summary`))
	c.eval(`(() => { const b = document.querySelector("#profile .btn.main"); b.click(); b.click() })()`)
	c.run("sent", chromedp.WaitVisible("#done"), chromedp.Sleep(shortly))
	if n := h.Count(`SELECT COUNT(*) FROM event WHERE kind = 'profile_change'`); n != before+1 {
		t.Errorf("pressed twice: %d changes", n-before)
	}
}

// TEST-5: what a person, a device or a stranger calls itself is text on every page and in every email that shows it.
func TestTEST5_NamesAreInertInChromium(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	const ada = "ada@example.org"
	const evil = `"><script>window.hacked=1</script><img src=x onerror="window.hacked=1">{{.}}${1}`
	h.Register(ada)
	access := h.Expect(200, "", harness.From("203.0.113.7", `Firefox/1 `+evil+` Linux`, harness.SignInAs(ada, harness.Passphrase))).Str("access_token")
	h.Expect(200, "", harness.Request{Method: "PATCH", Path: "/v1/me", Bearer: access, Body: harness.Body{"name": evil}})
	c := newChromium(h)
	base := h.App.URL()
	inert := func(where string) {
		t.Helper()
		if c.eval("window.hacked") == "1" || c.eval(`document.querySelectorAll("img[src=x], main script").length`) != "0" {
			t.Errorf("%s runs what a name says", where)
		}
		c.quiet(where, "400", "401", "403", "404", "Failed to load resource", "Autofocus processing was blocked") // by the test's own forms
	}
	c.run("sign in", chromedp.Navigate(base+"/login"), chromedp.SendKeys("#email", ada), chromedp.SendKeys("#password", harness.Passphrase),
		chromedp.Click(".btn.main"), chromedp.WaitVisible("#devices"))
	if text := c.eval(`document.querySelector("#profile").innerText`); !strings.Contains(text, "<script>") {
		t.Errorf("the name is not shown as it is: %s", text)
	}
	inert("the account")
	for _, as := range []string{"html", "text", "phone"} {
		c.run("mails", chromedp.Navigate(base+"/dev/mail?as="+as))
		inert("/dev/mail as " + as)
	}
	for _, path := range []string{"/login", "/register", "/verify", "/forgot", "/reset", "/setup"} {
		c.run(path, chromedp.Navigate(base+path+"?return_to="+evil+"&email="+evil+"&step="+evil+"&lang="+evil))
		c.run(path, chromedp.Navigate(base+"/robots.txt"), chromedp.Navigate(base+path))
		c.eval(`(() => { const f = document.querySelector("main form"); for (const i of f.elements) if (i.name) { i.type = "text"; i.value = ` + "`" +
			strings.ReplaceAll(evil, "${", "$ {") + "`" + ` } HTMLFormElement.prototype.submit.call(f) })()`)
		c.run(path, chromedp.Sleep(shortly), chromedp.WaitVisible("main"))
		inert(path)
	}
	c.run("an address", chromedp.Navigate(base+"/nowhere/"+`%22%3E%3Cscript%3Ewindow.hacked=1%3C/script%3E`))
	inert("not found")
}
