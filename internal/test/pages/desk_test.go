package pages_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/locale"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// mostDesk is how many bytes a page of the console weighs at most, with all that it loads; the
// overview has 10,000 more (agreements.md, "Pages").
const mostDesk = 50_000

// The console in a real browser: axe-core finds nothing, nothing scrolls sideways or shifts, no other host is
// asked, and what somebody else wrote does not run (TEST-5).
func TestTEST5_TheConsoleLooksRightInChromium(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), "API_RATE_LIMIT_REQUESTS=100000")
	const admin, ada = "admin@example.org", "ada.okafor@example.org"
	h.Register(admin)
	if _, err := h.Operator().SetRoles(h.Context(), admin, []string{"admin"}, harness.OriginOfTests); err != nil {
		t.Fatal(err)
	}
	h.Register(ada)
	in := harness.SignInAs(ada, harness.Passphrase)
	in.Header = http.Header{"User-Agent": {hostile}}
	access := h.Expect(200, "", in).Str("access_token")
	h.Expect(200, "", harness.Request{Method: "PATCH", Path: "/v1/me", Bearer: access, Body: harness.Body{"name": hostile}})
	h.Expect(401, "invalid_credentials", harness.WrongPassword(ada, 1))
	person, err := h.Operator().User(h.Context(), ada)
	if err != nil {
		t.Fatal(err)
	}
	plant(h, admin, person.ID)
	app, _, err := h.Operator().RegisterClient(h.Context(), "shop", client.Web, client.Settings{
		Title: hostile, RedirectURIs: []string{"https://shop.example.com/cb"},
	}, harness.OriginOfTests)
	if err != nil {
		t.Fatal(err)
	}
	c := newChromium(h)
	base := h.App.URL()
	c.run("sign in", chromedp.Navigate(base+"/login?return_to=%2Fadmin"), chromedp.SendKeys("#email", admin), chromedp.SendKeys("#password", harness.Passphrase),
		chromedp.Click(".btn.main"), chromedp.WaitVisible(".charts"))
	at := "/admin/people/" + person.ID
	for _, page := range []struct{ name, path string }{
		{"overview", "/admin"}, {"people", "/admin/people"}, {"nobody", "/admin/people?q=nobody"}, {"person", at}, {"end-sessions", at + "/end-sessions"},
		{"invite", "/admin/people/new"}, {"events", "/admin/events"}, {"alerts", "/admin/alerts"}, {"blocks", "/admin/blocks"}, {"keys", "/admin/keys"},
		{"register-application", "/admin/clients/new"}, {"application", "/admin/clients/" + app.ID},
		{"mail", "/admin/mail"}, {"retention", "/admin/retention?due=1"}, {"settings", "/admin/settings"}, {"help", "/admin/help"}, {"doctor", "/admin/doctor"},
		{"incidents", "/admin/incidents"}, {"incident", "/admin/incidents/INC-1"},
		{"scope", "/admin/incidents/INC-1/scope?since=2026-01-01T00:00:00Z&shared=1"},
		{"contain", "/admin/incidents/INC-1/contain?action=end-sessions&all=1"},
	} {
		for _, l := range looks(look{1360, false, "en"}, look{320, true, "ar"}, look{768, true, "de"}) {
			where := "console-" + page.name + "-" + l.String()
			c.see(l)
			sign := "?"
			if strings.Contains(page.path, "?") {
				sign = "&"
			}
			c.run(where, chromedp.Navigate(base+page.path+sign+"lang="+l.lang))
			if got := c.eval(`document.documentElement.lang + " " + window.hacked`); got != l.lang+" undefined" {
				t.Errorf("%s is %s", where, got)
			}
			most := mostDesk
			switch page.name {
			case "overview":
				most += 10_000
			case "settings": // as long as the list of settings
				most *= 2
			case "doctor", "events": // those of checks, and of kinds of events
				most += 10_000
			}
			c.fits(where, most)
			c.shot(where)
			c.accessible(where)
			c.quiet(where)
		}
	}
}

// hostile is what somebody would like to run in an administrator's browser.
const hostile = `"><script>window.hacked=1</script><img src=x onerror="window.hacked=1">{{.}}`

// plant writes it into every field of text that an administrator can fill, by the API.
func plant(h *harness.Server, admin, person string) {
	h.Helper()
	bearer := h.Login(admin).Str("access_token")
	for _, r := range []harness.Request{
		harness.Post("/v1/admin/users/"+person+"/end-sessions", harness.Body{"reason": hostile}, bearer),
		harness.Post("/v1/admin/blocks", harness.Body{"network": "203.0.113.0/24", "reason": hostile}, bearer),
		harness.Post("/v1/admin/clients", harness.Body{"name": "rooms", "reason": hostile}, bearer),
		harness.Post("/v1/admin/users", harness.Body{"email": "grace@example.org", "reason": hostile}, bearer),
		harness.Post("/v1/admin/incidents", harness.Body{"title": hostile}, bearer),
		harness.Post("/v1/admin/incidents/INC-1/notes", harness.Body{"text": hostile}, bearer),
	} {
		if a, err := h.Try(r); err != nil || a.Status/100 != 2 {
			h.Fatalf("%s %s: %d %s %v", r.Method, r.Path, a.Status, a.Text, err)
		}
	}
}

// An administrator's day by mouse: overview, a search, a person whose sessions end and who is asked for a new password, an
// invitation, a network that is blocked and let in again, an application, and out; in two languages, with script and without.
func TestAnAdministratorsDayInChromium(t *testing.T) {
	for _, lang := range []string{"en", "de"} {
		for _, script := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s script %v", lang, script), func(t *testing.T) {
				h := harness.Open(t, dbtest.SQLite(t), "API_RATE_LIMIT_REQUESTS=100000")
				newDay(h, lang, script).run()
			})
		}
	}
}

// day is an administrator at work.
type day struct {
	*chromium
	l      *locale.Language
	base   string
	person string // the page of somebody
}

func newDay(h *harness.Server, lang string, script bool) *day {
	h.Helper()
	const admin, ada = "admin@example.org", "ada.okafor@example.org"
	h.Register(admin)
	if _, err := h.Operator().SetRoles(h.Context(), admin, []string{"admin"}, harness.OriginOfTests); err != nil {
		h.Fatal(err)
	}
	h.Register(ada)
	h.Login(ada)
	person, err := h.Operator().User(h.Context(), ada)
	if err != nil {
		h.Fatal(err)
	}
	d := &day{newChromium(h), locale.Named(lang), h.App.URL(), "/admin/people/" + person.ID}
	d.see(look{1360, false, lang})
	d.chromium.run("the language", chromedp.Navigate(d.base+"/login?lang="+lang))
	d.script(script)
	d.chromium.run("sign in", chromedp.Navigate(d.base+"/login?return_to=%2Fadmin"), chromedp.SendKeys("#email", admin),
		chromedp.SendKeys("#password", harness.Passphrase), chromedp.Click("form .btn.main"), chromedp.WaitVisible(".charts"))
	return d
}

func (d *day) says(where, words string) {
	d.Helper()
	d.Eventually(where+" says "+words, func() (string, bool) {
		text := d.eval(`document.querySelector("main")?.innerText`)
		return text, strings.Contains(text, words)
	})
}

// confirm presses the button of a question, with a reason.
func (d *day) confirm(what, path, done string) {
	d.Helper()
	d.chromium.run(what, chromedp.Navigate(d.base+path), chromedp.SendKeys(`dialog [name="reason"]`, "Lost a phone"), chromedp.Click("dialog .btn.main"),
		chromedp.WaitVisible(".note.good"))
	d.says(what, d.l.Text(done))
}

// incident opens an incident, closes a door, opens it again, and writes down how it went.
func (d *day) incident() {
	d.Helper()
	run := d.chromium.run
	run("an incident", chromedp.Navigate(d.base+"/admin/incidents"), chromedp.SendKeys("#title", "Somebody got in"), chromedp.Click("main form .btn.main"),
		chromedp.WaitVisible(".times"))
	run("a preview", chromedp.SetValue(`[name="action"]`, "lockdown"), chromedp.SendKeys("#doors", "registration"), chromedp.SendKeys("#minutes", "60"),
		chromedp.Click("main form .btn.main"), chromedp.WaitVisible("dialog.ask"))
	run("a lockdown", chromedp.SendKeys(`dialog [name="reason"]`, "Bots"), chromedp.Click("dialog .btn.main"), chromedp.WaitVisible(".note.good"))
	d.says("a lockdown", d.l.Text("incident.done"))
	d.Eventually("nobody registers", func() (string, bool) {
		a := d.Do(harness.Post("/v1/register", harness.Credentials{Email: "bot@example.org", Password: harness.Passphrase}))
		return a.Text, a.Status == http.StatusForbidden
	})
	run("the way back", chromedp.Click(`a[href*="/undo?"]`), chromedp.WaitVisible("dialog.ask"), chromedp.SendKeys(`dialog [name="reason"]`, "Over"),
		chromedp.Click("dialog .btn.main"), chromedp.WaitVisible(".note.good"))
	d.WaitingAction("/v1/admin/incidents/INC-1")
	run("an approval", chromedp.Navigate(d.base+"/admin/incidents/INC-1"), chromedp.Click(`a[href*="/approve?"]`), chromedp.WaitVisible("dialog.ask"),
		chromedp.SendKeys(`dialog [name="reason"]`, "Bots sign in"), chromedp.Click("dialog .btn.main"), chromedp.WaitVisible(".note.good"))
	d.says("an approval", "Bots sign in")
	run("its way back", chromedp.Click(`a[href*="/undo?"]`), chromedp.WaitVisible("dialog.ask"), chromedp.SendKeys(`dialog [name="reason"]`, "Over"),
		chromedp.Click("dialog .btn.main"), chromedp.WaitVisible(".note.good"))
	run("a note", chromedp.SendKeys("#text", "The provider was told"), chromedp.Click(`form[aria-labelledby="h-note"] .btn`), chromedp.WaitVisible(".note.good"))
	d.says("a note", "The provider was told")
	run("the end", chromedp.SendKeys("#lessons", "Ask for a code"), chromedp.Click(`form[aria-labelledby="h-close"] .btn`), chromedp.WaitVisible("#h-lessons"))
	d.says("the end", d.l.Text("incidents.closed"))
}

func (d *day) run() {
	d.Helper()
	run := d.chromium.run
	d.says("the overview", d.l.Text("desk.overview"))
	run("the search", chromedp.Navigate(d.base+"/admin/people"), chromedp.SendKeys(`[name="q"]`, "ada ok\r"))
	d.Eventually("the search finds one person", func() (string, bool) {
		text := d.eval(`document.querySelector("main")?.innerText`)
		return text, strings.Contains(text, "ada.okafor") && !strings.Contains(text, "admin@")
	})
	run("the person", chromedp.Click(`main tbody th a`), chromedp.WaitVisible("#pid"))
	d.says("the person", d.l.Text("person.timeline"))
	d.confirm("the end of the sessions", d.person+"/end-sessions", "done.ended")
	d.says("the person's page", d.l.Text("person.no-sessions"))
	d.confirm("a new password", d.person+"/reset", "done.reset")
	d.Mailbox().Last("ada.okafor@example.org", notice.AdminReset)
	d.incident()
	d.confirm("disabled", d.person+"/disable", "done.disabled")
	d.confirm("enabled", d.person+"/enable", "done.enabled")
	run("an invitation", chromedp.Navigate(d.base+"/admin/people/new"), chromedp.SendKeys("#email", "grace@example.org"),
		chromedp.SendKeys("#reason", "New colleague"), chromedp.Click("main form .btn.main"), chromedp.WaitVisible(".note.good"))
	d.says("an invitation", d.l.Text("done.invited"))
	run("a block", chromedp.Navigate(d.base+"/admin/blocks"), chromedp.SendKeys("#network", "203.0.113.0/24"), chromedp.SendKeys("#reason", "Spraying"),
		chromedp.Click("main form .btn.main"), chromedp.WaitVisible("dialog"), chromedp.Click("dialog .btn.main"), chromedp.WaitVisible(".note.good"))
	d.says("a block", d.l.Text("done.blocked"))
	run("the block's end", chromedp.Click(`main a[href$="/end"]`), chromedp.WaitVisible("dialog"), chromedp.Click("dialog .btn.main"),
		chromedp.WaitVisible(".note.good"))
	d.says("the block's end", d.l.Text("done.unblocked"))
	run("an application", chromedp.Navigate(d.base+"/admin/clients/new"), chromedp.SendKeys(`[name="name"]`, "rooms"),
		chromedp.SendKeys(`[name="reason"]`, "Room bookings"), chromedp.Click("main .btn.main"), chromedp.WaitVisible("#sec"))
	run("the log", chromedp.Navigate(d.base+"/admin/events?event=admin_action"), chromedp.WaitVisible("main table"))
	d.says("the log", "Lost a phone")
	run("settings", chromedp.Navigate(d.base+"/admin/settings"), chromedp.WaitVisible("main table"))
	if text := d.eval(`document.querySelector("main").innerText`); strings.Contains(text, harness.SecretKey) {
		d.Errorf("the settings show a secret")
	}
	d.quiet("an administrator's day", "Autofocus processing was blocked") // which it says when a key came first
}

// An administrator's way by keyboard alone: help, the search, a confirmation, and events as they come.
func TestAnAdministratorsDayByKeyboardInChromium(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), "API_RATE_LIMIT_REQUESTS=100000")
	const admin, ada = "admin@example.org", "ada.okafor@example.org"
	h.Register(admin)
	if _, err := h.Operator().SetRoles(h.Context(), admin, []string{"admin"}, harness.OriginOfTests); err != nil {
		t.Fatal(err)
	}
	h.Register(ada)
	h.Login(ada)
	person, err := h.Operator().User(h.Context(), ada)
	if err != nil {
		t.Fatal(err)
	}
	c := newChromium(h)
	base := h.App.URL()
	c.run("sign in", chromedp.Navigate(base+"/login?return_to=%2Fadmin"), chromedp.SendKeys("#email", admin),
		chromedp.SendKeys("#password", harness.Passphrase+"\r"), chromedp.WaitVisible(".charts"))
	c.run("to the search", chromedp.KeyEvent("/"))
	if got := c.eval(`(() => { const f = document.activeElement; f.value = ""; return f.name })()`); got != "q" { // the protocol types the / as well
		t.Errorf("/ leads to %s", got)
	}
	c.run("find", chromedp.KeyEvent(ada+"\r"), chromedp.WaitVisible("[data-live]"))
	c.Eventually("the search finds one person", func() (string, bool) {
		text := c.eval(`location.href + document.querySelector("main").innerText`)
		return text, strings.Contains(text, ada) && !strings.Contains(text, admin)
	})
	c.run("a confirmation", chromedp.Navigate(base+"/admin/people/"+person.ID+"/end-sessions"), chromedp.WaitVisible("dialog"))
	if got := c.eval(`document.querySelector("dialog").matches(":modal")`); got != "true" {
		t.Errorf("the dialog is modal: %s", got)
	}
	c.run("the reason", chromedp.Focus(`dialog [name="reason"]`), chromedp.KeyEvent("Lost a phone\r"), chromedp.WaitVisible(".note.good"))
	c.run("events", chromedp.Navigate(base+"/admin/events"), chromedp.WaitVisible("[data-events]"))
	h.Expect(401, "invalid_credentials", harness.WrongPassword(ada, 1))
	c.Eventually("the new event", func() (string, bool) {
		text := c.eval(`document.querySelector("main").innerText`)
		return text, strings.Contains(text, "failed_login_attempt")
	})
	c.run("pause", chromedp.Focus("[data-events]"), chromedp.KeyEvent("\r"))
	if got := c.eval(`document.querySelector("[data-events]").ariaPressed`); got != "false" {
		t.Errorf("the list is paused: %s", got)
	}
	c.quiet("an administrator's day")
}

// A form that stands open for longer than a sign-in is good for changes asks for another, and has what was typed afterwards; what
// somebody else changed meanwhile is not overwritten.
func TestAFormThatWaitedForASignInIsAsItWasLeft(t *testing.T) {
	const admin = "admin@example.org"
	clock := &harness.Clock{}
	h := harness.OpenAt(t, dbtest.SQLite(t), clock.Now)
	h.Register(admin)
	o := h.Operator()
	if _, err := o.SetRoles(h.Context(), admin, []string{"admin"}, harness.OriginOfTests); err != nil {
		t.Fatal(err)
	}
	app, _, err := o.RegisterClient(h.Context(), "shop", client.Web, client.Settings{RedirectURIs: []string{"https://shop.example.com/cb"}},
		harness.OriginOfTests)
	if err != nil {
		t.Fatal(err)
	}
	c := newChromium(h)
	const saves = `form[aria-labelledby="h-settings"] .btn.main`
	path := "/admin/clients/" + app.ID
	c.run("sign in", chromedp.Navigate(h.App.URL()+"/login?return_to="+path), chromedp.SendKeys("#email", admin),
		chromedp.SendKeys("#password", harness.Passphrase), chromedp.Click(".btn.main"), chromedp.WaitVisible("#title"))
	save := func(meanwhile func()) {
		t.Helper()
		clock.Shift(16 * time.Minute)
		meanwhile()
		c.run("too late", chromedp.Click(saves), chromedp.WaitVisible("#password"))
		if got := c.eval(`document.querySelector("#email").value`); got != admin {
			t.Errorf("the sign-in has forgotten who it is: %q", got)
		}
		c.run("sign in anew", chromedp.SendKeys("#password", harness.Passphrase), chromedp.Click(".btn.main"), chromedp.WaitVisible("#title"))
		c.run("save", chromedp.Click(saves))
	}
	typed := func(title string) {
		t.Helper()
		c.run("typing", chromedp.SetValue("#title", title), chromedp.SetValue("#reason", "A new sign"), chromedp.SetValue(`[name="lean_id_token"]`, "1"))
	}
	typed("The shop")
	save(func() {})
	c.run("saved", chromedp.WaitVisible(".note.good"))
	is, err := o.Client(h.Context(), "shop")
	if err != nil || is.Settings.Title != "The shop" || !is.Settings.LeanIDToken {
		t.Errorf("saved: %+v %v", is.Settings, err)
	}
	typed("The market")
	save(func() {
		theirs := func(s client.Settings) client.Settings { s.Title = "Theirs"; return s }
		if _, err := o.SetClient(h.Context(), "shop", theirs, harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
	})
	c.run("refused", chromedp.WaitVisible("#problem"))
	if is, err = o.Client(h.Context(), "shop"); err != nil || is.Settings.Title != "Theirs" {
		t.Errorf("overwritten: %+v %v", is.Settings, err)
	}
}
