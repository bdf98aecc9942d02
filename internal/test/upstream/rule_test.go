package upstream

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// Whoever signs in by a provider that gives out the address gets an account by it, and is signed in to the same one from then on, whatever
// becomes of the address.
func TestASVS_V10_5_2_AnIdentityIsNeverAnAddress(t *testing.T) {
	each(t, func(w *world) {
		b := w.Browser()
		w.corp.is("1", bob, true, map[string]any{"name": "Bob B."})
		signedIn(b, by(b, w.corp, "corp"), bob)
		if me := b.Send(harness.Get("/v1/me")); me.Str("name") != "Bob B." || me.Fields["email_verified"] != true {
			t.Errorf("the account: %s", me.Text)
		}
		// The address is another one, and then somebody else's: neither changes whose the identity is.
		w.corp.is("1", "robert@corp.example", true)
		b = w.Browser()
		signedIn(b, by(b, w.corp, "corp"), bob)
		w.corp.is("1", bob, false)
		b = w.Browser()
		signedIn(b, by(b, w.corp, "corp"), bob)
		w.corp.is("2", bob, true)
		other := w.Browser()
		signedIn(other, by(other, w.corp, "corp"), bob) // the provider gave the address to another identity, and is authoritative
		w.Mailbox().Last(bob, notice.IdentityLinked)
		if list := identities(b); len(list) != 2 || list[0]["provider"] != "corp" || list[0]["name"] != "Corp" || list[0]["email"] != bob {
			t.Errorf("it has %v", list)
		}
		if n := w.Count(`SELECT COUNT(*) FROM account`); n != 1 {
			t.Errorf("%d accounts", n)
		}
		// A provider that looks at nothing can't get there by the address.
		w.lax.is("1", bob, true)
		thief := w.Browser()
		mailed(thief, by(thief, w.lax, "lax"))
		w.Mailbox().Last(bob, notice.ProviderSignIn)
		// Neither can one that says that it does not know whose the address is.
		w.corp.is("3", bob, false)
		thief = w.Browser()
		mailed(thief, by(thief, w.corp, "corp"))
		// Nor one whose word counts for another domain alone.
		w.verified(ada)
		w.corp.is("4", ada, true)
		thief = w.Browser()
		mailed(thief, by(thief, w.corp, "corp"))
	})
}

// An account that somebody registered with the address of another, and never verified, is its owner's alone once they come by a provider that
// gives out the address: password, session, second session, link of a mail, identity of whoever waits there are worth nothing.
func TestWhoeverWaitsInAnUnverifiedAccountIsOut(t *testing.T) {
	each(t, func(w *world) {
		w.Register(bob)
		thief := w.Browser()
		thief.SignIn(bob)
		tokens := w.Login(bob)
		w.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": bob}))
		reset := w.Mailbox().Last(bob, notice.ResetPassword)
		w.lax.is("evil", eve, true)
		if a := linking(thief, w.lax, "lax"); a.Status != 303 || len(identities(thief)) != 1 {
			t.Fatalf("the thief can't link: %d %s", a.Status, a.Text)
		}
		before := w.Count(`SELECT COUNT(*) FROM account`)
		w.corp.is("1", bob, true)
		b := w.Browser()
		signedIn(b, by(b, w.corp, "corp"), bob)
		if n := w.Count(`SELECT COUNT(*) FROM account`); n != before {
			t.Errorf("%d accounts, %d before", n, before)
		}
		if list := identities(b); len(list) != 1 || list[0]["provider"] != "corp" {
			t.Errorf("it is linked to %v", list)
		}
		w.Eventually("the end of the thief's sessions", func() (string, bool) {
			a := thief.Do(harness.Get("/v1/me", tokens.Str("access_token")))
			return a.Text, a.Status == 401 && thief.Send(harness.Get("/v1/me")).Status == 401
		})
		w.Expect(401, "invalid_refresh_token", harness.Refreshing(tokens.Str("refresh_token")))
		w.Expect(401, "invalid_credentials", harness.SignInAs(bob, harness.Passphrase))
		w.Expect(400, "invalid_link", harness.Post("/v1/password/reset", harness.Body{
			"token": harness.TokenOf(t, reset.Link), "new_password": harness.AnotherPassphrase,
		}))
		w.lax.is("evil", eve, true)
		thief = w.Browser()
		mailed(thief, by(thief, w.lax, "lax"))
		if n := w.Count(`SELECT COUNT(*) FROM former_password`); n != 0 {
			t.Errorf("%d passwords of the thief's would open an undo", n)
		}
	})
}

// Who gets an account by a provider: the domains of its signup, whatever REGISTRATION says; any where strangers may register.
func TestSignUp(t *testing.T) {
	once(t, func(w *world) {
		b := w.Browser()
		w.corp.is("1", bob, true)
		signedIn(b, by(b, w.corp, "corp"), bob)
		b = w.Browser()
		w.lax.is("1", eve, true)
		mailed(b, by(b, w.lax, "lax"))
		if mails := w.Mailbox().All(eve); len(mails) != 0 {
			t.Errorf("a mail although nobody may register: %v", mails)
		}
		if a := b.Send(page("/join")); a.Status != 200 || !strings.Contains(a.Text, "Lax") {
			t.Errorf("the page says otherwise: %d", a.Status)
		}
	}, "REGISTRATION=closed")
}

// Nobody whom the rule does not know learns by the answer whether an address has an account: page, cookies and headers are the same, and it
// goes on by the mailbox.
func TestOnePageForAllElse(t *testing.T) {
	each(t, func(w *world) {
		w.verified(ada)
		w.Register("carl@example.org")
		pages := map[string]string{}
		for i, email := range []string{ada, "carl@example.org", "new@example.org"} {
			b := w.Browser()
			w.lax.is(string(rune('a'+i)), email, true)
			began := time.Now()
			mailed(b, by(b, w.lax, "lax"))
			if time.Since(began) < 80*time.Millisecond {
				t.Errorf("%s: answered at once", email)
			}
			var names []string
			for _, c := range b.Jar.Cookies(b.Origin()) {
				names = append(names, c.Name)
			}
			text := strings.ReplaceAll(b.Send(page("/join")).Text, email, "ADDRESS")
			at := strings.Index(text, "<main>")
			pages[email] = text[at:] + strings.Join(names, " ")
		}
		if pages[ada] != pages["new@example.org"] || pages[ada] != pages["carl@example.org"] {
			t.Errorf("the pages differ:\n%s\n%s\n%s", pages[ada], pages["carl@example.org"], pages["new@example.org"])
		}
		w.Mailbox().Last(ada, notice.ProviderSignIn)
		w.Mailbox().Last("carl@example.org", notice.ProviderSignIn)
		w.Mailbox().Last("new@example.org", notice.ProviderCode)
	})
}

// The code of the mail makes the account and links it; it is good in the browser that asked alone, once, and for its own address.
func TestTheCodeMakesTheAccount(t *testing.T) {
	each(t, func(w *world) {
		b, other := w.Browser(), w.Browser()
		w.lax.is("1", eve, true)
		mailed(b, by(b, w.lax, "lax", "return_to", "/account?x=1"))
		code := w.Mailbox().Last(eve, notice.ProviderCode).Code
		w.lax.is("2", "eve2@example.net", true)
		mailed(other, by(other, w.lax, "lax"))
		for name, c := range map[string]struct {
			b    *harness.Browser
			code string
		}{"a wrong code": {b, "22222222"}, "none": {b, ""}, "another browser's": {other, code}} {
			a := c.b.Send(harness.Press("/join", harness.Body{"do": "code", "code": c.code}))
			if a.Status != 400 || in(c.b) != "" {
				t.Errorf("%s: %d", name, a.Status)
			}
		}
		a := b.Send(harness.Press("/join", harness.Body{"do": "code", "code": strings.ToLower(code)}))
		signedIn(b, a, eve)
		if a.Header.Get("Location") != "/account?x=1" {
			t.Errorf("it leads to %s", a.Header.Get("Location"))
		}
		if me := b.Send(harness.Get("/v1/me")); me.Fields["email_verified"] != true {
			t.Error(me.Text)
		}
		if b.Cookie("gatehouse_join") != "" {
			t.Error("the browser keeps what it is done with")
		}
		w.lax.is("1", eve, true)
		again := w.Browser()
		signedIn(again, by(again, w.lax, "lax"), eve)
		if n := w.Count(`SELECT COUNT(*) FROM account`); n != 1 {
			t.Errorf("%d accounts", n)
		}
		// Without what the browser keeps there is no such page.
		if a := w.Browser().Send(page("/join")); a.Status != 303 || a.Header.Get("Location") != "/login" {
			t.Errorf("%d %s", a.Status, a.Header.Get("Location"))
		}
		w.later(2 * time.Hour)
		if a := other.Send(page("/join")); a.Status != 303 {
			t.Errorf("after two hours: %d", a.Status)
		}
	})
}

// Who has an account signs in as usual, and says on a page of ours that what they have there is to be linked.
func TestSigningInAsUsualLinks(t *testing.T) {
	each(t, func(w *world) {
		w.verified(ada)
		b := w.Browser()
		w.lax.is("1", ada, true)
		mailed(b, by(b, w.lax, "lax"))
		if a := b.Send(harness.Press("/join", harness.Body{"do": "link", "csrf_token": "x"})); a.Status == 303 || in(b) != "" {
			t.Errorf("nobody links: %d", a.Status)
		}
		a := b.Send(harness.Press("/login", harness.Body{"email": ada, "password": harness.Passphrase, "return_to": "/join"}))
		if a.Status != 303 || a.Header.Get("Location") != "/join" {
			t.Fatalf("%d %s", a.Status, a.Header.Get("Location"))
		}
		if text := b.Send(page("/join")).Text; !strings.Contains(text, "Link Lax?") || !strings.Contains(text, ada) {
			t.Errorf("the page: %s", text)
		}
		if a := b.Send(harness.Press("/join", harness.Body{"do": "link", "csrf_token": "x"})); a.Status != 403 || len(identities(b)) != 0 {
			t.Errorf("without the page's token: %d", a.Status)
		}
		if a := b.Send(harness.Press("/join", harness.Body{"do": "link", "csrf_token": csrf(b, "/join")})); a.Status != 303 || len(identities(b)) != 1 {
			t.Errorf("%d %s", a.Status, a.Text)
		}
		w.Mailbox().Last(ada, notice.IdentityLinked)
		b = w.Browser()
		signedIn(b, by(b, w.lax, "lax"), ada)
	})
}

// A provider that tells no address leads to the page without a mail.
func TestAProviderWithoutAnAddress(t *testing.T) {
	once(t, func(w *world) {
		for _, email := range []string{"", "no address", "a@b@c", strings.Repeat("x", 300) + "@example.org"} {
			w.lax.is("1", email, true)
			b := w.Browser()
			mailed(b, by(b, w.lax, "lax"))
		}
		if n := w.Count(`SELECT COUNT(*) FROM outbox`); n != 0 {
			t.Errorf("%d mails", n)
		}
	})
}

// The address may be at userinfo alone, about the same person.
func TestTheAddressOfUserinfo(t *testing.T) {
	once(t, func(w *world) {
		w.corp.quiet = true
		w.corp.is("1", bob, true)
		b := w.Browser()
		signedIn(b, by(b, w.corp, "corp"), bob)
		w.corp.is("2", "new@corp.example", true, map[string]any{"sub": "3"}) // the token is about somebody else than userinfo
		b = w.Browser()
		refused(b, by(b, w.corp, "corp"), 403, "does not fit")
	})
}

// Domains whose accounts sign in by one provider alone have no other way in: no password, no registration, no other provider.
func TestDomainsWithOneWayIn(t *testing.T) {
	once(t, func(w *world) {
		w.verified(ada) // before the file says so
		w.corp.is("1", bob, true)
		b := w.Browser()
		signedIn(b, by(b, w.corp, "corp"), bob)
		w.lax.is("1", eve, true)
		if a := linking(b, w.lax, "lax"); a.Status != 303 {
			t.Fatal(a.Text)
		}
		w.Expect(204, "", harness.Request{Method: "POST", Path: "/v1/password/change", Bearer: b.Cookie("gatehouse_at"), Body: harness.Body{
			"new_password": harness.Passphrase,
		}})
		w.Expect(200, "", harness.SignInAs(bob, harness.Passphrase))
		if err := w.Stop(); err != nil {
			t.Fatal(err)
		}
		file := upstreams(t, `
- {id: corp, kind: oidc, name: Corp, issuer: `+w.corp.URL+`, client_id: gatehouse, secret_file: secret, authoritative_for: [corp.example], only: [corp.example]}
- {id: lax, kind: oidc, name: Lax, issuer: `+w.lax.URL+`, client_id: gatehouse, secret_file: secret, signup: ["*"], trusted_email: true}
`)
		next := &world{harness.OpenAt(t, w.DBURL, w.clock.Now, "UPSTREAMS_FILE="+file), w.clock, w.corp, w.lax}
		a := next.Expect(403, "provider_required", harness.SignInAs(bob, harness.Passphrase))
		if !strings.Contains(a.Str("detail"), "by Corp alone") {
			t.Error(a.Text)
		}
		next.Expect(403, "provider_required", harness.SignInAs("nobody@corp.example", harness.Passphrase))
		next.Expect(403, "provider_required", harness.Post("/v1/register", harness.Credentials{Email: "new@corp.example", Password: harness.Passphrase}))
		next.Expect(200, "", harness.SignInAs(ada, harness.Passphrase))
		b = next.Browser()
		refused(b, by(b, w.lax, "lax"), 403, "organisation alone") // although it is linked
		w.lax.is("2", "new@corp.example", true)
		b = next.Browser()
		mailed(b, by(b, w.lax, "lax")) // although its word is taken for any address
		if len(next.Mailbox().All("new@corp.example")) != 0 {
			t.Error("a code was mailed that could make an account by another provider")
		}
		w.corp.is("1", bob, true)
		b = next.Browser()
		signedIn(b, by(b, w.corp, "corp"), bob)
		// The identity of the one provider is the last way in, whatever else the account has.
		for _, i := range identities(b) {
			want := 204
			if i["provider"] == "corp" {
				want = 409
			}
			if a := b.Send(harness.Request{Method: "DELETE", Path: "/v1/me/identities/" + i["id"].(string), Header: b.Csrf()}); a.Status != want {
				t.Errorf("%s: %d %s", i["provider"], a.Status, a.Text)
			}
		}
	})
}

// What happens is in the log.
func TestWhatIsLinkedIsLogged(t *testing.T) {
	once(t, func(w *world) {
		w.corp.is("1", bob, true)
		b := w.Browser()
		signedIn(b, by(b, w.corp, "corp"), bob)
		w.lax.is("1", eve, true)
		if a := linking(b, w.lax, "lax"); a.Status != 303 {
			t.Fatal(a.Text)
		}
		if w.Logged(string(event.IdentityLinked), "registered") != 1 || w.Logged(string(event.IdentityLinked), "asked") != 1 {
			t.Error("a link is not in the log")
		}
	})
}
