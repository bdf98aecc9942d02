package jsclient_test

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// tab is one of a browser's, with the application in it.
type tab struct {
	*testing.T
	ctx context.Context
}

// browser opens so many tabs of one browser.
func browser(t *testing.T, address string, many int) []tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.Flag("disable-dev-shm-usage", true))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // root has no other way
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	first, cancel := chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	tabs := []tab{{t, first}}
	for len(tabs) < many {
		if len(tabs) == 1 { // the browser runs before it has a second tab
			tabs[0].opens(address)
		}
		next, cancel := chromedp.NewContext(first)
		t.Cleanup(cancel)
		tabs = append(tabs, tab{t, next})
	}
	for _, each := range tabs {
		each.opens(address)
	}
	return tabs
}

func (b tab) opens(address string) {
	b.Helper()
	if err := chromedp.Do(b.ctx, chromedp.Navigate(address)); err != nil {
		b.Fatalf("Chromium: %v. On Debian: apt-get install chromium", err)
	}
	b.eventually("window.loaded", "true")
}

// is waits for what an expression or its promise becomes.
func (b tab) is(expression string) string {
	b.Helper()
	script := `(async () => String(await (` + expression + `)))().catch((e) => "failed: " + e.name + " " + (e.code || e.message))`
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](script, chromedp.EvalAwaitPromise))
	if err != nil {
		b.Fatalf("%s: %v", expression, err)
	}
	return text
}

func (b tab) expect(expression, want string) {
	b.Helper()
	if got := b.is(expression); got != want {
		b.Errorf("%s is %q, not %q", expression, got, want)
	}
}

func (b tab) eventually(expression, want string) {
	b.Helper()
	got := ""
	for start := time.Now(); time.Since(start) < 30*time.Second; time.Sleep(20 * time.Millisecond) {
		if got = b.is(expression); got == want {
			return
		}
	}
	b.Fatalf("%s never is %q: %q", expression, want, got)
}

// each does it in all tabs at once.
func each(tabs []tab, do func(i int, b tab)) {
	var all sync.WaitGroup
	for i, b := range tabs {
		all.Go(func() { do(i, b) })
	}
	all.Wait()
}

// thrice is three requests at once, and their statuses.
func thrice(path string) string {
	return `Promise.all([1, 2, 3].map(() => client.fetch("` + path + `").then((r) => r.status)))`
}

// flaky are four tabs on a network, and a path that is answered 401 once a token has expired: to
// cookies Gatehouse itself goes on to answer, by the other cookie, so there it is an application's.
type flaky struct {
	*testing.T
	*network
	clock *harness.Clock
	tabs  []tab
	path  string
}

// expire has all tokens expired at once.
func (f *flaky) expire() {
	f.clock.Shift(16 * time.Minute)
	f.expires(false)
}

func (f *flaky) refreshed(want int, why string) {
	f.Helper()
	if got := f.count("/v1/token/refresh"); got != want {
		f.Errorf("%s: %d refreshes, not %d", why, got, want)
	}
}

// Four tabs of one browser find their access token expired at the same time, in a network that
// loses answers: one refresh for all of them, no request fails, no session ends. Then one tab
// signs out, and all know.
func TestFourTabsOnAFlakyNetwork(t *testing.T) {
	for mode, path := range map[string]string{"cookies": "/app/guarded", "bearer": "/v1/me"} {
		t.Run(mode, func(t *testing.T) {
			f := &flaky{T: t, network: newNetwork(t), clock: &harness.Clock{}, path: path}
			h := harness.OpenAt(t, dbtest.SQLite(t), f.clock.Now)
			f.before(h)
			f.expires(true)
			h.Register("ada@example.org")
			f.tabs = browser(t, f.URL+"/app/"+mode, 4)
			f.tabs[0].expect(`client.resume()`, "null")
			f.tabs[0].expect(`client.signIn("ada@example.org", "not her password, no").catch((e) => e.status + e.code)`, "401invalid_credentials")
			f.tabs[0].expect(`client.signIn("ada@example.org", "`+harness.Passphrase+`").then((s) => s.step)`, "done")
			each(f.tabs, func(_ int, b tab) {
				b.eventually("told.join()", "signedin")
				b.expect(thrice(path), "200,200,200")
			})
			f.refreshed(0, "tokens that are good")
			for lost := range 3 {
				f.expire()
				f.loses("/v1/token/refresh", lost)
				each(f.tabs, func(i int, b tab) { b.expect(thrice(path), "200,200,200") })
				f.refreshed(1+lost, "four tabs, and as many answers lost, and one")
			}
			f.tabs[3].expect(`client.call("PATCH", "/v1/me", { name: "Ada" }).then((me) => me.name)`, "Ada") // a change, with its token
			f.awayAndBack()
			f.tabs[2].expect("client.signOut()", "undefined")
			f.expire()
			each(f.tabs, func(i int, b tab) {
				b.eventually("told.join()", "signedin,signedout")
				b.expect("client.signedIn", "false")
				b.expect(thrice(path), "401,401,401")
				b.expect(thrice("/v1/me"), "401,401,401")
			})
			f.refreshed(0, "after the sign-out")
		})
	}
}

// awayAndBack takes the server away for longer than the client is patient: that is an error, and
// no sign-out. When it is back, all goes on.
func (f *flaky) awayAndBack() {
	f.Helper()
	f.expire()
	f.loses("/v1/token/refresh", -503)
	f.tabs[1].expect(`client.fetch("`+f.path+`").then(() => "no error", (e) => e.status)`, "503")
	f.tabs[1].expect("client.signedIn", "true")
	f.loses("/v1/token/refresh", 0)
	each(f.tabs, func(i int, b tab) { b.expect(thrice(f.path), "200,200,200") })
	f.tabs[0].expect("told.join()", "signedin")
	f.count("/v1/token/refresh")
}

// A session that was ended elsewhere is told to all tabs as soon as one of them asks.
func TestASessionThatWasEnded(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	h.Register("ada@example.org")
	n := newNetwork(t)
	n.before(h)
	tabs := browser(t, n.URL+"/app/bearer", 2)
	tabs[0].expect(`client.signIn("ada@example.org", "`+harness.Passphrase+`").then((s) => s.step)`, "done")
	h.Expect(204, "", harness.Request{Method: "POST", Path: "/v1/logout-all", Bearer: h.Login("ada@example.org").Str("access_token")})
	tabs[1].expect(`client.fetch("/v1/me").then((r) => r.status)`, "401")
	each(tabs, func(_ int, b tab) { b.eventually("told.join()", "signedin,signedout") })
}

// A person registers, adds a passkey with the code of the mail, and signs in with it alone, and
// behind the password.
func TestPasskeys(t *testing.T) {
	n := newNetwork(t)
	// Browsers have passkeys for names, and not for addresses.
	home := strings.Replace(n.URL, "127.0.0.1", "localhost", 1)
	h := harness.Open(t, dbtest.SQLite(t), "PUBLIC_URL="+home)
	n.before(h)
	b := browser(t, home+"/app/cookies", 1)[0]
	if _, err := chromedp.Call(b.ctx, webauthn.Enable, webauthn.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(b.ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal, HasResidentKey: true, HasUserVerification: true,
		IsUserVerified: true, AutomaticPresenceSimulation: true,
	}}); err != nil {
		t.Fatal(err)
	}
	b.expect(`client.register("ada@example.org", "`+harness.Passphrase+`").then((r) => typeof r.request)`, "string")
	b.expect(`client.signIn("ada@example.org", "`+harness.Passphrase+`").then((s) => s.step)`, "done")
	b.expect(`client.mailFactorCode().then((r) => typeof r.message)`, "string")
	code := h.Mailbox().Last("ada@example.org", notice.FactorCode).Code
	b.expect(`client.addPasskey({ name: "This browser", mailCode: "`+code+`" }).then((s) => s.step + s.recoveryCodes.length)`, "done10")
	b.expect(`client.factors().then((f) => f.passkeys.map((k) => k.name).join())`, "This browser")
	b.expect("client.signOut()", "undefined")
	b.expect(`client.signInWithPasskey().then((s) => s.step)`, "done")
	b.expect(`client.me().then((me) => me.email)`, "ada@example.org")
	b.expect("client.signOut()", "undefined")
	b.expect(`client.signIn("ada@example.org", "`+harness.Passphrase+`").then((s) => s.step + s.factors[0])`, "factorpasskey")
	b.expect(`client.showPasskey().then((s) => s.step)`, "done")
	// A page that was loaded anew finds the session, also where its own storage is empty.
	b.expect(`client.close(), new Promise((done) => { indexedDB.deleteDatabase("gatehouse:" + location.origin).onsuccess = done }).then(() => "gone")`, "gone")
	b.opens(home + "/app/cookies")
	b.expect(`client.resume().then((me) => me.email)`, "ada@example.org")
	b.expect(`client.changePassword("`+harness.Passphrase+`", "another battery of horses, staple").then(() => "changed")`, "changed")
}
