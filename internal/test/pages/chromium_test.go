package pages_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// chromium is a tab of a real browser that keeps all its complaints.
type chromium struct {
	*harness.Server
	ctx context.Context

	mu         sync.Mutex
	complaints []string
}

// program is the one Chromium of all tests: to start it takes longer than most of them. Each has a profile of its own in it.
var program struct {
	sync.Mutex
	ctx context.Context // nil until it runs
	end context.CancelFunc
}

func TestMain(m *testing.M) {
	code := m.Run()
	if program.end != nil {
		program.end()
	}
	os.Exit(code)
}

// running returns the Chromium that runs, and starts it if it does not, or no longer.
func running() (context.Context, error) {
	program.Lock()
	defer program.Unlock()
	if program.ctx != nil && program.ctx.Err() == nil {
		return program.ctx, nil
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.WindowSize(900, 700), chromedp.Flag("disable-dev-shm-usage", true))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // root has no other way
	}
	ctx, end := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, _ = chromedp.NewContext(ctx)
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		end()
		return nil, fmt.Errorf("Chromium: %w. On Debian: apt-get install chromium", err)
	}
	program.ctx, program.end = ctx, end
	return ctx, nil
}

// newChromium opens a tab that knows nothing of any other test's.
func newChromium(h *harness.Server) *chromium {
	h.Helper()
	ctx, err := running()
	if err != nil {
		h.Fatal(err)
	}
	ctx, cancel := chromedp.NewContext(ctx, chromedp.WithNewBrowserContext())
	h.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 5*time.Minute)
	h.Cleanup(cancel)
	c := &chromium{Server: h, ctx: ctx}
	err = chromedp.Listen(ctx, func(event any) {
		switch e := event.(type) {
		case *cdplog.EventEntryAdded:
			if strings.Contains(e.Entry.Text, "Autofocus processing was blocked") {
				break // the test has clicked into a field before the page was all there, as people do
			}
			c.complain("log: %s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		case *audits.EventIssueAdded:
			if e.Issue.Details.ContentSecurityPolicyIssueDetails != nil {
				c.complain("CSP: %s %s", e.Issue.Details.ContentSecurityPolicyIssueDetails.ViolatedDirective, e.Issue.Details.ContentSecurityPolicyIssueDetails.BlockedURL)
			}
		case *runtime.EventConsoleAPICalled:
			c.complain("console: %s", e.Type)
		case *runtime.EventExceptionThrown:
			c.complain("exception: %s", e.ExceptionDetails.Text)
		}
	})
	for _, enable := range []cdp.Command[cdp.Empty, cdp.Empty]{cdplog.Enable, audits.Enable} {
		if err == nil {
			_, err = chromedp.Call(ctx, enable, cdp.Empty{})
		}
	}
	if err != nil {
		h.Fatalf("Chromium: %v", err)
	}
	return c
}

func (c *chromium) complain(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.complaints = append(c.complaints, fmt.Sprintf(format, args...))
}

// run does what a person would, and fails the test if it can't be done.
func (c *chromium) run(what string, actions ...chromedp.Action[chromedp.Void]) {
	c.Helper()
	if err := chromedp.Do(c.ctx, actions...); err != nil {
		c.Fatalf("%s: %v; the browser says %q", what, err, c.said())
	}
}

// eval returns what an expression is in the page.
func (c *chromium) eval(expression string) string {
	c.Helper()
	text, err := chromedp.Run(c.ctx, chromedp.Evaluate[string]("String("+expression+")"))
	if err != nil {
		c.Fatalf("%s: %v", expression, err)
	}
	return text
}

// said returns the browser's complaints, and forgets them.
func (c *chromium) said() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	said := c.complaints
	c.complaints = nil
	return said
}

// quiet fails the test if the browser complained, except of what is expected.
func (c *chromium) quiet(where string, except ...string) {
	c.Helper()
next:
	for _, line := range c.said() {
		for _, e := range except {
			if strings.Contains(line, e) {
				continue next
			}
		}
		c.Errorf("%s: the browser complains: %s", where, line)
	}
}

// HDR-1, ASVS 3.4.3: the pages look and work as they should under their policy,
// and a browser has nothing to report.
func TestHDR1_PagesInChromium(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	h.Register("ada@example.org")
	c := newChromium(h)
	base := h.App.URL()
	styled := func(where string) {
		t.Helper()
		width, sheets := c.eval(`getComputedStyle(document.querySelector(".btn")).borderRadius`), c.eval(`document.styleSheets.length`)
		if width != "8px" || sheets != "1" {
			t.Errorf("%s: the style sheet was not applied: radius %s, %s sheets", where, width, sheets)
		}
	}
	c.run("login", chromedp.Navigate(base+"/login"))
	styled("/login")
	c.quiet("/login", "/favicon.ico")
	c.run("a wrong password", chromedp.SendKeys("#email", "ada@example.org"), chromedp.SendKeys("#password", "wrong password, quite"),
		chromedp.Click(".btn.main"), chromedp.WaitVisible("#problem"))
	styled("a wrong password")
	c.quiet("a wrong password", "401", "/favicon.ico") // the status of a response is logged as well
	c.run("sign-in", chromedp.SendKeys("#password", harness.Passphrase), chromedp.Click(".btn.main"), chromedp.WaitVisible(`form[action="/logout"]`))
	if text := c.eval(`document.querySelector("main").innerText`); !strings.Contains(text, "ada@example.org") {
		t.Errorf("/account says %q", text)
	}
	styled("/account")
	c.run("sign-out", chromedp.Click(`form[action="/logout"] button`), chromedp.WaitVisible("#password"))
	c.quiet("/account", "Cleared data types") // which it says of every Clear-Site-Data
	// The script moves the token from the fragment into the form.
	c.run("set-up", chromedp.Navigate(base+"/setup#some-token"))
	styled("/setup")
	if token, at := c.eval(`document.querySelector("#token").value`), c.eval("location.href"); token != "some-token" || strings.Contains(at, "#") {
		t.Errorf("the script of /setup did not run: %q at %q", token, at)
	}
	c.quiet("/setup")
	c.attackPolicy()
}

// attackPolicy puts into a page what an attacker would, and sees to it that
// nothing runs, loads or leads away.
func (c *chromium) attackPolicy() {
	c.Helper()
	for name, attack := range map[string]string{
		"an inline script": `const s = document.createElement("script"); s.textContent = "window.hacked = 1"; document.body.append(s)`,
		"a file of ours as a script": `const s = document.createElement("script"); s.src = document.querySelector("script").src;
			s.onload = () => window.hacked = 1; document.body.append(s)`,
		"a script from elsewhere":       `const s = document.createElement("script"); s.src = "data:text/javascript,window.hacked=1"; document.body.append(s)`,
		"an event handler":              `document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.hacked=1'>")`,
		"a style":                       `document.body.insertAdjacentHTML("beforeend", "<style>main{max-width:1px}</style>"); if (getComputedStyle(document.querySelector("main")).maxWidth == "1px") window.hacked = 1`,
		"a base":                        `document.head.insertAdjacentHTML("afterbegin", "<base href='https://evil.example/'>"); if (document.baseURI.startsWith("https://evil")) window.hacked = 1`,
		"a frame":                       `const f = document.createElement("iframe"); f.src = "/login"; f.onload = () => { try { if (f.contentDocument.querySelector("#email")) window.hacked = 1 } catch (e) {} }; document.body.append(f)`,
		"a form to elsewhere":           `const f = document.createElement("form"); f.action = "http://127.0.0.1:1/"; document.body.append(f); f.submit()`,
		"the nonce, read from the page": `const s = document.createElement("script"); s.setAttribute("nonce", document.querySelector("script,link").getAttribute("nonce")); s.textContent = "window.hacked = 1"; document.body.append(s)`,
	} {
		c.run(name, chromedp.Navigate(c.App.URL()+"/setup"))
		c.eval(`(() => {` + attack + `})()`)
		c.run(name, chromedp.Sleep(300*time.Millisecond))
		if at := c.eval("location.href"); c.eval("window.hacked") == "1" || !strings.HasSuffix(at, "/setup") {
			c.Errorf("%s worked: %s", name, at)
		}
		if said := c.said(); len(said) == 0 {
			c.Errorf("%s: the browser reports nothing, so this test would not see a violation", name)
		}
	}
}
