package pages_test

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
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
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
func click(b *harness.Browser, path string) harness.Answer {
	b.Helper()
	return b.Send(harness.Request{Method: "GET", Path: path, Header: asked()})
}

// submit sends a form as a browser does, and follows where it leads.
func submit(b *harness.Browser, path string, in harness.Body) (sent, shown harness.Answer, at string) {
	b.Helper()
	r := harness.Press(path, in)
	r.Header = asked("Origin", b.URL(), "Sec-Fetch-Site", "same-origin")
	sent = b.Send(r)
	if sent.Status != 303 {
		return sent, sent, path
	}
	at = sent.Header.Get("Location")
	return sent, click(b, at), at
}

var (
	pageLinks = regexp.MustCompile(`<a (?:class="[^"]*" )?href="(/[^"]*)"`)
	pageForms = regexp.MustCompile(`<form (?:class="[^"]*" )?method="post" action="([^"]+)"`)
)

// ways returns where a page leads to, by links and by forms.
func ways(a harness.Answer) (out []string) {
	for _, found := range append(pageLinks.FindAllStringSubmatch(a.Text, -1), pageForms.FindAllStringSubmatch(a.Text, -1)...) {
		out = append(out, found[1])
	}
	return out
}

// walk checks that an answer is a page that leads on: to another page than itself,
// and nowhere that is not there.
func walk(b *harness.Browser, what, at string, a harness.Answer, seen map[string]bool) {
	b.Helper()
	path, _, _ := strings.Cut(at, "?")
	if !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
		b.Errorf("%s: a person reads %d %s: %.120s", what, a.Status, a.Header.Get("Content-Type"), a.Text)
		return
	}
	if !strings.Contains(a.Text, `<html lang="en">`) || !strings.Contains(a.Text, "<h1") {
		b.Errorf("%s: no language or no heading:\n%s", what, a.Text)
	}
	list := ways(a)
	if !slices.ContainsFunc(list, func(to string) bool { return to != path }) {
		b.Errorf("%s (%s, %d) is a dead end: it leads to %q\n%s", what, at, a.Status, list, a.Text)
	}
	for _, to := range list {
		if seen[to] || !strings.HasPrefix(to, "/") {
			continue
		}
		seen[to] = true
		if got := click(b, to); got.Status >= 400 {
			b.Errorf("%s leads to %s, which is %d", what, to, got.Status)
		}
	}
}

// C4: every page that is opened, and every ending of a form, good or bad, has its next
// step. The list of pages is the server's own, so that a new one is walked too.
func TestCaseC4_NoPageIsADeadEnd(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		const ada = "ada@example.org"
		box, b, seen := h.Mailbox(), h.Browser(), map[string]bool{}
		pages := []string{"/", "/login", "/register", "/verify", "/forgot", "/reset", "/not-me", "/undo", "/unlock", "/setup", "/account", "/logout", "/nowhere"}
		open := func(who string) {
			for _, path := range pages {
				a := click(b, path)
				if a.Status == 303 {
					path = a.Header.Get("Location")
					a = click(b, path)
				}
				walk(b, who+" opens "+path, path, a, seen)
			}
		}
		open("a stranger")
		ending := func(what string, status int, path string, in harness.Body) string {
			h.Helper()
			sent, shown, at := submit(b, path, in)
			if sent.Status != status {
				h.Fatalf("%s: %d, want %d\n%s", what, sent.Status, status, sent.Text)
			}
			walk(b, what, at, shown, seen)
			return shown.Text
		}
		for _, path := range pages {
			status := 400
			if path == "/setup" {
				status = 403
			}
			if pageForms.MatchString(click(b, path).Text) {
				ending("an empty form of "+path, status, path, nil)
			}
		}
		// The code has a page, with the address filled in, and another mail is one click away.
		text := ending("registered", 303, "/register", harness.Body{"email": ada, "new_password": harness.Passphrase})
		if !strings.Contains(text, `id="code"`) || !strings.Contains(text, `id="email" name="email" value="`+ada+`"`) || !strings.Contains(text, "Send a new email") {
			h.Errorf("after /register:\n%s", text)
		}
		ending("a wrong code", 400, "/verify", harness.Body{"email": ada, "code": "AAAAAAAA"})
		ending("an old link", 400, "/verify", harness.Body{"token": "gatehouse_mt_old"})
		ending("a mail again", 303, "/verify", harness.Body{"email": ada, "again": "1"})
		ending("verified", 303, "/verify", harness.Body{"email": ada, "code": box.Last(ada, notice.VerifyAddress).Code})
		text = ending("forgot", 303, "/forgot", harness.Body{"email": ada})
		if !strings.Contains(text, `id="code"`) || !strings.Contains(text, `value="`+ada+`"`) || !strings.Contains(text, `action="/forgot"`) {
			h.Errorf("after /forgot:\n%s", text)
		}
		if text = ending("an old link", 400, "/reset", harness.Body{"token": "gatehouse_mt_old", "new_password": harness.AnotherPassphrase}); !strings.Contains(text,
			`action="/forgot"`) || !strings.Contains(text, "<details open>") {
			h.Errorf("a link for a new password that does not work offers no other:\n%s", text)
		}
		ending("a weak password", 400, "/reset", harness.Body{"email": ada, "code": box.Last(ada, notice.ResetPassword).Code, "new_password": "short"})
		ending("a new password", 303, "/reset",
			harness.Body{"email": ada, "code": box.Last(ada, notice.ResetPassword).Code, "new_password": harness.AnotherPassphrase})
		ending("a wrong password", 401, "/login", harness.Body{"email": ada, "password": harness.Passphrase})
		notMe := harness.TokenOf(h, box.Last(ada, notice.PasswordChanged).NotMe)
		ending("signed in", 303, "/login", harness.Body{"email": ada, "password": harness.AnotherPassphrase})
		open("somebody signed in")
		ending("a session that is none", 403, "/account", harness.Body{"session": "x"})
		ending("signed out", 303, "/logout", harness.Body{})
		ending("not me", 303, "/not-me", harness.Body{"token": notMe})
		ending("not me again", 400, "/not-me", harness.Body{"token": "gatehouse_mt_old"})
		ending("no undo", 400, "/undo", harness.Body{"token": "gatehouse_mt_old", "password": harness.Passphrase})
	}, "EMAIL_VERIFICATION=required")
}

// C4: mails say where the code is typed.
func TestCaseC4_MailsSayWhereTheCodeGoes(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	b := h.Browser()
	submit(b, "/register", harness.Body{"email": "ada@example.org", "new_password": harness.Passphrase})
	submit(b, "/forgot", harness.Body{"email": "ada@example.org"})
	text := allMails(b)
	for _, want := range []string{h.App.PublicURL() + "/verify", h.App.PublicURL() + "/reset"} {
		if !regexp.MustCompile(regexp.QuoteMeta(want) + `(&lt;|<|[,. ])`).MatchString(text) {
			t.Errorf("no mail says %s:\n%s", want, text)
		}
	}
}

// allMails is what all emails at /dev/mail say.
func allMails(b *harness.Browser) string {
	var out strings.Builder
	for _, found := range regexp.MustCompile(`<a class="row" href="\?id=([^&]+)&amp;as=`).FindAllStringSubmatch(click(b, "/dev/mail").Text, -1) {
		out.WriteString(click(b, "/dev/mail?as=text&id="+found[1]).Text)
	}
	return out.String()
}

// C5, N6: whatever a browser asks for, a person reads words and finds a way on; what
// belongs to programs stays a problem document, and so do all answers to programs.
func TestCaseC5_ErrorsForPeopleArePages(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), "REGISTRATION=closed")
	b := h.Browser()
	for _, c := range []struct {
		status int
		r      harness.Request
	}{
		{404, harness.Request{Method: "GET", Path: "/nowhere"}},
		{404, harness.Request{Method: "GET", Path: "/login/"}},
		{404, harness.Request{Method: "GET", Path: "/a/..%2f/b"}},
		{404, harness.Request{Method: "GET", Path: "/assets/none.js"}},
		{405, harness.Request{Method: "PUT", Path: "/logout"}},
		{405, harness.Request{Method: "POST", Path: "/"}},
		{403, harness.Request{Method: "POST", Path: "/logout", ContentType: "application/x-www-form-urlencoded", Body: "",
			Header: http.Header{"Sec-Fetch-Site": {"cross-site"}}}},
		{403, harness.Request{Method: "POST", Path: "/account", ContentType: "application/x-www-form-urlencoded", Body: "",
			Header: http.Header{"Origin": {"https://evil.example"}}}},
		{400, harness.Request{Method: "POST", Path: "/logout", ContentType: "application/x-www-form-urlencoded", Body: "%zz"}},
		{413, harness.Request{Method: "POST", Path: "/logout", ContentType: "application/x-www-form-urlencoded", Body: strings.Repeat("a", 65<<10)}},
		{403, harness.Request{Method: "GET", Path: "/register"}},
	} {
		plain, page := c.r, c.r
		page.Header = asked()
		for name, v := range c.r.Header {
			page.Header[name] = v
		}
		a := b.Send(page)
		if a.Status != c.status {
			t.Errorf("%s %s: %d, want %d", c.r.Method, c.r.Path, a.Status, c.status)
		}
		walk(b, c.r.Method+" "+c.r.Path, c.r.Path, a, map[string]bool{})
		if csp := a.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action") || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s: %q, %q", c.r.Method, c.r.Path, csp, a.Header.Get("Cache-Control"))
		}
		if c.r.Path != "/register" {
			if a := h.Do(plain); a.Str("code") == "" || a.Status != c.status {
				t.Errorf("%s %s of a program: %d %s", c.r.Method, c.r.Path, a.Status, a.Text)
			}
		}
	}
	for _, path := range []string{"/v1/me", "/v1/nowhere", "/.well-known/nowhere", "/.well-known/security.txt"} {
		if a := click(b, path); a.Str("code") == "" {
			t.Errorf("%s: %d %s", path, a.Status, a.Text)
		}
	}
}

// C5: what a mistake of ours shows a person is a page as well, and says nothing of it.
func TestCaseC5_AnOutageIsAPage(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), "API_RATE_LIMIT_REQUESTS=2")
	b := h.Browser()
	var a harness.Answer
	for range 4 {
		a = click(b, "/account")
	}
	if a.Status != 429 || a.Header.Get("Retry-After") == "" {
		t.Errorf("%d %v", a.Status, a.Header)
	}
	if !strings.Contains(a.Text, "Too many requests") || len(ways(a)) == 0 {
		t.Error(a.Text)
	}
}

// C5: signing out works from a tab of the session before, from no other site, and
// from a client that says nothing of its origin only with the token.
func TestCaseC5_SignOutFromAStaleTab(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		b := h.Browser()
		csrf := regexp.MustCompile(`name="csrf_token" value="([^"]+)"`)
		signIn := func() string {
			submit(b, "/login", harness.Body{"email": "ada@example.org", "password": harness.Passphrase})
			return csrf.FindStringSubmatch(click(b, "/account").Text)[1]
		}
		stale := signIn()
		if fresh := signIn(); fresh == stale {
			h.Fatal("the second session has the first one's token")
		}
		access := b.Cookie("gatehouse_at")
		for name, header := range map[string]http.Header{
			"cross-site": asked("Sec-Fetch-Site", "cross-site"), "same-site": asked("Sec-Fetch-Site", "same-site"),
			"another origin": asked("Origin", "https://evil.example"), "nothing said": asked(),
		} {
			r := harness.Press("/logout", harness.Body{"csrf_token": stale})
			r.Header = header
			if a := b.Send(r); a.Status != 403 || !strings.Contains(a.Header.Get("Content-Type"), "html") {
				h.Errorf("%s: %d %s", name, a.Status, a.Text)
			}
		}
		h.Expect(200, "", harness.Request{Method: "GET", Path: "/v1/me", Bearer: access})
		if a := click(b, "/logout"); a.Status != 200 || !strings.Contains(a.Text, "Sign out?") {
			h.Errorf("a link to sign-out: %d %s", a.Status, a.Text)
		}
		h.Expect(200, "", harness.Request{Method: "GET", Path: "/v1/me", Bearer: access})
		if sent, _, _ := submit(b, "/logout", harness.Body{"csrf_token": stale}); sent.Status != 303 || b.Cookie("gatehouse_rt") != "" {
			h.Errorf("from a stale tab: %d %s", sent.Status, sent.Text)
		}
		h.Expect(401, "invalid_token", harness.Request{Method: "GET", Path: "/v1/me", Bearer: access})
		// Twice is no fault.
		if sent, _, _ := submit(b, "/logout", harness.Body{"csrf_token": stale}); sent.Status != 303 {
			h.Errorf("a second time: %d %s", sent.Status, sent.Text)
		}
	})
}

// Issue 12, section 5: the root says what runs here in development, and leads home in
// production. With it is what programs look for by themselves.
func TestTheRootAndWhatStandsThere(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	b := h.Browser()
	a := click(b, "/")
	for _, want := range []string{"Gatehouse is running", "/login", "/register", "/dev/mail", "/openapi.json", "gatehouse user create --admin", h.App.AdminURL()} {
		if !strings.Contains(a.Text, want) {
			t.Errorf("the root lacks %q:\n%s", want, a.Text)
		}
	}
	for path, want := range map[string]string{"/robots.txt": "Disallow: /\n", "/favicon.ico": ""} {
		a := click(b, path)
		if a.Status >= 400 || !strings.Contains(a.Text, want) || !strings.Contains(a.Header.Get("Cache-Control"), "public") {
			t.Errorf("%s: %d %s %v", path, a.Status, a.Text, a.Header)
		}
		if to := a.Header.Get("Location"); to != "" {
			if a := click(b, to); a.Status != 200 || a.Header.Get("Content-Type") != "image/svg+xml" {
				t.Errorf("%s: %d %v", to, a.Status, a.Header)
			}
		}
	}
	h.Expect(404, "not_found", harness.Request{Method: "GET", Path: "/.well-known/security.txt"})

	h = harness.Open(t, dbtest.SQLite(t), "SECURITY_CONTACT=mailto:security@acme.org,https://acme.org/security", "HOME_URL=https://app.acme.org/")
	if a := h.Do(harness.Request{Method: "GET", Path: "/"}); a.Status != 303 || a.Header.Get("Location") != "https://app.acme.org/" {
		t.Errorf("HOME_URL: %d %v", a.Status, a.Header)
	}
	a = h.Do(harness.Request{Method: "GET", Path: "/.well-known/security.txt"})
	until, err := time.Parse(time.RFC3339, regexp.MustCompile(`(?m)^Expires: (.*)$`).FindStringSubmatch(a.Text)[1])
	if err != nil || !until.After(time.Now().Add(90*24*time.Hour)) || until.After(time.Now().Add(365*24*time.Hour)) {
		t.Errorf("it expires at %v, %v", until, err)
	}
	if !strings.HasPrefix(a.Text, "Contact: mailto:security@acme.org\nContact: https://acme.org/security\n") ||
		a.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%v\n%s", a.Header, a.Text)
	}
}

// C9: every form that went well answers with a redirect to a page, which can be loaded
// any number of times; a link to such a page from elsewhere says nothing of the kind.
func TestCaseC9_LoadingAgainSendsNothing(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		const ada = "ada@example.org"
		box, b := h.Mailbox(), h.Browser()
		step := func(path string, in harness.Body, words string) string {
			h.Helper()
			sent, shown, at := submit(b, path, in)
			if sent.Status != 303 || strings.Contains(at, "ada") {
				h.Fatalf("%s: %d, leads to %q", path, sent.Status, at)
			}
			mails := len(box.All(ada))
			for range 3 {
				if again := click(b, at); again.Status != 200 || again.Text == "" || !strings.Contains(again.Text, words) {
					h.Errorf("%s again: %d\n%s", at, again.Status, again.Text)
				}
			}
			if n := len(box.All(ada)); n != mails {
				h.Errorf("loading %s sent %d mails", at, n-mails)
			}
			if foreign := click(h.Browser(), at); strings.Contains(foreign.Text, words) || strings.Contains(foreign.Text, ada) {
				h.Errorf("%s says %q to a browser that did nothing", at, words)
			}
			if !strings.Contains(shown.Text, words) {
				h.Errorf("%s:\n%s", at, shown.Text)
			}
			return at
		}
		registered := step("/register", harness.Body{"email": ada, "new_password": harness.Passphrase}, "it has one now")
		step("/verify", harness.Body{"token": harness.TokenOf(h, box.Last(ada, notice.VerifyAddress).Link)}, "is confirmed")
		if a := click(b, registered); strings.Contains(a.Text, "it has one now") {
			h.Errorf("an older page is shown: %s", a.Text)
		}
		if a := click(b, "/verify"); strings.Contains(a.Text, "is confirmed") || !strings.Contains(a.Text, `id="token"`) {
			h.Errorf("the mail's link finds no form:\n%s", a.Text)
		}
		step("/forgot", harness.Body{"email": ada}, "is on its way")
		reset := step("/reset", harness.Body{"token": harness.TokenOf(h, box.Last(ada, notice.ResetPassword).Link), "new_password": harness.AnotherPassphrase},
			"password is set")
		b.Jar.SetCookies(b.Origin(), []*http.Cookie{{Name: "gatehouse_note", Value: "replaced.!!", Path: "/"}})
		if a := click(b, reset); a.Status != 200 || strings.Contains(a.Text, "password is set") {
			h.Errorf("a note that is none: %d %s", a.Status, a.Text)
		}
	})
}

// ASVS 10.4.9 at our own pages: people see where they are signed in, and end any of
// it; nobody ends another's.
func TestASVS_V10_4_9_PeopleEndTheirSessions(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		h.Register("eve@example.org")
		here, there := h.Browser(), h.Browser()
		submit(here, "/login", harness.Body{"email": "ada@example.org", "password": harness.Passphrase})
		submit(there, "/login", harness.Body{"email": "ada@example.org", "password": harness.Passphrase})
		eve := h.Login("eve@example.org")
		ids := regexp.MustCompile(`name="session" value="([^"]+)"`)
		page := click(here, "/account")
		found := ids.FindAllStringSubmatch(page.Text, -1)
		if len(found) != 1 || !strings.Contains(page.Text, "This device") {
			h.Fatalf("the account shows %d other sessions:\n%s", len(found), page.Text)
		}
		csrf := here.Cookie("gatehouse_csrf")
		if sent, _, _ := submit(here, "/account", harness.Body{"session": eve.Str("session_id"), "csrf_token": csrf}); sent.Status != 303 {
			h.Errorf("another's session: %d", sent.Status)
		}
		h.Expect(200, "", harness.Request{Method: "GET", Path: "/v1/me", Bearer: eve.Str("access_token")})
		if sent, _, _ := submit(here, "/account", harness.Body{"session": found[0][1], "csrf_token": "wrong"}); sent.Status != 403 ||
			!strings.Contains(sent.Text, "Press the button again") {
			h.Errorf("with a stale token: %d\n%s", sent.Status, sent.Text)
		}
		if _, shown, _ := submit(here, "/account", harness.Body{"session": found[0][1], "csrf_token": csrf}); !strings.Contains(shown.Text, "has ended") ||
			ids.MatchString(shown.Text) {
			h.Errorf("ended:\n%s", shown.Text)
		}
		if a := click(there, "/account"); a.Status != 303 || a.Header.Get("Location") != "/login" {
			h.Errorf("the other browser: %d %v", a.Status, a.Header)
		}
		if a := click(here, "/account"); a.Status != 200 {
			h.Errorf("this browser: %d", a.Status)
		}
	})
}

// C2: pages take every address that the API takes, and leave judging to the server.
func TestCaseC2_PagesTakeEveryAddress(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	b := h.Browser()
	for _, path := range []string{"/login", "/register", "/forgot", "/reset", "/verify", "/setup"} {
		text := click(b, path).Text
		for _, field := range regexp.MustCompile(`<input [^>]*name="email"[^>]*>`).FindAllString(text, -1) {
			for _, want := range []string{`type="text"`, `inputmode="email"`, `autocomplete="username`, `autocapitalize="none"`, `spellcheck="false"`} {
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
	if sent, _, _ := submit(b, "/register", harness.Body{"email": user, "new_password": harness.Passphrase}); sent.Status != 303 {
		t.Errorf("%d %s", sent.Status, sent.Text)
	}
	if _, shown, at := submit(b, "/login", harness.Body{"email": user, "password": harness.Passphrase}); at != "/account" || !strings.Contains(shown.Text, user) {
		t.Errorf("%s\n%s", at, shown.Text)
	}
}

// C2: where nobody may register, no page offers it, and /register says so at once.
func TestCaseC2_ClosedRegistrationIsNotOffered(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), "REGISTRATION=closed")
	b := h.Browser()
	for _, path := range []string{"/", "/login", "/forgot", "/verify", "/reset", "/register"} {
		a := click(b, path)
		if strings.Contains(a.Text, `href="/register"`) || strings.Contains(a.Text, `action="/register"`) {
			t.Errorf("%s offers to register:\n%s", path, a.Text)
		}
		if path == "/register" && (a.Status != 403 || !strings.Contains(a.Text, "does not take registrations")) {
			t.Errorf("/register: %d\n%s", a.Status, a.Text)
		}
	}
	if _, shown, _ := submit(b, "/forgot", harness.Body{"email": "ada@example.org"}); strings.Contains(shown.Text, `href="/register"`) {
		t.Error(shown.Text)
	}
}

// D6: whoever registers is written to in the language that they, or their browser,
// asked for, from the first mail on.
func TestCaseD6_TheFirstMailIsInTheRightLanguage(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		b, n := h.Browser(), 0
		for _, c := range []struct{ header, field, locale, says string }{
			{"de-AT,de;q=0.9,en;q=0.8", "", "de-AT", "Bitte bestätigen"},
			{"en;q=0.5, de", "", "de", "Bitte bestätigen"},
			{"en-GB", "de", "de", "Bitte bestätigen"},
			{"de", "en", "en", "Please confirm"},
			{"fr", "", "fr", "Confirmez votre adresse"},
			{"*", "", "", "Please confirm"},
			{"de;q=0", "", "", "Please confirm"},
			{"\xff;;;", "", "", "Please confirm"},
			{strings.Repeat("de,", 1000), "", "", "Please confirm"},
			{"", "", "", "Please confirm"},
		} {
			n++
			to := "ada" + strings.Repeat("a", n) + "@example.org"
			in := harness.Body{"email": to, "password": harness.Passphrase}
			if c.field != "" {
				in["locale"] = c.field
			}
			r := harness.Post("/v1/register", in)
			r.Header = http.Header{"Accept-Language": {c.header}}
			h.Expect(202, "", r)
			h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": to}))
			me := h.Expect(200, "", harness.Request{Method: "GET", Path: "/v1/me", Bearer: h.Login(to).Str("access_token")})
			if me.Str("locale") != c.locale {
				h.Errorf("%q, %q: the locale is %q, want %q", c.header, c.field, me.Str("locale"), c.locale)
			}
			mails := click(b, "/dev/mail").Text
			if at := strings.LastIndex(mails, "<bdi>"+to); !strings.Contains(mails[at-300:at], c.says) {
				h.Errorf("%q, %q: the first mail: %.300s", c.header, c.field, mails[at-300:at])
			}
		}
		h.Expect(400, "invalid_locale", harness.Post("/v1/register",
			harness.Body{"email": "eve@example.org", "password": harness.Passphrase, "locale": "no language"}))
		r := harness.Press("/register", harness.Body{"email": "bob@example.org", "new_password": harness.Passphrase})
		r.Header = asked("Accept-Language", "de-CH")
		b.Send(r)
		if mails := click(b, "/dev/mail").Text; !strings.Contains(mails[:strings.Index(mails, "</nav>\n")+4000], "Bitte bestätigen") {
			h.Errorf("registered by the page: %.2000s", mails)
		}
	})
}

// D1: an empty body of a length that was not declared is no body.
func TestCaseD1_AnEmptyBodyOfUnknownLength(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	h.Register("ada@example.org")
	for _, path := range []string{"/v1/logout", "/v1/logout-all"} {
		for _, header := range []string{"", "Content-Type: application/json\r\n", "Content-Type: text/plain\r\n"} {
			access := h.Login("ada@example.org").Str("access_token")
			if got := sendChunked(t, h.App.URL(), path, "Authorization: Bearer "+access+"\r\n"+header, "0\r\n\r\n"); got != 204 {
				t.Errorf("%s %q: %d", path, header, got)
			}
			h.Expect(401, "invalid_token", harness.Request{Method: "GET", Path: "/v1/me", Bearer: access})
		}
	}
	access := h.Login("ada@example.org").Str("access_token")
	for _, c := range []struct {
		header, chunks string
		want           int
	}{
		{"", "2\r\n{}\r\n0\r\n\r\n", 415}, {"Content-Type: application/json\r\n", "1\r\n{\r\n0\r\n\r\n", 400},
		{"Content-Type: application/json\r\n", "1\r\n \r\n0\r\n\r\n", 400},
	} {
		if got := sendChunked(t, h.App.URL(), "/v1/logout", "Authorization: Bearer "+access+"\r\n"+c.header, c.chunks); got != c.want {
			t.Errorf("%q: %d, want %d", c.chunks, got, c.want)
		}
	}
	h.Expect(200, "", harness.Request{Method: "GET", Path: "/v1/me", Bearer: access})
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
		c := &harness.Clock{}
		h := harness.OpenAt(t, dbURL, c.Now)
		h.Register("ada@example.org")
		mine, other := h.Login("ada@example.org"), h.Login("ada@example.org")
		c.Set(16 * time.Minute)
		h.Ready()
		old := mine.Str("access_token")
		h.Expect(401, "invalid_token", harness.Request{Method: "GET", Path: "/v1/me", Bearer: old})
		h.Expect(401, "invalid_token", harness.Request{Method: "POST", Path: "/v1/logout-all", Bearer: old})
		head, rest, _ := strings.Cut(old, ".")
		payload, signature, _ := strings.Cut(rest, ".")
		_, foreign, _ := strings.Cut(other.Str("access_token"), ".")
		foreign, _, _ = strings.Cut(foreign, ".")
		for _, bad := range []string{head + "." + foreign + "." + signature, head + "." + payload + "." + strings.Repeat("A", len(signature)), old[:len(old)-2]} {
			h.Expect(401, "invalid_token", harness.Request{Method: "POST", Path: "/v1/logout", Bearer: bad})
		}
		h.Expect(204, "", harness.Request{Method: "POST", Path: "/v1/logout", Bearer: old})
		h.Expect(401, "invalid_refresh_token", harness.Refreshing(mine.Str("refresh_token")))
		h.Expect(204, "", harness.Request{Method: "POST", Path: "/v1/logout", Bearer: old})
		h.Expect(200, "", harness.Refreshing(other.Str("refresh_token")))
	})
}

// C7: errors of introspection and revocation have OAuth's own code in addition to ours, those
// too that no handler of theirs has made.
func TestCaseC7_ErrorsInTheWordsOfOAuth(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	c, secret, err := h.Operator().CreateClient(t.Context(), "shop", harness.OriginOfTests)
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
			r      harness.Request
		}{
			{401, "invalid_client", harness.Request{Body: "token=x", Header: basic("wrong")}},
			{401, "invalid_client", harness.Request{Body: "token=x"}},
			{400, "invalid_request", harness.Request{Body: "", Header: basic(secret)}},
			{400, "invalid_request", harness.Request{Body: "token=x&token=y", Header: basic(secret)}},
			{415, "invalid_request", harness.Request{Body: "{}", ContentType: "application/json", Header: basic(secret)}},
			{405, "invalid_request", harness.Request{Method: "GET"}},
		} {
			want.r.Path = path
			if want.r.Method == "" {
				want.r.Method = "POST"
				if want.r.ContentType == "" {
					want.r.ContentType = "application/x-www-form-urlencoded"
				}
			}
			if a := h.Do(want.r); a.Status != want.status || a.Str("error") != want.error || a.Str("code") == "" {
				t.Errorf("%s %v: %d %s, want %d %s", path, want.r.Body, a.Status, a.Text, want.status, want.error)
			}
		}
	}
	if a := h.Do(harness.Request{Method: "GET", Path: "/v1/me"}); strings.Contains(a.Text, `"error"`) {
		t.Errorf("elsewhere: %s", a.Text)
	}
}

// C6: access tokens say whose they are, and introspection says the same.
func TestCaseC6_AccessTokensNameTheirClient(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), "JWT_CLIENT_ID=acme-web")
	h.Register("ada@example.org")
	me := h.Login("ada@example.org")
	part := strings.Split(me.Str("access_token"), ".")[1]
	payload, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil || !strings.Contains(string(payload), `"client_id":"acme-web"`) {
		t.Errorf("%s, %v", payload, err)
	}
	c, secret, err := h.Operator().CreateClient(t.Context(), "shop", harness.OriginOfTests)
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{me.Str("access_token"), me.Str("refresh_token")} {
		a := h.Do(harness.Request{Method: "POST", Path: "/v1/token/introspect", Body: "token=" + token, ContentType: "application/x-www-form-urlencoded",
			Header: http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(c.ID+":"+secret))}}})
		if a.Str("client_id") != "acme-web" {
			t.Errorf("introspection: %s", a.Text)
		}
	}
}

// Cases, "what else": whoever takes their address over from somebody that registered it
// keeps nothing which that one chose.
func TestCase_AResetThatVerifiesEmptiesTheProfile(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		const ada = "ada@example.org"
		box := h.Mailbox()
		h.Register(ada)
		name := func(access string) string {
			return h.Expect(200, "", harness.Request{Method: "GET", Path: "/v1/me", Bearer: access}).Str("name")
		}
		h.Expect(200, "", harness.Request{Method: "PATCH", Path: "/v1/me", Bearer: h.Login(ada).Str("access_token"),
			Body: harness.Body{"name": "Squatter", "locale": "de"}})
		h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": ada}))
		h.Expect(204, "", harness.Post("/v1/password/reset",
			harness.Body{"token": harness.TokenOf(h, box.Last(ada, notice.ResetPassword).Link), "new_password": harness.AnotherPassphrase}))
		access := h.Expect(200, "", harness.SignInAs(ada, harness.AnotherPassphrase)).Str("access_token")
		if got := name(access); got != "" {
			h.Errorf("the name is still %q", got)
		}
		// What its owner chose stays.
		h.Expect(200, "", harness.Request{Method: "PATCH", Path: "/v1/me", Bearer: access, Body: harness.Body{"name": "Ada"}})
		h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": ada}))
		h.Expect(204, "", harness.Post("/v1/password/reset",
			harness.Body{"token": harness.TokenOf(h, box.Last(ada, notice.ResetPassword).Link), "new_password": harness.Passphrase}))
		if got := name(h.Login(ada).Str("access_token")); got != "Ada" {
			h.Errorf("the name is %q", got)
		}
	})
}

// C2, ASVS 6.2.6: the scripts of the pages: a mangled link keeps its token out of the address
// bar, what is typed can be seen, and password managers learn whose new password it is.
func TestCaseC2_ScriptsInChromium(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	h.Register("ada@example.org")
	c := newChromium(h)
	base := h.App.URL()
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
		c.eval(`document.querySelector("[data-show]").click()`)
		shown := c.eval(field)
		c.eval(`document.forms[0].dispatchEvent(new Event("submit", {cancelable: true}))`)
		if after := c.eval(field); before != "password" || shown != "text" || after != "password" {
			t.Errorf("%s: the field is %s, then %s, and is sent as %s", path, before, shown, after)
		}
	}
	c.run("/forgot", chromedp.Navigate(base+"/forgot"), chromedp.SendKeys("#email", "ada@example.org"))
	c.eval(`document.querySelector(".btn.main").click()`)
	c.run("/forgot", chromedp.WaitVisible("#done"))
	if at := c.eval("location.pathname + location.search"); at != "/reset?step=mailed" {
		t.Errorf("it leads to %s", at)
	}
	link := h.Mailbox().Last("ada@example.org", notice.ResetPassword).Link
	_, fragment, _ := strings.Cut(link, "#")
	c.run("/reset", chromedp.Navigate(base+"/reset#"+fragment))
	c.run("/reset", chromedp.WaitVisible("#new_password"))
	if got := c.eval(`(() => { const f = document.querySelector("form").elements.email; return f.value + " " + f.autocomplete + " " + f.hidden })()`); got != "ada@example.org username true" {
		t.Errorf("password managers find %q", got)
	}
	c.quiet("/reset")
	c.run("/reset", chromedp.SendKeys("#new_password", harness.AnotherPassphrase))
	c.eval(`document.querySelector(".btn.main").click()`)
	c.run("/reset", chromedp.WaitVisible("#done"))
	h.Expect(200, "", harness.SignInAs("ada@example.org", harness.AnotherPassphrase))
}
