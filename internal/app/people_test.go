package app_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

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
			if pageForms.MatchString(b.click(path).text) {
				ending("an empty form of "+path, map[string]int{"/unlock": 400, "/setup": 403, "/login": 400}[path]+400*btoi(!slices.Contains([]string{"/unlock", "/setup", "/login"}, path)), path, nil)
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

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
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

