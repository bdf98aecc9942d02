package upstream

import (
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// Linking needs the session that asked, fresh, and its own page's token; what another account has stays there.
func TestOnlyTheSessionThatAskedLinks(t *testing.T) {
	each(t, func(w *world) {
		w.verified(ada)
		w.verified(eve)
		b, thief := w.Browser(), w.Browser()
		b.SignIn(ada)
		thief.SignIn(eve)
		w.lax.is("1", eve, true)
		// Linking CSRF: without the token of the page, and from another origin.
		if a := b.Send(harness.Press("/account", harness.Body{"do": "identity-link", "provider": "lax", "csrf_token": csrf(thief, "/account")})); a.Status != 403 {
			t.Errorf("with another's token: %d", a.Status)
		}
		r := harness.Press("/account", harness.Body{"do": "identity-link", "provider": "lax", "csrf_token": csrf(b, "/account")})
		r.Header = map[string][]string{"Origin": {"https://app.example"}}
		if a := b.Send(r); a.Status != 403 {
			t.Errorf("from an application's origin: %d", a.Status)
		}
		// The thief's answer in the owner's browser: it has no cookie of it, and links nothing.
		q := w.lax.authorize(elsewhere(thief, act(thief, "identity-link", "provider", "lax")))
		if a := back(b, "lax", q); a.Status != 400 || len(identities(b)) != 0 {
			t.Errorf("the thief's answer in the owner's browser: %d", a.Status)
		}
		// The session is another one by now: nothing is linked, and nobody is signed in.
		q = w.lax.authorize(elsewhere(b, act(b, "identity-link", "provider", "lax")))
		b.SignIn(ada)
		if a := back(b, "lax", q); a.Status != 403 || len(identities(b)) != 0 {
			t.Errorf("another session of the same account: %d", a.Status)
		}
		q = w.lax.authorize(elsewhere(b, act(b, "identity-link", "provider", "lax")))
		b.SignIn(eve)
		if a := back(b, "lax", q); a.Status != 403 || len(identities(b)) != 0 {
			t.Errorf("another account's session: %d", a.Status)
		}
		b.SignIn(ada)
		q = w.lax.authorize(elsewhere(b, act(b, "identity-link", "provider", "lax")))
		b.Send(harness.Press("/logout", harness.Body{"csrf_token": csrf(b, "/logout")}))
		if a := back(b, "lax", q); a.Status != 403 || in(b) != "" {
			t.Errorf("signed out meanwhile: %d", a.Status)
		}
		// The session is not fresh.
		b.SignIn(ada)
		q = w.lax.authorize(elsewhere(b, act(b, "identity-link", "provider", "lax")))
		w.later(9 * time.Minute)
		signedInStill := linkingLater(b, q)
		if signedInStill.Status != 303 || len(identities(b)) != 1 {
			t.Errorf("within a quarter of an hour: %d %s", signedInStill.Status, signedInStill.Text)
		}
		w.later(10 * time.Minute)
		if a := act(b, "identity-link", "provider", "corp"); a.Status != 403 || !strings.Contains(a.Text, "again") {
			t.Errorf("not fresh: %d", a.Status)
		}
		w.Mailbox().Last(ada, notice.IdentityLinked)
		// What is linked to one account can't be linked to another, and is told to who has shown it.
		thief.SignIn(eve)
		if a := linking(thief, w.lax, "lax"); a.Status != 409 || len(identities(thief)) != 0 {
			t.Errorf("linked twice: %d", a.Status)
		}
		b.SignIn(ada)
		if a := linking(b, w.lax, "lax"); a.Status != 303 || len(identities(b)) != 1 {
			t.Errorf("linked already: %d", a.Status)
		}
	}, "CORS_ORIGINS=https://app.example")
}

func linkingLater(b *harness.Browser, q url.Values) harness.Answer {
	b.Helper()
	return back(b, "lax", q)
}

// A stranger's account has a way in at any time: the last one can't be unlinked.
func TestTheLastWayInStays(t *testing.T) {
	each(t, func(w *world) {
		w.corp.is("1", bob, true)
		b := w.Browser()
		signedIn(b, by(b, w.corp, "corp"), bob)
		first := identities(b)[0]["id"].(string)
		if a := act(b, "identity-unlink", "identity", first); a.Status != 409 || !strings.Contains(a.Text, "last way into your account") {
			t.Errorf("the last: %d", a.Status)
		}
		w.lax.is("1", eve, true)
		if a := linking(b, w.lax, "lax"); a.Status != 303 {
			t.Fatal(a.Text)
		}
		other := w.Browser()
		signedIn(other, by(other, w.corp, "corp"), bob)
		if a := act(b, "identity-unlink", "identity", first); a.Status != 303 || len(identities(b)) != 1 {
			t.Errorf("one of two: %d %s", a.Status, a.Text)
		}
		w.Mailbox().Last(bob, notice.IdentityUnlinked)
		w.Eventually("the end of the other session", func() (string, bool) {
			a := other.Send(harness.Get("/v1/me"))
			return a.Text, a.Status == 401
		})
		w.corp.is("1", "x@example.org", true)
		other = w.Browser()
		mailed(other, by(other, w.corp, "corp"))
		second := identities(b)[0]["id"].(string)
		if a := b.Send(harness.Request{Method: "DELETE", Path: "/v1/me/identities/" + second, Header: b.Csrf()}); a.Str("code") != "last_way_in" {
			t.Errorf("the last by the API: %d %s", a.Status, a.Text)
		}
		// With a password it may go. A fresh sign-in stands in for the current one.
		set := harness.Request{Method: "POST", Path: "/v1/password/change", Body: harness.Body{"new_password": harness.Passphrase}, Bearer: b.Cookie("gatehouse_at")}
		w.Expect(204, "", set)
		if a := b.Send(harness.Request{Method: "DELETE", Path: "/v1/me/identities/" + second, Header: b.Csrf()}); a.Status != 204 {
			t.Errorf("with a password: %d %s", a.Status, a.Text)
		}
		w.Expect(200, "", harness.SignInAs(bob, harness.Passphrase))
		if a := b.Send(harness.Request{Method: "DELETE", Path: "/v1/me/identities/" + second, Header: b.Csrf()}); a.Str("code") != "identity_not_found" {
			t.Errorf("a second time: %d %s", a.Status, a.Text)
		}
		w.later(16 * time.Minute)
		if a := b.Send(harness.Request{Method: "DELETE", Path: "/v1/me/identities/" + second, Header: b.Csrf()}); a.Status == 204 || a.Status == 404 {
			t.Errorf("a session that is not fresh: %d", a.Status)
		}
	})
}

// TestSixteenFirstSignIns: of any number at once one makes the account, and all are signed in to it.
func TestSixteenFirstSignIns(t *testing.T) {
	dbtest.EachProduction(t, func(t *testing.T, dbURL string) {
		w := open(t, dbURL)
		w.corp.is("1", bob, true)
		const n = 16
		var browsers [n]*harness.Browser
		var paths [n]string
		for i := range n {
			browsers[i] = w.Browser()
			paths[i] = "/signin/corp/callback?" + w.corp.authorize(leave(browsers[i], "corp")).Encode() + "&back=1"
		}
		at := atOnce(w, browsers[:], func(i int) harness.Request { return page(paths[i]) })
		for i, a := range at {
			if a.Status != 303 || in(browsers[i]) != bob {
				t.Errorf("%d: answered %d, and %q is signed in\n%s", i, a.Status, in(browsers[i]), a.Text)
			}
		}
		if accounts, linked := w.Count(`SELECT COUNT(*) FROM account`), w.Count(`SELECT COUNT(*) FROM identity`); accounts != 1 || linked != 1 {
			t.Errorf("%d accounts, %d identities", accounts, linked)
		}
	})
}

// atOnce sends a request of each browser at once, and keeps their cookies.
func atOnce(w *world, browsers []*harness.Browser, r func(i int) harness.Request) []harness.Answer {
	w.Helper()
	answers := make([]harness.Answer, len(browsers))
	var all sync.WaitGroup
	for i, b := range browsers {
		one := r(i)
		if one.Header == nil {
			one.Header = map[string][]string{}
		}
		for _, c := range b.Jar.Cookies(b.Origin()) {
			one.Header.Add("Cookie", c.Name+"="+c.Value)
		}
		all.Go(func() {
			a, err := w.Try(one)
			if err != nil {
				w.Error(err)
			}
			answers[i] = a
		})
	}
	all.Wait()
	for i, b := range browsers {
		b.Jar.SetCookies(b.Origin(), cookiesOf(answers[i]))
	}
	return answers
}

// TestUnlinkingAtOnceLeavesAWayIn: sixteen who unlink what is left, each another one, never leave an account without a way in.
func TestUnlinkingAtOnceLeavesAWayIn(t *testing.T) {
	dbtest.EachProduction(t, func(t *testing.T, dbURL string) {
		w := open(t, dbURL)
		for round := range 5 {
			b := w.Browser()
			email := "round" + string(rune('0'+round)) + "@corp.example"
			w.corp.is(email, email, true)
			signedIn(b, by(b, w.corp, "corp"), email)
			const n = 8
			for i := range n {
				w.lax.is(email+string(rune('a'+i)), "", false)
				if a := linking(b, w.lax, "lax"); a.Status != 303 {
					t.Fatal(a.Text)
				}
			}
			list := identities(b)
			access := b.Cookie("gatehouse_at")
			gone := 0
			for _, a := range atOnce(w, slices.Repeat([]*harness.Browser{w.Browser()}, 16), func(i int) harness.Request {
				return harness.Request{Method: "DELETE", Path: "/v1/me/identities/" + list[i%len(list)]["id"].(string), Bearer: access}
			}) {
				switch {
				case a.Status == 204:
					gone++
				case a.Status != 404 && a.Status != 409:
					t.Errorf("answered %d\n%s", a.Status, a.Text)
				}
			}
			left := len(identities(b))
			if left == 0 || gone+left != len(list) {
				t.Errorf("round %d: %d are gone, and %d of %d are left", round, gone, left, len(list))
			}
		}
	})
}
