package pages_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// holds returns the names of whose passkeys an authenticator has.
func (a authenticator) holds() string {
	a.Helper()
	got := call(a.chromium, "credentials", webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: a.id})
	var names []string
	for _, k := range got.Credentials {
		names = append(names, k.UserName)
	}
	return strings.Join(names, " ")
}

func (a authenticator) comesToHold(what, want string) {
	a.Helper()
	a.Eventually(what+": the authenticator holds "+want, func() (string, bool) { got := a.holds(); return got, got == want })
}

// spy has every page keep which signals it gave, and with what; they go on to the browser.
const spy = `for (const name of ["signalUnknownCredential", "signalAllAcceptedCredentials", "signalCurrentUserDetails"]) {
	const is = PublicKeyCredential[name];
	PublicKeyCredential[name] = (o) => { (window.signals ??= []).push(name + " " + JSON.stringify(o)); return is.call(PublicKeyCredential, o); };
}`

// A browser offers a passkey no more that was removed, and shows the others under the address as it is now. It is never told
// which passkeys there are: with a list that is short it would delete good ones (factors.md, "Page").
func TestAuthenticatorsHearWhatHasBecomeOfPasskeys(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	base := strings.Replace(h.App.URL(), "127.0.0.1", "localhost", 1)
	c, box := newChromium(h), h.Mailbox()
	const ada, moved = "ada@example.org", "ada@example.net"
	h.Register(ada)
	call(c, "the spy", cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: spy})
	signals := func() string { return c.eval(`(window.signals ?? []).join("\n")`) }
	key := c.authenticator(platform)
	key.touched(false)
	c.run("sign in", chromedp.Navigate(base+"/login?lang=en"), chromedp.SendKeys("#email", ada), chromedp.SendKeys("#password", harness.Passphrase),
		chromedp.Click("form:not([data-passkey]) .btn.main"), chromedp.WaitVisible("#passkeys"))
	if got := signals(); got != "" {
		t.Errorf("an account without passkeys: %s", got)
	}
	c.run("the code", chromedp.Click(`#passkeys [value="passkey-code"] ~ button`), chromedp.WaitVisible("#mail_code"))
	c.run("add", chromedp.SendKeys("#mail_code", box.Last(ada, notice.FactorCode).Code))
	key.touch("add", byPasskey, "#codes")
	c.run("kept", chromedp.Click("a.btn.main"), chromedp.WaitVisible("#passkeys li"))
	another := key.second(usb)
	another.touch("a second one", byPasskey, "#done")
	key.comesToHold("added", ada)
	another.comesToHold("added", ada)

	// Another address: the page that confirms it tells, and so does the account.
	change := `//input[@value="address"]/ancestor::`
	c.run("another address", chromedp.Navigate(base+"/account"), chromedp.Click(change+"details/summary"), chromedp.SendKeys("#new-email", moved),
		chromedp.SendKeys("#pw-mail", harness.Passphrase), chromedp.Click(change+`form//button[contains(@class,"main")]`),
		chromedp.WaitVisible("#done"))
	c.run("confirm", chromedp.Navigate(base+"/verify#"+harness.TokenOf(h, box.Last(moved, notice.ConfirmAddress).Link)), chromedp.Click("form .btn.main"),
		chromedp.WaitVisible(`a[href="/account"]`))
	key.comesToHold("another address", moved)
	another.comesToHold("another address", moved)
	if got := signals(); !strings.HasPrefix(got, "signalCurrentUserDetails {") || strings.Contains(got, "\n") || !strings.Contains(got, `"name":"`+moved) {
		t.Errorf("after a change of address: %s", got)
	}

	// A removed one is gone from the authenticator, and the other is not.
	c.run("remove", chromedp.Navigate(base+"/account"), chromedp.Click("#passkeys li:nth-of-type(2) summary"),
		chromedp.Click(`#passkeys li:nth-of-type(2) [value="passkey-remove"] ~ button`), chromedp.WaitVisible("#done"))
	another.comesToHold("removed", "")
	if got := key.holds(); got != moved {
		t.Errorf("the other authenticator holds %q", got)
	}
	if got := signals(); !strings.HasPrefix(got, "signalUnknownCredential {") || strings.Contains(got, "signalAllAccepted") {
		t.Errorf("after a removal: %s", got)
	}
	// What the note says is looked at: one that is there is not told for gone, and neither is rubbish.
	living := call(c, "credentials", webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: key.id}).Credentials[0].CredentialID
	for name, id := range map[string]string{"one that is there": base64.RawURLEncoding.EncodeToString(living), "rubbish": "*"} {
		call(c, "a note", network.SetCookie, network.SetCookieParams{Name: "gatehouse_note", Value: "passkey-gone.." + id, URL: base + "/"})
		c.run(name, chromedp.Navigate(base+"/account?step=passkey-gone"), chromedp.WaitVisible("#done"))
		if got := signals(); strings.Contains(got, "signalUnknownCredential") {
			t.Errorf("%s is told for gone: %s", name, got)
		}
	}
	// The last one goes as well, and nothing else is said of it.
	c.run("remove the last", chromedp.Navigate(base+"/account"), chromedp.Click("#passkeys li summary"),
		chromedp.Click(`#passkeys [value="passkey-remove"] ~ button`), chromedp.WaitVisible("#done"))
	key.comesToHold("removed", "")
	if got := signals(); !strings.HasPrefix(got, "signalUnknownCredential {") || strings.Contains(got, "\n") {
		t.Errorf("after the last: %s", got)
	}
	c.quiet("signals", "Cleared data types")
}

// A browser that knows no signals goes on without a complaint.
func TestABrowserWithoutSignals(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	base := strings.Replace(h.App.URL(), "127.0.0.1", "localhost", 1)
	c := newChromium(h)
	const ada = "ada@example.org"
	h.Register(ada)
	call(c, "an old browser", cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{
		Source: `delete PublicKeyCredential.signalUnknownCredential; delete PublicKeyCredential.signalCurrentUserDetails;`})
	key := c.authenticator(platform)
	key.touched(false)
	c.run("sign in", chromedp.Navigate(base+"/login?lang=en"), chromedp.SendKeys("#email", ada), chromedp.SendKeys("#password", harness.Passphrase),
		chromedp.Click("form:not([data-passkey]) .btn.main"), chromedp.WaitVisible("#passkeys"))
	c.run("the code", chromedp.Click(`#passkeys [value="passkey-code"] ~ button`), chromedp.WaitVisible("#mail_code"))
	c.run("add", chromedp.SendKeys("#mail_code", h.Mailbox().Last(ada, notice.FactorCode).Code))
	key.touch("add", byPasskey, "#codes")
	c.run("kept", chromedp.Click("a.btn.main"), chromedp.WaitVisible("#passkeys li"))
	c.run("remove", chromedp.Click("#passkeys li summary"), chromedp.Click(`#passkeys [value="passkey-remove"] ~ button`), chromedp.WaitVisible("#done"))
	if got := key.holds(); got != ada {
		t.Errorf("the authenticator holds %q", got)
	}
	c.quiet("an old browser", "Cleared data types")
}
