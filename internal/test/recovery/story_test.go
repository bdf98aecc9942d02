package recovery_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// eachAt runs a test on both databases with a clock that can be put forward.
func eachAt(t *testing.T, test func(h *harness.Server, clock *harness.Clock)) {
	t.Helper()
	dbtest.EachProduction(t, func(t *testing.T, url string) {
		clock := &harness.Clock{}
		test(harness.OpenAt(t, url, clock.Now), clock)
	})
}

const (
	storyOf   = "/not-me?step=expelled"
	storyTold = "What happened in the last seven days"
)

// story returns what a page tells of a bad day, and whether it tells one.
func story(b *harness.Browser) (text string, told bool) {
	b.Helper()
	a := b.Send(harness.Get(storyOf))
	if a.Status != 200 {
		b.Fatalf("%s: %d", storyOf, a.Status)
	}
	return a.Text, strings.Contains(a.Text, storyTold)
}

// IR-1: "this wasn't me" tells what happened, what has ended and what to do, to the browser that said so, for a while.
func TestIR1_TheStoryOfABadDay(t *testing.T) {
	eachAt(t, func(h *harness.Server, clock *harness.Clock) {
		const ada, eve = "ada@example.org", "eve@example.net"
		h.Register(ada)
		h.Register(eve)
		box, home := h.Mailbox(), h.Browser()
		home.SignIn(ada)
		h.Expect(401, "invalid_credentials", harness.SignInAs(ada, "wrong, quite wrong"))
		access := h.Login(ada).Str("access_token") // the thief's
		h.Expect(204, "", harness.Post("/v1/password/change", harness.Body{"current_password": harness.Passphrase, "new_password": harness.AnotherPassphrase},
			access))
		token := harness.TokenOf(h, box.Last(ada, notice.PasswordChanged).NotMe)
		home.Page(400, "does not work", harness.Press("/not-me", harness.Body{"token": token + "x"}))
		if home.Cookie("gatehouse_story") != "" {
			h.Error("a forged link got a story")
		}
		home.Page(200, "Your account is locked to everyone", harness.Press("/not-me", harness.Body{"token": token}))
		text, told := story(home)
		for _, want := range []string{
			"Somebody signed in", "The password was changed", "1 sign-in failed", "1 session ended", "Links and codes in earlier emails", "What to do now", "/forgot",
		} {
			if !told || !strings.Contains(text, want) {
				h.Errorf("the story does not say %q:\n%s", want, text)
			}
		}
		// Another browser is told nothing, whatever its address says, and neither is a cookie that we did not make.
		shows := home.Cookie("gatehouse_story")
		id, rest, _ := strings.Cut(shows, ".")
		eves := h.Expect(200, "", harness.Get("/v1/me", h.Login(eve).Str("access_token"))).Str("id")
		for _, c := range []string{"", "x", ".", eves + "." + rest, id + ".zzzzzzzz." + rest[strings.LastIndex(rest, ".")+1:], shows[:len(shows)-1], shows + "A"} {
			b := h.Browser()
			b.Jar.SetCookies(b.Origin(), []*http.Cookie{{Name: "gatehouse_story", Value: c}, {Name: "gatehouse_note", Value: "expelled."}})
			if text, told := story(b); told {
				h.Errorf("the cookie %q tells:\n%s", c, text)
			}
		}
		// Pressed again within the time, the link tells it once more; what came after it is in no story.
		h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": ada}))
		h.Expect(204, "", harness.Post("/v1/password/reset",
			harness.Body{"token": harness.TokenOf(h, box.Last(ada, notice.ResetPassword).Link), "new_password": harness.Passphrase}))
		clock.Shift(2 * time.Minute)
		h.Login(ada)
		again := h.Browser()
		again.Page(200, "Your account is locked to everyone", harness.Press("/not-me", harness.Body{"token": token}))
		text, told = story(again)
		if !told || strings.Count(text, "Somebody signed in") != 2 || strings.Contains(text, "A new password was asked for") {
			h.Errorf("the link pressed again tells %v:\n%s", told, text)
		}
		// Later neither the cookie nor the link tells anything.
		clock.Shift(14 * time.Minute)
		late := h.Browser()
		late.Page(200, "All sessions have ended", harness.Press("/not-me", harness.Body{"token": token}))
		for name, b := range map[string]*harness.Browser{"an old cookie": home, "an old link": late} {
			if text, told := story(b); told {
				h.Errorf("%s tells:\n%s", name, text)
			}
		}
	})
}

// IR-2, agreements ("Undo"): whoever is signed in says "this wasn't me" with a fresh sign-in, or the password where there is no factor.
func TestIR2_NotMeOfWhoIsSignedIn(t *testing.T) {
	eachAt(t, func(h *harness.Server, clock *harness.Clock) {
		const ada = "ada@example.org"
		h.Register(ada)
		h.Expect(400, "required", harness.Post("/v1/not-me", harness.Body{"token": ""}))
		h.Expect(401, "invalid_token", harness.Post("/v1/not-me", map[string]string{}, "x.y.z"))
		thief := h.Login(ada).Str("access_token")
		mine := h.Login(ada)
		clock.Shift(16 * time.Minute)
		access := h.Refresh(mine.Str("refresh_token")).Str("access_token")
		h.Expect(403, "sign_in_again", harness.Post("/v1/not-me", map[string]string{}, access))
		h.Expect(403, "wrong_password", harness.Post("/v1/not-me", harness.Body{"current_password": "wrong, quite wrong"}, access))
		h.Expect(204, "", harness.Post("/v1/not-me", harness.Body{"current_password": harness.Passphrase}, access))
		for _, a := range []string{access, thief} {
			h.Expect(401, "invalid_token", harness.Get("/v1/me", a))
		}
		h.Expect(403, "password_reset_required", harness.SignInAs(ada, harness.Passphrase))

		// A second factor asks for more than the password.
		const bob = "bob@example.org"
		app := h.AddApp(clock, bob)
		refresh := app.SignIn().Str("refresh_token")
		clock.Shift(16 * time.Minute)
		access = h.Refresh(refresh).Str("access_token")
		h.Expect(403, "sign_in_again", harness.Post("/v1/not-me", harness.Body{"current_password": harness.Passphrase}, access))
		h.Expect(204, "", harness.Post("/v1/not-me", map[string]string{}, app.SignIn().Str("access_token")))
	})
}

// Of sixteen presses at once one ends everything; the others are told that it is done, or find their session ended.
func TestIR2_NotMeSixteenAtOnce(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		const ada = "ada@example.org"
		h.Register(ada)
		access := h.Login(ada).Str("access_token")
		var (
			all sync.WaitGroup
			mu  sync.Mutex
		)
		got := map[int]int{}
		for range 16 {
			all.Go(func() {
				a, err := h.Try(harness.Post("/v1/not-me", map[string]string{}, access))
				if err != nil {
					h.Error(err)
				}
				mu.Lock()
				got[a.Status]++
				mu.Unlock()
			})
		}
		all.Wait()
		if got[204] != 1 || got[200]+got[401] != 15 {
			h.Errorf("sixteen at once: %v", got)
		}
		if n := h.Count(`SELECT COUNT(*) FROM event WHERE kind = 'suspicious_activity'`); n != 1 {
			h.Errorf("%d events", n)
		}
	})
}

// On the page of the account: no other site's form, and no form without its token, does it; the owner's ends their session too.
func TestIR2_NotMeOnThePageOfTheAccount(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		const ada = "ada@example.org"
		h.Register(ada)
		b := h.Browser()
		b.SignIn(ada)
		in := harness.Body{"do": "not-me", "current_password": harness.Passphrase}
		b.Page(403, "", harness.Press("/account", in))
		r := harness.Press("/account", in.With("csrf_token", b.Cookie("gatehouse_csrf")))
		r.Header = http.Header{"Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"cross-site"}}
		b.Page(403, "", r)
		b.Page(403, "not the account’s password", harness.Press("/account",
			harness.Body{"do": "not-me", "current_password": "wrong, quite wrong", "csrf_token": b.Cookie("gatehouse_csrf")}))
		b.Page(200, "Your account is locked to everyone", harness.Press("/account", in.With("csrf_token", b.Cookie("gatehouse_csrf"))))
		if text, told := story(b); !told || !strings.Contains(text, "Somebody signed in") {
			h.Errorf("the story: %v\n%s", told, text)
		}
		if b.Cookie("gatehouse_rt") != "" {
			h.Error("the session's cookies are there still")
		}
		b.Page(303, "", harness.Get("/account"))
	})
}
