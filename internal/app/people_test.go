package app_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
)

// asked is what a browser sends with a click.
func asked(more ...string) http.Header {
	h := http.Header{"Accept": {"text/html,application/xhtml+xml,*/*;q=0.8"}}
	for i := 0; i < len(more); i += 2 {
		h.Set(more[i], more[i+1])
	}
	return h
}

// open is a click on a link.
func (b *browser) click(path string) answer {
	b.Helper()
	return b.send(request{method: "GET", path: path, header: asked()})
}

// submit sends a form as a browser does, and follows where it leads.
func (b *browser) submit(path string, in body) (sent, shown answer, at string) {
	b.Helper()
	r := press(path, in)
	r.header = asked("Origin", b.url(), "Sec-Fetch-Site", "same-origin")
	sent = b.send(r)
	if sent.status != 303 {
		return sent, sent, path
	}
	at = sent.header.Get("Location")
	return sent, b.click(at), at
}

var (
	pageLinks = regexp.MustCompile(`<a href="([^"]+)"`)
	pageForms = regexp.MustCompile(`<form method="post" action="([^"]+)"`)
)

// ways returns where a page leads to, by links and by forms.
func ways(a answer) (out []string) {
	for _, found := range append(pageLinks.FindAllStringSubmatch(a.text, -1), pageForms.FindAllStringSubmatch(a.text, -1)...) {
		out = append(out, found[1])
	}
	return out
}

// walk checks that an answer is a page that leads on: to another page than itself,
// and nowhere that is not there.
func (b *browser) walk(what, at string, a answer, seen map[string]bool) {
	b.Helper()
	path, _, _ := strings.Cut(at, "?")
	if !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
		b.Errorf("%s: a person reads %d %s: %.120s", what, a.status, a.header.Get("Content-Type"), a.text)
		return
	}
	if !strings.Contains(a.text, `<html lang="en">`) || !strings.Contains(a.text, "<h1>") {
		b.Errorf("%s: no language or no heading:\n%s", what, a.text)
	}
	list := ways(a)
	if !slices.ContainsFunc(list, func(to string) bool { return to != path }) {
		b.Errorf("%s (%s, %d) is a dead end: it leads to %q\n%s", what, at, a.status, list, a.text)
	}
	for _, to := range list {
		if seen[to] || !strings.HasPrefix(to, "/") {
			continue
		}
		seen[to] = true
		if got := b.click(to); got.status >= 400 {
			b.Errorf("%s leads to %s, which is %d", what, to, got.status)
		}
	}
}

// C4: every page that is opened, and every ending of a form, good or bad, has its next
// step. The list of pages is the server's own, so that a new one is walked too.
func TestCaseC4_NoPageIsADeadEnd(t *testing.T) {
	each(t, func(h *house) {
		const ada = "ada@example.org"
		box, b, seen := h.mailbox(), h.browser(), map[string]bool{}
		pages := []string{"/", "/login", "/register", "/verify", "/forgot", "/reset", "/not-me", "/undo", "/unlock", "/setup", "/account", "/logout", "/nowhere"}
		open := func(who string) {
			for _, path := range pages {
				a := b.click(path)
				if a.status == 303 {
					path = a.header.Get("Location")
					a = b.click(path)
				}
				b.walk(who+" opens "+path, path, a, seen)
			}
		}
		open("a stranger")
		ending := func(what string, status int, path string, in body) string {
			h.Helper()
			sent, shown, at := b.submit(path, in)
			if sent.status != status {
				h.Fatalf("%s: %d, want %d\n%s", what, sent.status, status, sent.text)
			}
			b.walk(what, at, shown, seen)
			return shown.text
		}
		for _, path := range pages {
			status := 400
			if path == "/setup" {
				status = 403
			}
			if pageForms.MatchString(b.click(path).text) {
				ending("an empty form of "+path, status, path, nil)
			}
		}
		// The code has a page, with the address filled in, and another mail is one click away.
		text := ending("registered", 303, "/register", body{"email": ada, "new_password": passphrase})
		if !strings.Contains(text, `id="code"`) || !strings.Contains(text, `name="email" type="text" inputmode="email" value="`+ada+`"`) || !strings.Contains(text, "Send a new mail") {
			h.Errorf("after /register:\n%s", text)
		}
		ending("a wrong code", 400, "/verify", body{"email": ada, "code": "AAAAAAAA"})
		ending("an old link", 400, "/verify", body{"token": "gatehouse_mt_old"})
		ending("a mail again", 303, "/verify", body{"email": ada, "again": "1"})
		ending("verified", 303, "/verify", body{"email": ada, "code": box.last(ada, notice.VerifyAddress).Code})
		text = ending("forgot", 303, "/forgot", body{"email": ada})
		if !strings.Contains(text, `id="code"`) || !strings.Contains(text, `value="`+ada+`"`) || !strings.Contains(text, `action="/forgot"`) {
			h.Errorf("after /forgot:\n%s", text)
		}
		if text = ending("an old link", 400, "/reset", body{"token": "gatehouse_mt_old", "new_password": another}); !strings.Contains(text, `action="/forgot"`) || !strings.Contains(text, "<details open>") {
			h.Errorf("a link for a new password that does not work offers no other:\n%s", text)
		}
		ending("a weak password", 400, "/reset", body{"email": ada, "code": box.last(ada, notice.ResetPassword).Code, "new_password": "short"})
		ending("a new password", 303, "/reset", body{"email": ada, "code": box.last(ada, notice.ResetPassword).Code, "new_password": another})
		ending("a wrong password", 401, "/login", body{"email": ada, "password": passphrase})
		notMe := tokenOf(h, box.last(ada, notice.PasswordChanged).NotMe)
		ending("signed in", 303, "/login", body{"email": ada, "password": another})
		open("somebody signed in")
		ending("a session that is none", 403, "/account", body{"session": "x"})
		ending("signed out", 303, "/logout", body{})
		ending("not me", 303, "/not-me", body{"token": notMe})
		ending("not me again", 400, "/not-me", body{"token": "gatehouse_mt_old"})
		ending("no undo", 400, "/undo", body{"token": "gatehouse_mt_old", "password": passphrase})
	}, "EMAIL_VERIFICATION=required")
}

// C4: mails say where the code is typed.
func TestCaseC4_MailsSayWhereTheCodeGoes(t *testing.T) {
	h := open(t, dbtest.SQLite(t))
	b := h.browser()
	b.submit("/register", body{"email": "ada@example.org", "new_password": passphrase})
	b.submit("/forgot", body{"email": "ada@example.org"})
	text := b.click("/dev/mail").text
	for _, want := range []string{h.server.PublicURL() + "/verify", h.server.PublicURL() + "/reset"} {
		if !regexp.MustCompile(regexp.QuoteMeta(want) + `(&lt;|<|[,. ])`).MatchString(text) {
			t.Errorf("no mail says %s:\n%s", want, text)
		}
	}
}

// C5, N6: whatever a browser asks for, a person reads words and finds a way on; what
// belongs to programs stays a problem document, and so do all answers to programs.
func TestCaseC5_ErrorsForPeopleArePages(t *testing.T) {
	h := open(t, dbtest.SQLite(t), "REGISTRATION=closed")
	b := h.browser()
	for _, c := range []struct {
		status int
		r      request
	}{
		{404, request{method: "GET", path: "/nowhere"}},
		{404, request{method: "GET", path: "/login/"}},
		{404, request{method: "GET", path: "/a/..%2f/b"}},
		{404, request{method: "GET", path: "/assets/none.js"}},
		{405, request{method: "PUT", path: "/logout"}},
		{405, request{method: "POST", path: "/"}},
		{403, request{method: "POST", path: "/logout", contentType: "application/x-www-form-urlencoded", body: "", header: http.Header{"Sec-Fetch-Site": {"cross-site"}}}},
		{403, request{method: "POST", path: "/account", contentType: "application/x-www-form-urlencoded", body: "", header: http.Header{"Origin": {"https://evil.example"}}}},
		{400, request{method: "POST", path: "/logout", contentType: "application/x-www-form-urlencoded", body: "%zz"}},
		{400, request{method: "POST", path: "/logout", contentType: "application/x-www-form-urlencoded", body: strings.Repeat("a", 65<<10)}},
		{403, request{method: "GET", path: "/register"}},
	} {
		plain, page := c.r, c.r
		page.header = asked()
		for name, v := range c.r.header {
			page.header[name] = v
		}
		a := b.send(page)
		if a.status != c.status {
			t.Errorf("%s %s: %d, want %d", c.r.method, c.r.path, a.status, c.status)
		}
		b.walk(c.r.method+" "+c.r.path, c.r.path, a, map[string]bool{})
		if csp := a.header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action") || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s: %q, %q", c.r.method, c.r.path, csp, a.header.Get("Cache-Control"))
		}
		if c.r.path != "/register" {
			if a := h.do(plain); a.str("code") == "" || a.status != c.status {
				t.Errorf("%s %s of a program: %d %s", c.r.method, c.r.path, a.status, a.text)
			}
		}
	}
	for _, path := range []string{"/v1/me", "/v1/nowhere", "/.well-known/nowhere", "/.well-known/security.txt"} {
		if a := b.click(path); a.str("code") == "" {
			t.Errorf("%s: %d %s", path, a.status, a.text)
		}
	}
}

// C5: what a mistake of ours shows a person is a page as well, and says nothing of it.
func TestCaseC5_AnOutageIsAPage(t *testing.T) {
	h := open(t, dbtest.SQLite(t), "API_RATE_LIMIT_REQUESTS=2")
	b := h.browser()
	var a answer
	for range 4 {
		a = b.click("/account")
	}
	if a.status != 429 || a.header.Get("Retry-After") == "" {
		t.Errorf("%d %v", a.status, a.header)
	}
	if !strings.Contains(a.text, "Too many requests") || len(ways(a)) == 0 {
		t.Error(a.text)
	}
}

// C5: signing out works from a tab of the session before, from no other site, and
// from a client that says nothing of its origin only with the token.
func TestCaseC5_SignOutFromAStaleTab(t *testing.T) {
	each(t, func(h *house) {
		h.register("ada@example.org")
		b := h.browser()
		csrf := regexp.MustCompile(`name="csrf_token" value="([^"]+)"`)
		signIn := func() string {
			b.submit("/login", body{"email": "ada@example.org", "password": passphrase})
			return csrf.FindStringSubmatch(b.click("/account").text)[1]
		}
		stale := signIn()
		if fresh := signIn(); fresh == stale {
			h.Fatal("the second session has the first one's token")
		}
		access := b.cookie("gatehouse_at")
		for name, header := range map[string]http.Header{
			"cross-site": asked("Sec-Fetch-Site", "cross-site"), "same-site": asked("Sec-Fetch-Site", "same-site"),
			"another origin": asked("Origin", "https://evil.example"), "nothing said": asked(),
		} {
			r := press("/logout", body{"csrf_token": stale})
			r.header = header
			if a := b.send(r); a.status != 403 || !strings.Contains(a.header.Get("Content-Type"), "html") {
				h.Errorf("%s: %d %s", name, a.status, a.text)
			}
		}
		h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: access})
		if a := b.click("/logout"); a.status != 200 || !strings.Contains(a.text, "Sign out?") {
			h.Errorf("a link to sign-out: %d %s", a.status, a.text)
		}
		h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: access})
		if sent, _, _ := b.submit("/logout", body{"csrf_token": stale}); sent.status != 303 || b.cookie("gatehouse_rt") != "" {
			h.Errorf("from a stale tab: %d %s", sent.status, sent.text)
		}
		h.expect(401, "invalid_token", request{method: "GET", path: "/v1/me", bearer: access})
		// Twice is no fault.
		if sent, _, _ := b.submit("/logout", body{"csrf_token": stale}); sent.status != 303 {
			h.Errorf("a second time: %d %s", sent.status, sent.text)
		}
	})
}

// Issue 12, section 5: the root says what runs here in development, and leads home in
// production. Beside it stands what programs look for by themselves.
func TestTheRootAndWhatStandsThere(t *testing.T) {
	h := open(t, dbtest.SQLite(t))
	b := h.browser()
	a := b.click("/")
	for _, want := range []string{"Gatehouse is running", "/login", "/register", "/dev/mail", "/openapi.json", "gatehouse user create --admin", h.server.AdminURL()} {
		if !strings.Contains(a.text, want) {
			t.Errorf("the root lacks %q:\n%s", want, a.text)
		}
	}
	for path, want := range map[string]string{"/robots.txt": "Disallow: /\n", "/favicon.ico": ""} {
		a := b.click(path)
		if a.status >= 400 || !strings.Contains(a.text, want) || !strings.Contains(a.header.Get("Cache-Control"), "public") {
			t.Errorf("%s: %d %s %v", path, a.status, a.text, a.header)
		}
		if to := a.header.Get("Location"); to != "" {
			if a := b.click(to); a.status != 200 || a.header.Get("Content-Type") != "image/svg+xml" {
				t.Errorf("%s: %d %v", to, a.status, a.header)
			}
		}
	}
	h.expect(404, "not_found", request{method: "GET", path: "/.well-known/security.txt"})

	h = open(t, dbtest.SQLite(t), "SECURITY_CONTACT=mailto:security@acme.org,https://acme.org/security", "HOME_URL=https://app.acme.org/")
	if a := h.do(request{method: "GET", path: "/"}); a.status != 303 || a.header.Get("Location") != "https://app.acme.org/" {
		t.Errorf("HOME_URL: %d %v", a.status, a.header)
	}
	a = h.do(request{method: "GET", path: "/.well-known/security.txt"})
	until, err := time.Parse(time.RFC3339, regexp.MustCompile(`(?m)^Expires: (.*)$`).FindStringSubmatch(a.text)[1])
	if err != nil || !until.After(time.Now().Add(90*24*time.Hour)) || until.After(time.Now().Add(365*24*time.Hour)) {
		t.Errorf("it expires at %v, %v", until, err)
	}
	if !strings.HasPrefix(a.text, "Contact: mailto:security@acme.org\nContact: https://acme.org/security\n") || a.header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%v\n%s", a.header, a.text)
	}
}

// C9: every form that went well answers with a redirect to a page, which can be loaded
// any number of times; a link to such a page from elsewhere says nothing of the kind.
func TestCaseC9_LoadingAgainSendsNothing(t *testing.T) {
	each(t, func(h *house) {
		const ada = "ada@example.org"
		box, b := h.mailbox(), h.browser()
		step := func(path string, in body, words string) string {
			h.Helper()
			sent, shown, at := b.submit(path, in)
			if sent.status != 303 || strings.Contains(at, "ada") {
				h.Fatalf("%s: %d, leads to %q", path, sent.status, at)
			}
			mails := len(box.all(ada))
			for range 3 {
				if again := b.click(at); again.status != 200 || again.text == "" || !strings.Contains(again.text, words) {
					h.Errorf("%s again: %d\n%s", at, again.status, again.text)
				}
			}
			if n := len(box.all(ada)); n != mails {
				h.Errorf("loading %s sent %d mails", at, n-mails)
			}
			if foreign := h.browser().click(at); strings.Contains(foreign.text, words) || strings.Contains(foreign.text, ada) {
				h.Errorf("%s says %q to a browser that did nothing", at, words)
			}
			if !strings.Contains(shown.text, words) {
				h.Errorf("%s:\n%s", at, shown.text)
			}
			return at
		}
		registered := step("/register", body{"email": ada, "new_password": passphrase}, "it has one now")
		step("/verify", body{"token": tokenOf(h, box.last(ada, notice.VerifyAddress).Link)}, "is verified")
		if a := b.click(registered); strings.Contains(a.text, "it has one now") {
			h.Errorf("an older page is shown: %s", a.text)
		}
		if a := b.click("/verify"); strings.Contains(a.text, "is verified") || !strings.Contains(a.text, `id="token"`) {
			h.Errorf("the mail's link finds no form:\n%s", a.text)
		}
		step("/forgot", body{"email": ada}, "is on its way")
		reset := step("/reset", body{"token": tokenOf(h, box.last(ada, notice.ResetPassword).Link), "new_password": another}, "password is set")
		b.jar.SetCookies(b.origin(), []*http.Cookie{{Name: "gatehouse_note", Value: "replaced.!!", Path: "/"}})
		if a := b.click(reset); a.status != 200 || strings.Contains(a.text, "password is set") {
			h.Errorf("a note that is none: %d %s", a.status, a.text)
		}
	})
}

// ASVS 10.4.9 at our own pages: people see where they are signed in, and end any of
// it; nobody ends another's.
func TestASVS_V10_4_9_PeopleEndTheirSessions(t *testing.T) {
	each(t, func(h *house) {
		h.register("ada@example.org")
		h.register("eve@example.org")
		here, there := h.browser(), h.browser()
		here.submit("/login", body{"email": "ada@example.org", "password": passphrase})
		there.submit("/login", body{"email": "ada@example.org", "password": passphrase})
		eve := h.login("eve@example.org")
		ids := regexp.MustCompile(`name="session" value="([^"]+)"`)
		page := here.click("/account")
		found := ids.FindAllStringSubmatch(page.text, -1)
		if len(found) != 1 || !strings.Contains(page.text, "this browser") {
			h.Fatalf("the account shows %d other sessions:\n%s", len(found), page.text)
		}
		csrf := here.cookie("gatehouse_csrf")
		if sent, _, _ := here.submit("/account", body{"session": eve.str("session_id"), "csrf_token": csrf}); sent.status != 303 {
			h.Errorf("another's session: %d", sent.status)
		}
		h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: eve.str("access_token")})
		if sent, _, _ := here.submit("/account", body{"session": found[0][1], "csrf_token": "wrong"}); sent.status != 403 || !strings.Contains(sent.text, "press the button again") {
			h.Errorf("with a stale token: %d\n%s", sent.status, sent.text)
		}
		if _, shown, _ := here.submit("/account", body{"session": found[0][1], "csrf_token": csrf}); !strings.Contains(shown.text, "has ended") || ids.MatchString(shown.text) {
			h.Errorf("ended:\n%s", shown.text)
		}
		if a := there.click("/account"); a.status != 303 || a.header.Get("Location") != "/login" {
			h.Errorf("the other browser: %d %v", a.status, a.header)
		}
		if a := here.click("/account"); a.status != 200 {
			h.Errorf("this browser: %d", a.status)
		}
	})
}

// C2: pages take every address that the API takes, and leave judging to the server.
func TestCaseC2_PagesTakeEveryAddress(t *testing.T) {
	h := open(t, dbtest.SQLite(t))
	b := h.browser()
	for _, path := range []string{"/login", "/register", "/forgot", "/reset", "/verify", "/setup"} {
		text := b.click(path).text
		for _, field := range regexp.MustCompile(`<input [^>]*name="email"[^>]*>`).FindAllString(text, -1) {
			for _, want := range []string{`type="text"`, `inputmode="email"`, `autocomplete="username"`, `autocapitalize="none"`, `spellcheck="false"`} {
				if !strings.Contains(field, want) {
					t.Errorf("%s: %s lacks %s", path, field, want)
				}
			}
		}
		if strings.Contains(text, `type="email"`) {
			t.Errorf("%s decides itself what an address is", path)
		}
	}
	const user = "用户@例子.广告"
	if sent, _, _ := b.submit("/register", body{"email": user, "new_password": passphrase}); sent.status != 303 {
		t.Errorf("%d %s", sent.status, sent.text)
	}
	if _, shown, at := b.submit("/login", body{"email": user, "password": passphrase}); at != "/account" || !strings.Contains(shown.text, user) {
		t.Errorf("%s\n%s", at, shown.text)
	}
}

// C2: where nobody may register, no page offers it, and /register says so at once.
func TestCaseC2_ClosedRegistrationIsNotOffered(t *testing.T) {
	h := open(t, dbtest.SQLite(t), "REGISTRATION=closed")
	b := h.browser()
	for _, path := range []string{"/", "/login", "/forgot", "/verify", "/reset", "/register"} {
		a := b.click(path)
		if strings.Contains(a.text, `href="/register"`) || strings.Contains(a.text, `action="/register"`) {
			t.Errorf("%s offers to register:\n%s", path, a.text)
		}
		if path == "/register" && (a.status != 403 || !strings.Contains(a.text, "does not take registrations")) {
			t.Errorf("/register: %d\n%s", a.status, a.text)
		}
	}
	if _, shown, _ := b.submit("/forgot", body{"email": "ada@example.org"}); strings.Contains(shown.text, `href="/register"`) {
		t.Error(shown.text)
	}
}

// D6: whoever registers is written to in the language that they, or their browser,
// asked for, from the first mail on.
func TestCaseD6_TheFirstMailIsInTheRightLanguage(t *testing.T) {
	each(t, func(h *house) {
		b, n := h.browser(), 0
		for _, c := range []struct{ header, field, locale, says string }{
			{"de-AT,de;q=0.9,en;q=0.8", "", "de-AT", "Bitte bestätigen"},
			{"en;q=0.5, de", "", "de", "Bitte bestätigen"},
			{"en-GB", "de", "de", "Bitte bestätigen"},
			{"de", "en", "en", "Please confirm"},
			{"fr", "", "fr", "Please confirm"},
			{"*", "", "", "Please confirm"},
			{"de;q=0", "", "", "Please confirm"},
			{"\xff;;;", "", "", "Please confirm"},
			{strings.Repeat("de,", 1000), "", "", "Please confirm"},
			{"", "", "", "Please confirm"},
		} {
			n++
			to := "ada" + strings.Repeat("a", n) + "@example.org"
			in := body{"email": to, "password": passphrase}
			if c.field != "" {
				in["locale"] = c.field
			}
			r := post("/v1/register", in)
			r.header = http.Header{"Accept-Language": {c.header}}
			h.expect(202, "", r)
			h.expect(202, "", post("/v1/password/forgot", body{"email": to}))
			me := h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: h.login(to).str("access_token")})
			if me.str("locale") != c.locale {
				h.Errorf("%q, %q: the locale is %q, want %q", c.header, c.field, me.str("locale"), c.locale)
			}
			mails := b.click("/dev/mail").text
			_, mine, _ := strings.Cut(mails, "To "+to)
			if at := strings.LastIndex(mails, "To "+to); !strings.Contains(mails[at-300:at], c.says) {
				h.Errorf("%q, %q: the first mail: %.300s", c.header, c.field, mine)
			}
		}
		h.expect(400, "invalid_locale", post("/v1/register", body{"email": "eve@example.org", "password": passphrase, "locale": "no language"}))
		r := press("/register", body{"email": "bob@example.org", "new_password": passphrase})
		r.header = asked("Accept-Language", "de-CH")
		b.send(r)
		if mails := b.click("/dev/mail").text; !strings.Contains(mails[:2000], "Bitte bestätigen") {
			h.Errorf("registered by the page: %.2000s", mails)
		}
	})
}

// D1: an empty body of a length that nobody told beforehand is no body.
func TestCaseD1_AnEmptyBodyOfUnknownLength(t *testing.T) {
	h := open(t, dbtest.SQLite(t))
	h.register("ada@example.org")
	for _, path := range []string{"/v1/logout", "/v1/logout-all"} {
		for _, header := range []string{"", "Content-Type: application/json\r\n", "Content-Type: text/plain\r\n"} {
			access := h.login("ada@example.org").str("access_token")
			if got := sendChunked(t, h.server.URL(), path, "Authorization: Bearer "+access+"\r\n"+header, "0\r\n\r\n"); got != 204 {
				t.Errorf("%s %q: %d", path, header, got)
			}
			h.expect(401, "invalid_token", request{method: "GET", path: "/v1/me", bearer: access})
		}
	}
	access := h.login("ada@example.org").str("access_token")
	for _, c := range []struct {
		header, chunks string
		want           int
	}{
		{"", "2\r\n{}\r\n0\r\n\r\n", 415}, {"Content-Type: application/json\r\n", "1\r\n{\r\n0\r\n\r\n", 400}, {"Content-Type: application/json\r\n", "1\r\n \r\n0\r\n\r\n", 400},
	} {
		if got := sendChunked(t, h.server.URL(), "/v1/logout", "Authorization: Bearer "+access+"\r\n"+c.header, c.chunks); got != c.want {
			t.Errorf("%q: %d, want %d", c.chunks, got, c.want)
		}
	}
	h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: access})
}

// sendChunked posts chunks as they are, and returns the status.
func sendChunked(t *testing.T, base, path, headers, chunks string) int {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\n%sTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n%s", path, u.Host, headers, chunks)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode
}

// D2: an access token that is only old still ends its own session, and nothing else;
// one that was tampered with ends none.
func TestCaseD2_AnExpiredTokenEndsItsOwnSession(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		c := &clock{}
		h := openAt(t, dbURL, c.now)
		h.register("ada@example.org")
		mine, other := h.login("ada@example.org"), h.login("ada@example.org")
		c.set(16 * time.Minute)
		h.ready()
		old := mine.str("access_token")
		h.expect(401, "invalid_token", request{method: "GET", path: "/v1/me", bearer: old})
		h.expect(401, "invalid_token", request{method: "POST", path: "/v1/logout-all", bearer: old})
		head, rest, _ := strings.Cut(old, ".")
		payload, signature, _ := strings.Cut(rest, ".")
		_, foreign, _ := strings.Cut(other.str("access_token"), ".")
		foreign, _, _ = strings.Cut(foreign, ".")
		for _, bad := range []string{head + "." + foreign + "." + signature, head + "." + payload + "." + strings.Repeat("A", len(signature)), old[:len(old)-2]} {
			h.expect(401, "invalid_token", request{method: "POST", path: "/v1/logout", bearer: bad})
		}
		h.expect(204, "", request{method: "POST", path: "/v1/logout", bearer: old})
		h.expect(401, "invalid_refresh_token", refreshing(mine.str("refresh_token")))
		h.expect(204, "", request{method: "POST", path: "/v1/logout", bearer: old})
		h.expect(200, "", refreshing(other.str("refresh_token")))
	})
}

// C7: errors of introspection and revocation have OAuth's own word beside ours, those
// too that no handler of theirs has made.
func TestCaseC7_ErrorsInTheWordsOfOAuth(t *testing.T) {
	h := open(t, dbtest.SQLite(t))
	c, secret, err := h.operator().CreateClient(t.Context(), "shop", originOfTests)
	if err != nil {
		t.Fatal(err)
	}
	basic := func(secret string) http.Header {
		return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(c.ID+":"+secret))}}
	}
	for _, path := range []string{"/v1/token/introspect", "/v1/token/revoke"} {
		for _, want := range []struct {
			status int
			error  string
			r      request
		}{
			{401, "invalid_client", request{body: "token=x", header: basic("wrong")}},
			{401, "invalid_client", request{body: "token=x"}},
			{400, "invalid_request", request{body: "", header: basic(secret)}},
			{400, "invalid_request", request{body: "token=x&token=y", header: basic(secret)}},
			{415, "invalid_request", request{body: "{}", contentType: "application/json", header: basic(secret)}},
			{405, "invalid_request", request{method: "GET"}},
		} {
			want.r.path = path
			if want.r.method == "" {
				want.r.method = "POST"
				if want.r.contentType == "" {
					want.r.contentType = "application/x-www-form-urlencoded"
				}
			}
			if a := h.do(want.r); a.status != want.status || a.str("error") != want.error || a.str("code") == "" {
				t.Errorf("%s %v: %d %s, want %d %s", path, want.r.body, a.status, a.text, want.status, want.error)
			}
		}
	}
	if a := h.do(request{method: "GET", path: "/v1/me"}); strings.Contains(a.text, `"error"`) {
		t.Errorf("elsewhere: %s", a.text)
	}
}

// C6: access tokens say whose they are, and introspection says the same.
func TestCaseC6_AccessTokensNameTheirClient(t *testing.T) {
	h := open(t, dbtest.SQLite(t), "JWT_CLIENT_ID=acme-web")
	h.register("ada@example.org")
	me := h.login("ada@example.org")
	part := strings.Split(me.str("access_token"), ".")[1]
	payload, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil || !strings.Contains(string(payload), `"client_id":"acme-web"`) {
		t.Errorf("%s, %v", payload, err)
	}
	c, secret, err := h.operator().CreateClient(t.Context(), "shop", originOfTests)
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{me.str("access_token"), me.str("refresh_token")} {
		a := h.do(request{method: "POST", path: "/v1/token/introspect", body: "token=" + token, contentType: "application/x-www-form-urlencoded",
			header: http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(c.ID+":"+secret))}}})
		if a.str("client_id") != "acme-web" {
			t.Errorf("introspection: %s", a.text)
		}
	}
}

// Cases, "what else": whoever takes their address over from somebody that registered it
// keeps nothing which that one chose.
func TestCase_AResetThatVerifiesEmptiesTheProfile(t *testing.T) {
	each(t, func(h *house) {
		const ada = "ada@example.org"
		box := h.mailbox()
		h.register(ada)
		name := func(access string) string {
			return h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: access}).str("name")
		}
		h.expect(200, "", request{method: "PATCH", path: "/v1/me", bearer: h.login(ada).str("access_token"), body: body{"name": "Squatter", "locale": "de"}})
		h.expect(202, "", post("/v1/password/forgot", body{"email": ada}))
		h.expect(204, "", post("/v1/password/reset", body{"token": tokenOf(h, box.last(ada, notice.ResetPassword).Link), "new_password": another}))
		access := h.expect(200, "", signInAs(ada, another)).str("access_token")
		if got := name(access); got != "" {
			h.Errorf("the name is still %q", got)
		}
		// What its owner chose stays.
		h.expect(200, "", request{method: "PATCH", path: "/v1/me", bearer: access, body: body{"name": "Ada"}})
		h.expect(202, "", post("/v1/password/forgot", body{"email": ada}))
		h.expect(204, "", post("/v1/password/reset", body{"token": tokenOf(h, box.last(ada, notice.ResetPassword).Link), "new_password": passphrase}))
		if got := name(h.login(ada).str("access_token")); got != "Ada" {
			h.Errorf("the name is %q", got)
		}
	})
}

// C2, ASVS 6.2.6: the scripts of the pages: a mangled link keeps its token out of the address
// bar, what is typed can be seen, and password managers learn whose new password it is.
func TestCaseC2_ScriptsInChromium(t *testing.T) {
	h := open(t, dbtest.SQLite(t))
	h.register("ada@example.org")
	c := h.chromium()
	base := h.server.URL()
	for _, path := range []string{"/verify", "/reset", "/unlock", "/setup"} {
		c.run(path, chromedp.Navigate(base+path+"#gatehouse_mt_x%"))
		if got := c.eval(`document.querySelector("#token").value + " " + location.hash`); got != "gatehouse_mt_x% " {
			t.Errorf("%s with a stray percent sign: %q", path, got)
		}
	}
	c.quiet("mangled links")
	for _, path := range []string{"/login", "/register", "/reset#gatehouse_mt_x", "/setup"} {
		c.run(path, chromedp.Navigate(base+"/robots.txt"), chromedp.Navigate(base+path))
		field := `document.querySelector("input[autocomplete$=password]").type`
		before := c.eval(field)
		c.eval(`document.querySelector(".check input").click()`)
		shown := c.eval(field)
		c.eval(`document.forms[0].dispatchEvent(new Event("submit", {cancelable: true}))`)
		if after := c.eval(field); before != "password" || shown != "text" || after != "password" {
			t.Errorf("%s: the field is %s, then %s, and is sent as %s", path, before, shown, after)
		}
	}
	c.run("/forgot", chromedp.Navigate(base+"/forgot"), chromedp.SendKeys("#email", "ada@example.org"))
	c.eval(`document.querySelector("button").click()`)
	c.run("/forgot", chromedp.WaitVisible("#done"))
	if at := c.eval("location.pathname + location.search"); at != "/reset?step=mailed" {
		t.Errorf("it leads to %s", at)
	}
	link := h.mailbox().last("ada@example.org", notice.ResetPassword).Link
	_, fragment, _ := strings.Cut(link, "#")
	c.run("/reset", chromedp.Navigate(base+"/reset#"+fragment))
	c.run("/reset", chromedp.WaitVisible("#new_password"))
	if got := c.eval(`(() => { const f = document.querySelector("form").elements.email; return f.value + " " + f.autocomplete + " " + f.hidden })()`); got != "ada@example.org username true" {
		t.Errorf("password managers find %q", got)
	}
	c.quiet("/reset")
	c.run("/reset", chromedp.SendKeys("#new_password", another))
	c.eval(`document.querySelector("button").click()`)
	c.run("/reset", chromedp.WaitVisible("#done"))
	h.expect(200, "", signInAs("ada@example.org", another))
}
