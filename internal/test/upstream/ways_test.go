package upstream

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// reset sets a new password by the mailbox.
func (w *world) reset(email, password string) {
	w.Helper()
	w.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": email}))
	w.Expect(204, "", harness.Post("/v1/password/reset", harness.Body{
		"token": harness.TokenOf(w.T, w.Mailbox().Last(email, notice.ResetPassword).Link), "new_password": password,
	}))
}

// linked has an account of ada's be linked to a provider that vouches for nothing.
func (w *world) linked() *harness.Browser {
	w.Helper()
	b := w.Browser()
	b.SignIn(ada)
	w.lax.is("1", eve, true)
	if a := linking(b, w.lax, "lax"); a.Status != 303 || len(identities(b)) != 1 {
		w.Fatalf("%d %s", a.Status, a.Text)
	}
	return b
}

// A reset of an address that nobody had verified unlinks what whoever registered it has linked; any other keeps it, and its mail says so.
func TestResetsAndIdentities(t *testing.T) {
	each(t, func(w *world) {
		w.Register(ada)
		w.linked()
		w.reset(ada, harness.AnotherPassphrase)
		if n := w.Count(`SELECT COUNT(*) FROM identity`); n != 0 {
			t.Error("whoever registered the address comes in by what they have linked")
		}
		if m := w.Mailbox().Last(ada, notice.PasswordChanged); len(m.Providers) != 0 {
			t.Errorf("the mail names %v", m.Providers)
		}
		b := w.Browser()
		mailed(b, by(b, w.lax, "lax"))
		b.Send(harness.CookieSignIn(ada, harness.AnotherPassphrase))
		if a := linking(b, w.lax, "lax"); a.Status != 303 {
			t.Fatal(a.Text)
		}
		w.reset(ada, harness.Passphrase)
		if n := w.Count(`SELECT COUNT(*) FROM identity`); n != 1 {
			t.Error("a reset of a verified address unlinks")
		}
		if m := w.Mailbox().Last(ada, notice.PasswordChanged); len(m.Providers) != 1 || m.Providers[0] != "Lax" {
			t.Errorf("the mail names %v", m.Providers)
		}
		// "This wasn't me" unlinks all, and nobody comes in by any of it before the reset or after.
		w.Expect(204, "", harness.Post("/v1/not-me", harness.Body{"token": harness.TokenOf(t, w.Mailbox().Last(ada, notice.PasswordChanged).NotMe)}))
		if n := w.Count(`SELECT COUNT(*) FROM identity`); n != 0 {
			t.Error("an identity outlives that it wasn't me")
		}
		b = w.Browser()
		mailed(b, by(b, w.lax, "lax"))
	})
}

// An undo of a change of address unlinks what was linked since, and leaves what was linked before.
func TestAnUndoUnlinksWhatWasLinkedSince(t *testing.T) {
	each(t, func(w *world) {
		w.verified(ada)
		b := w.linked()
		w.later(time.Minute)
		w.Expect(202, "", harness.Post("/v1/email/change", harness.Body{"email": eve, "current_password": harness.Passphrase}, b.Cookie("gatehouse_at")))
		w.Expect(204, "", harness.Post("/v1/email/verify", harness.Body{
			"token": harness.TokenOf(t, w.Mailbox().Last(eve, notice.ConfirmAddress).Link), "password": harness.Passphrase,
		}))
		w.later(time.Minute)
		w.corp.is("thief", bob, true)
		if a := linking(b, w.corp, "corp"); a.Status != 303 || len(identities(b)) != 2 {
			t.Fatalf("%d %s", a.Status, a.Text)
		}
		w.Expect(204, "", harness.Post("/v1/email/undo", harness.Body{
			"token": harness.TokenOf(t, w.Mailbox().Last(ada, notice.AddressChanged).Undo), "password": harness.Passphrase,
		}))
		if n := w.Count(`SELECT COUNT(*) FROM identity WHERE subject = 'thief'`); n != 0 {
			t.Error("what the thief has linked opens the account")
		}
		if n := w.Count(`SELECT COUNT(*) FROM identity`); n != 1 {
			t.Error("what its owner had linked is gone")
		}
		// A reset is demanded: the identity alone signs nobody in.
		b = w.Browser()
		refused(b, by(b, w.lax, "lax"), 403, "new password")
	})
}

// A provider is one factor: who has a second one shows it, unless the operator believes the provider that it was shown there.
func TestAProviderIsOneFactor(t *testing.T) {
	once(t, func(w *world) {
		w.verified(ada)
		b := w.linked()
		app := w.AppFor(w.clock, ada)
		b = w.Browser()
		w.lax.is("1", eve, true, map[string]any{"amr": []string{"pwd", "mfa"}})
		a := by(b, w.lax, "lax")
		if a.Status != 303 || a.Header.Get("Location") != "/login/second" || in(b) != "" {
			t.Fatalf("%d %s", a.Status, a.Header.Get("Location"))
		}
		app.Next()
		if a := b.Send(harness.Press("/login/second", harness.Body{"code": app.Code(0), "with": "totp"})); a.Status != 303 || in(b) != ada {
			t.Fatalf("%d %s", a.Status, a.Text)
		}
		me := b.Send(harness.Get("/v1/me"))
		if amr := w.Count(`SELECT COUNT(*) FROM session WHERE amr = '["fed","otp","mfa"]'`); amr != 1 {
			t.Errorf("the session: %s", me.Text)
		}
		// Five wrong codes end it, and the owner is not told that somebody has the password.
		b = w.Browser()
		by(b, w.lax, "lax")
		for range 5 {
			b.Send(harness.Press("/login/second", harness.Body{"code": app.WrongCode(), "with": "totp"}))
		}
		for _, m := range w.Mailbox().All(ada) {
			if m.Kind == notice.PasswordKnown {
				t.Error("the owner is told that somebody has the password")
			}
		}
		// What waits for the second step is over once its identity is unlinked.
		waiting, owner := w.Browser(), w.Browser()
		by(waiting, w.lax, "lax")
		app.Next()
		by(owner, w.lax, "lax")
		if a := owner.Send(harness.Press("/login/second", harness.Body{"code": app.Code(0), "with": "totp"})); a.Status != 303 {
			t.Fatal(a.Text)
		}
		if a := act(owner, "identity-unlink", "identity", identities(owner)[0]["id"].(string)); a.Status != 303 {
			t.Fatal(a.Text)
		}
		app.Next()
		if a := waiting.Send(harness.Press("/login/second", harness.Body{"code": app.Code(0), "with": "totp"})); a.Status == 303 && in(waiting) != "" {
			t.Error("a sign-in by what was unlinked ends in a session")
		}
	})
}

// Who must have a second factor adds one, whatever the way in; who must agree to a document agrees.
func TestProvidersEndWhereEverySignInDoes(t *testing.T) {
	once(t, func(w *world) {
		w.corp.is("1", bob, true)
		b := w.Browser()
		if a := by(b, w.corp, "corp"); a.Status != 303 || a.Header.Get("Location") != "/login/enrol" || in(b) != "" {
			t.Errorf("%d %s", a.Status, a.Header.Get("Location"))
		}
	}, "SECOND_FACTOR=*")
	once(t, func(w *world) {
		w.verified(bob)
		if _, err := w.Operator().Disable(w.Context(), bob, harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		w.corp.is("1", bob, true)
		b := w.Browser()
		refused(b, by(b, w.corp, "corp"), 403, "disabled")
		if n := w.Count(`SELECT COUNT(*) FROM identity`); n != 0 {
			t.Error("a disabled account was linked")
		}
	})
}

// The sign-in may have been long ago at the provider: then it is no fresh one here, and an application that asks is told so.
func TestAuthTimeIsTheProviders(t *testing.T) {
	once(t, func(w *world) {
		w.corp.is("1", bob, true, map[string]any{"auth_time": w.clock.Now().Add(-time.Hour).Unix()})
		b := w.Browser()
		signedIn(b, by(b, w.corp, "corp"), bob)
		if a := act(b, "identity-link", "provider", "lax"); a.Status != 403 || !strings.Contains(a.Text, "again") {
			t.Errorf("an old sign-in links: %d", a.Status)
		}
		w.corp.is("1", bob, true, map[string]any{"auth_time": w.clock.Now().Add(time.Hour).Unix()})
		b = w.Browser()
		signedIn(b, by(b, w.corp, "corp"), bob)
		if n := w.Count(`SELECT COUNT(*) FROM session WHERE auth_at > minted_at`); n != 0 {
			t.Error("a sign-in of the future")
		}
	})
}

// Who comes from an application goes back to it.
func TestAnApplicationGetsItsCode(t *testing.T) {
	once(t, func(w *world) {
		c, _, err := w.Operator().RegisterClient(w.Context(), "app", client.SPA, client.Settings{
			RedirectURIs: []string{"https://app.example.org/cb"}, FirstParty: true,
		}, harness.OriginOfTests)
		if err != nil {
			t.Fatal(err)
		}
		ask := "/oauth2/authorize?response_type=code&scope=openid&client_id=" + c.ID + "&redirect_uri=https%3A%2F%2Fapp.example.org%2Fcb&state=s" +
			"&code_challenge_method=S256&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
		b := w.Browser()
		var to string
		w.Eventually("the sign-in page", func() (string, bool) {
			a := b.Send(page(ask))
			for a.Status == 303 && strings.HasPrefix(a.Header.Get("Location"), "/oauth2/") {
				a = b.Send(page(a.Header.Get("Location")))
			}
			to = a.Header.Get("Location")
			return a.Text, a.Status == 303
		})
		for _, m := range hidden.FindAllStringSubmatch(b.Send(page(to)).Text, -1) {
			if m[1] == "return_to" {
				to = m[2]
			}
		}
		w.corp.is("1", bob, true)
		a := by(b, w.corp, "corp", "return_to", to)
		for a.Status == 303 && strings.HasPrefix(a.Header.Get("Location"), "/") {
			a = b.Send(page(a.Header.Get("Location")))
		}
		if at := a.Header.Get("Location"); !strings.HasPrefix(at, "https://app.example.org/cb?") || !strings.Contains(at, "code=") {
			t.Errorf("%d %s", a.Status, at)
		}
	})
}

// A person who is erased leaves no identity.
func TestErasureTakesIdentities(t *testing.T) {
	each(t, func(w *world) {
		w.verified(ada)
		w.linked()
		if n := w.Count(`SELECT COUNT(*) FROM identity`); n != 1 {
			t.Fatal("it is not linked")
		}
		if _, _, err := w.Operator().EraseUser(w.Context(), ada, 0, harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		w.Eventually("the end of the account", func() (string, bool) {
			n := w.Count(`SELECT COUNT(*) FROM identity`)
			return fmt.Sprint(n), n == 0
		})
	})
}
