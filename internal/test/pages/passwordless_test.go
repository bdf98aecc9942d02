package pages_test

import (
	"strings"
	"testing"
	"time"

	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// second gives the browser another authenticator beside the one that it has.
func (a authenticator) second(o webauthn.VirtualAuthenticatorOptions) authenticator {
	a.Helper()
	b := authenticator{a.chromium, call(a.chromium, "a second authenticator", webauthn.AddVirtualAuthenticator,
		webauthn.AddVirtualAuthenticatorParams{Options: &o}).AuthenticatorID}
	b.touched(false)
	return b
}

// beside opens another tab of the same browser, with the cookies of the first.
func (c *chromium) beside() *chromium {
	c.Helper()
	ctx, cancel := chromedp.NewContext(c.ctx)
	c.Cleanup(cancel)
	return &chromium{Server: c.Server, ctx: ctx}
}

// says fails the test if the page does not come to say that.
func (c *chromium) says(where, text string) {
	c.Helper()
	c.Eventually(where+" says "+text, func() (string, bool) {
		got := c.eval(`document.querySelector("main")?.innerText`)
		return got, strings.Contains(got, text)
	})
}

const byPasskey = "form[data-passkey] button"

// Somebody registers with an address alone, verifies it by the mailed link, adds the passkey, and signs in by it alone, with the
// page loaded again and a second tab on the way.
func TestALifeWithoutAPasswordInChromium(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), "PASSWORDLESS=on")
	base := strings.Replace(h.App.URL(), "127.0.0.1", "localhost", 1)
	c, box := newChromium(h), h.Mailbox()
	key := c.authenticator(platform)
	key.touched(false)
	const ada = "ada@example.org"
	look := func(where string) {
		t.Helper()
		for _, l := range []look{{390, true, "en"}, {1360, false, "en"}} {
			c.see(l)
			c.shot("passwordless-" + where + "-" + l.String())
		}
		c.accessible(where)
	}
	c.run("register", chromedp.Navigate(base+"/register?lang=en"), chromedp.Click(`a[href="/register?with=passkey"]`),
		chromedp.WaitVisible(`[name="passwordless"] ~ button, .btn.main`))
	look("register")
	c.run("register", chromedp.SendKeys("#email", ada), chromedp.Click("form .btn.main"), chromedp.WaitVisible("#code"))
	look("registered")
	c.run("again", chromedp.Reload(), chromedp.WaitVisible("#code"))
	token := harness.TokenOf(h, box.Last(ada, notice.VerifyAddress).Link)
	c.run("the link", chromedp.Navigate(base+"/verify#"+token), chromedp.Click("form .btn.main"), chromedp.WaitVisible(byPasskey))
	look("first")
	c.run("again", chromedp.Reload(), chromedp.WaitVisible(byPasskey))
	// Whoever presses again, or in a second tab, goes on with the same passkey.
	tab := c.beside()
	tab.run("a second press", chromedp.Navigate(base+"/verify#"+token), chromedp.Click("form .btn.main"), chromedp.WaitVisible(byPasskey))
	key.touch("the passkey", byPasskey, "#codes")
	look("codes")
	c.says("the codes", "If you lose your passkey")
	// The second tab comes too late, and is where the first one has led to.
	tab.run("too late", chromedp.Click(byPasskey), chromedp.WaitVisible("#passkeys li"))
	c.run("kept", chromedp.Click("a.btn.main"), chromedp.WaitVisible("#passkeys li"))
	look("account")
	c.says("the account", "None: you sign in with a passkey")
	out := func() {
		t.Helper()
		c.run("out", chromedp.Navigate(base+"/account"), chromedp.Click(`form[action="/logout"] button`), chromedp.WaitVisible("#password"))
	}
	out()
	key.touch("alone", byPasskey, "#passkeys li")
	out()
	c.suggests()
	key.touched(true)
	c.run("suggested", chromedp.Navigate(base+"/login"), chromedp.WaitVisible("#passkeys li"))
	key.touched(false)

	// A further one, on another authenticator: the account's last stays, and of two one may go.
	another := key.second(usb)
	another.touch("a second one", byPasskey, "#done")
	c.says("a second one", "The passkey is added")
	c.run("remove", chromedp.Click("#passkeys li:nth-of-type(2) summary"), chromedp.Click(`#passkeys li:nth-of-type(2) [value="passkey-remove"] ~ button`),
		chromedp.WaitNotPresent("#passkeys li:nth-of-type(2)"))
	c.run("the last", chromedp.Click("#passkeys li summary"), chromedp.Click(`#passkeys [value="passkey-remove"] ~ button`), chromedp.WaitVisible("#problem"))
	c.says("the last", "add another")
	look("last")
	c.quiet("the journey", "Cleared data types", "Failed to load resource")

	// The same link, once all is done: it says what to do, in this browser and where nobody is signed in.
	c.run("the link again", chromedp.Navigate(base+"/verify#"+token), chromedp.Click("form .btn.main"), chromedp.WaitVisible(`a[href="/account"]`))
	c.forget()
	c.run("elsewhere", chromedp.Navigate(base+"/verify?lang=en#"+token), chromedp.Click("form .btn.main"), chromedp.WaitVisible(`a[href="/forgot"]`))
	look("before")
	c.run("its next step", chromedp.Click(`a[href="/login"].main`), chromedp.WaitVisible("#password"))
}

// Whoever comes back to the first passkey after its ten minutes is told what to do, has the mailbox, and adds the passkey
// after that.
func TestAFirstPasskeyThatCameTooLateInChromium(t *testing.T) {
	clock := &harness.Clock{}
	h := harness.OpenAt(t, dbtest.SQLite(t), clock.Now, "PASSWORDLESS=on")
	base := strings.Replace(h.App.URL(), "127.0.0.1", "localhost", 1)
	c, box := newChromium(h), h.Mailbox()
	key := c.authenticator(platform)
	key.touched(false)
	const ada = "ada@example.org"
	c.run("register", chromedp.Navigate(base+"/register?with=passkey&lang=en"), chromedp.SendKeys("#email", ada), chromedp.Click("form .btn.main"),
		chromedp.WaitVisible("#code"))
	c.run("the code", chromedp.SendKeys("#code", box.Last(ada, notice.VerifyAddress).Code), chromedp.Click("form .btn.main"),
		chromedp.WaitVisible(byPasskey))
	clock.Shift(11 * time.Minute)
	c.run("late", chromedp.Click(byPasskey), chromedp.WaitVisible(`a[href="/forgot"]`))
	c.says("late", "set a password by email")
	c.shot("passwordless-late")
	c.accessible("late")
	c.run("again", chromedp.Navigate(base+"/login/enrol"), chromedp.WaitVisible(`a[href="/forgot"]`))
	c.resets(base, ada)
	c.run("sign in", chromedp.Click(`a[href="/login"]`), chromedp.WaitVisible("#password"), chromedp.SendKeys("#email", ada),
		chromedp.SendKeys("#password", harness.Passphrase), chromedp.Click("form:not([data-passkey]) .btn.main"), chromedp.WaitVisible("#passkeys"))
}

// resets sets a password by the mail, from the link of the page that is shown.
func (c *chromium) resets(base, email string) {
	c.Helper()
	c.run("forgot", chromedp.Click(`a[href="/forgot"]`), chromedp.WaitVisible(`form[action="/forgot"] #email`), chromedp.SetValue("#email", email),
		chromedp.Click("form .btn.main"), chromedp.WaitVisible("#code"))
	token := harness.TokenOf(c.Server, c.Mailbox().Last(email, notice.ResetPassword).Link)
	c.run("reset", chromedp.Navigate(base+"/reset#"+token), chromedp.SendKeys("#new_password", harness.Passphrase), chromedp.Click("form .btn.main"),
		chromedp.WaitVisible("#done"))
}

// suggests has the browser say that it suggests passkeys: without a window it says that it does not, and does.
func (c *chromium) suggests() {
	c.Helper()
	call(c, "suggestions", cdppage.AddScriptToEvaluateOnNewDocument,
		cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: `PublicKeyCredential.isConditionalMediationAvailable = async () => true;`})
}

// Somebody removes the password of their account, signs in without it, loses nothing by a second tab, and sets one again by
// "forgot": it opens the first step alone.
func TestThePasswordGoesAndComesInChromium(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), "PASSWORDLESS=on")
	base := strings.Replace(h.App.URL(), "127.0.0.1", "localhost", 1)
	c, box := newChromium(h), h.Mailbox()
	const ada = "ada@example.org"
	h.Register(ada)
	key := c.authenticator(platform)
	key.touched(false)
	password := func(until string) {
		t.Helper()
		c.run("the password", chromedp.Navigate(base+"/login?lang=en"), chromedp.SendKeys("#email", ada), chromedp.SendKeys("#password", harness.Passphrase),
			chromedp.Click("form:not([data-passkey]) .btn.main"), chromedp.WaitVisible(until))
	}
	out := func() {
		t.Helper()
		c.run("out", chromedp.Navigate(base+"/account"), chromedp.Click(`form[action="/logout"] button`), chromedp.WaitVisible("#password"))
	}
	remove := `//input[@value="password-remove"]/ancestor::details`
	password("#passkeys")
	c.run("too little", chromedp.Click(remove+"/summary"), chromedp.WaitVisible(remove+`//p`))
	c.says("too little", "once you have two passkeys")
	c.run("the code", chromedp.Click(`#passkeys [value="passkey-code"] ~ button`), chromedp.WaitVisible("#mail_code"))
	c.run("add", chromedp.SendKeys("#mail_code", box.Last(ada, notice.FactorCode).Code))
	key.touch("add", byPasskey, "#codes")
	c.run("kept", chromedp.Click("a.btn.main"), chromedp.WaitVisible("#passkeys li"))
	tab := c.beside()
	tab.run("a second tab", chromedp.Navigate(base+"/account"), chromedp.Click(remove+"/summary"), chromedp.WaitVisible(remove+"//button"))
	c.run("remove", chromedp.Click(remove+"/summary"), chromedp.WaitVisible(remove+"//button"))
	c.shot("passwordless-remove")
	c.run("remove", chromedp.Click(remove+"//button"), chromedp.WaitVisible("#done"))
	c.says("removed", "The password is removed")
	c.accessible("removed")
	c.run("again", chromedp.Reload(), chromedp.WaitVisible("#passkeys li"))
	tab.run("in the second tab", chromedp.Click(remove+"//button"), chromedp.WaitVisible("#passkeys li"))
	tab.says("in the second tab", "Your account has no password")
	tab.shot("passwordless-removed-already")
	out()
	key.touch("alone", byPasskey, "#passkeys li")
	out()
	c.run("forgot", chromedp.Navigate(base+"/login"))
	c.resets(base, ada)
	c.run("its next step", chromedp.Click(`a[href="/login"].main`), chromedp.WaitVisible("#password"))
	password(`form[action="/login/second"][data-passkey] button`)
	key.touch("behind the password", byPasskey, "#passkeys li")
	c.says("the account", "Set by you")
	c.quiet("the journey", "Cleared data types", "Failed to load resource")
}

// Who was invited chooses a passkey on the page of the mail's link, also after a password that was too short.
func TestAnInvitationOffersBothInChromium(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), "PASSWORDLESS=on")
	base := strings.Replace(h.App.URL(), "127.0.0.1", "localhost", 1)
	c := newChromium(h)
	key := c.authenticator(platform)
	key.touched(false)
	const ada = "ada@example.org"
	_, link, err := h.Operator().Invite(h.Context(), operate.Invitation{Email: ada}, harness.OriginOfTests)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(link, "/reset")
	instead := `[formaction="/verify"]`
	c.run("the link", chromedp.Navigate(base+"/login?lang=en"), chromedp.Navigate(base+"/reset"+rest), chromedp.WaitVisible(instead))
	c.shot("passwordless-invited")
	c.accessible("invited")
	c.run("too short", chromedp.SendKeys("#new_password", "short"), chromedp.Click("form .btn.main"), chromedp.WaitVisible("#new_password-err"))
	c.run("a passkey instead", chromedp.Click(instead), chromedp.WaitVisible(byPasskey))
	key.touch("the passkey", byPasskey, "#codes")
	c.run("kept", chromedp.Click("a.btn.main"), chromedp.WaitVisible("#passkeys li"))
	c.says("the account", "None: you sign in with a passkey")
	c.run("a reset is none", chromedp.Navigate(base+"/reset#"+harness.TokenOf(h, link)), chromedp.WaitVisible("#new_password"), chromedp.WaitNotPresent(instead))
	c.quiet("the invitation", "Failed to load resource")
}
