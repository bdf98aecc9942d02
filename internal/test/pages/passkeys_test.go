package pages_test

import (
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// authenticator is a virtual one of the browser's.
type authenticator struct {
	*chromium
	id webauthn.AuthenticatorID
}

// authenticator gives the browser one, in the place of the one before.
func (c *chromium) authenticator(o webauthn.VirtualAuthenticatorOptions) authenticator {
	c.Helper()
	_, _ = chromedp.Call(c.ctx, webauthn.Disable, cdp.Empty{})
	call(c, "WebAuthn", webauthn.Enable, webauthn.EnableParams{})
	return authenticator{c, call(c, "an authenticator", webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &o}).AuthenticatorID}
}

// touch presses a button that asks for a passkey, has the person touch the authenticator, and waits. It is not touched
// at other times, or it would take each suggestion of the sign-in page by itself.
func (a authenticator) touch(what, button, until string) {
	a.Helper()
	a.run(what, chromedp.Click(button))
	a.touched(true)
	a.run(what, chromedp.WaitVisible(until))
	a.touched(false)
}

func (a authenticator) touched(on bool) {
	a.Helper()
	call(a.chromium, "presence", webauthn.SetAutomaticPresenceSimulation, webauthn.SetAutomaticPresenceSimulationParams{AuthenticatorID: a.id, Enabled: on})
}

var (
	platform = webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal, HasResidentKey: true, HasUserVerification: true,
		IsUserVerified: true, DefaultBackupEligibility: true, DefaultBackupState: true,
	}
	usb = webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportUsb, HasResidentKey: true, HasUserVerification: true,
		IsUserVerified: true,
	}
	u2f = webauthn.VirtualAuthenticatorOptions{Protocol: webauthn.AuthenticatorProtocolU2f, Transport: webauthn.AuthenticatorTransportUsb}
)

// A person adds a passkey in the account, signs in by it alone and behind the password, and removes it: with what is
// built in, with a security key, and with an old one that is only touched.
func TestPasskeysInChromium(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	base := strings.Replace(h.App.URL(), "127.0.0.1", "localhost", 1)
	c := newChromium(h)
	for _, kind := range []struct {
		name  string
		with  webauthn.VirtualAuthenticatorOptions
		alone bool
	}{{"platform", platform, true}, {"usb", usb, true}, {"u2f", u2f, false}} {
		ada := kind.name + "@example.org"
		h.Register(ada)
		key := c.authenticator(kind.with)
		key.touched(false)
		password := func(until string) {
			t.Helper()
			c.run(kind.name+": the password", chromedp.Navigate(base+"/login?lang=en"), chromedp.SendKeys("#email", ada),
				chromedp.SendKeys("#password", harness.Passphrase), chromedp.Click("form:not([data-passkey]) .btn.main"), chromedp.WaitVisible(until))
		}
		out := func() {
			t.Helper()
			c.run(kind.name+": out", chromedp.Navigate(base+"/account"), chromedp.Click(`form[action="/logout"] button`), chromedp.WaitVisible("#password"))
		}
		password("#passkeys")
		c.see(look{390, false, "en"})
		c.shot("passkeys-none-" + kind.name)
		c.run(kind.name+": the code", chromedp.Click(`#passkeys [value="passkey-code"] ~ button`), chromedp.WaitVisible("#mail_code"))
		c.run(kind.name+": add", chromedp.SendKeys("#mail_code", h.Mailbox().Last(ada, notice.FactorCode).Code))
		key.touch(kind.name+": add", "#passkeys form[data-passkey] button", "#codes")
		c.run(kind.name+": kept", chromedp.Click("a.btn.main"), chromedp.WaitVisible("#passkeys li"))
		if text := c.eval(`document.querySelector("#passkeys li").innerText`); kind.name == "platform" != strings.Contains(text, "Synced") {
			t.Errorf("%s: the list says %q", kind.name, text)
		}
		c.shot("passkeys-one-" + kind.name)
		if kind.name == "platform" {
			c.accessible("passkeys")
		}
		// A second one on the same authenticator would replace the first: the browser refuses.
		key.touch(kind.name+": again", "#passkeys form[data-passkey] button", "#passkeys form[data-passkey] [role=alert]")
		if said := c.eval(`document.querySelector("#passkeys form[data-passkey] [role=alert]").innerText`); !strings.Contains(said, "added already") {
			t.Errorf("%s: a second one on the same authenticator: %q", kind.name, said)
		}
		out()
		if kind.alone {
			c.shot("passkeys-login-" + kind.name)
			key.touch(kind.name+": alone", "form[data-passkey] button", "#passkeys")
			out()
		}
		password(`form[action="/login/second"][data-passkey] button`)
		c.shot("passkeys-second-" + kind.name)
		if kind.name == "platform" {
			c.accessible("second step")
		}
		key.touch(kind.name+": behind the password", "form[data-passkey] button", "#passkeys")
		c.run(kind.name+": remove", chromedp.Click("#passkeys li summary"),
			chromedp.Click(`#passkeys [value="passkey-remove"] ~ button`), chromedp.WaitVisible("#done"))
		if c.eval(`document.querySelectorAll("#passkeys li").length`) != "0" {
			t.Errorf("%s: it was not removed", kind.name)
		}
		out()
		c.quiet(kind.name, "Cleared data types")
	}
}

// The page of the sign-in suggests passkeys for the name, and the button works beside that.
func TestPasskeysAreSuggestedInChromium(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), "SECOND_FACTOR=*:passkey")
	base := strings.Replace(h.App.URL(), "127.0.0.1", "localhost", 1)
	const ada = "ada@example.org"
	h.Register(ada)
	c := newChromium(h)
	key := c.authenticator(platform)
	key.touched(false)
	// Without a window Chromium says that it suggests none, and does.
	script := cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: `PublicKeyCredential.isConditionalMediationAvailable = async () => true;`}
	c.run("sign in", chromedp.Navigate(base+"/login?lang=en"), chromedp.SendKeys("#email", ada), chromedp.SendKeys("#password", harness.Passphrase),
		chromedp.Click("form:not([data-passkey]) .btn.main"), chromedp.WaitVisible(`[value="passkey"] ~ button`))
	c.shot("passkeys-enrol")
	c.run("enrol", chromedp.Click(`[value="passkey"] ~ button`), chromedp.WaitVisible("#mail_code"))
	c.run("the code", chromedp.SendKeys("#mail_code", h.Mailbox().Last(ada, notice.FactorCode).Code))
	key.touch("add", "form[data-passkey] button", "#codes")
	c.run("out", chromedp.Click("a.btn.main"), chromedp.WaitVisible("#passkeys li"),
		chromedp.Click(`form[action="/logout"] button`), chromedp.WaitVisible("#password"))
	if _, err := chromedp.Call(c.ctx, cdppage.AddScriptToEvaluateOnNewDocument, script); err != nil {
		t.Fatal(err)
	}
	key.touched(true) // takes the suggestion
	c.run("suggested", chromedp.Navigate(base+"/login?lang=en"), chromedp.WaitVisible("#passkeys li"))
	c.quiet("suggested", "Cleared data types")
}
