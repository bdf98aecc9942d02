package signin_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// newSignIns are the mails about sign-ins from elsewhere.
func newSignIns(m *harness.Mailbox, to string) (list []notice.Mail) {
	m.H.Helper()
	for _, mail := range m.All(to) {
		if mail.Kind == notice.NewSignIn {
			list = append(list, mail)
		}
	}
	return list
}

// MAIL-4: a sign-in from a device or a network that is new to the account is reported
// to its owner, once, with when and from where and a "this wasn't me" that works.
func TestMAIL4_ASignInFromElsewhereIsTold(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		newPlacesAreTold(h, "ada@example.org")
		knownBrowsersAreNoNews(h, "bob@example.org")
		aFloodIsFewMails(h, "eve@example.org")
	}, harness.BehindProxy)
}

// newPlacesAreTold signs in from here and there, and says "this wasn't me".
func newPlacesAreTold(h *harness.Server, ada string) {
	h.Helper()
	const home, cafe = "203.0.113.7", "198.51.100.9"
	h.Register(ada)
	box := h.Mailbox()
	mailed := func(n int, what string) {
		h.Helper()
		if got := len(newSignIns(box, ada)); got != n {
			h.Errorf("%s: %d mails, want %d", what, got, n)
		}
	}
	in := func(address, agent string) harness.Answer {
		h.Helper()
		return h.Expect(200, "", harness.From(address, agent, harness.SignInAs(ada, harness.Passphrase)))
	}
	h.Expect(401, "invalid_credentials", harness.From(home, harness.OnLinux, harness.SignInAs(ada, harness.AnotherPassphrase)))
	in(home, harness.OnLinux)
	mailed(0, "the first sign-in")
	in(home, harness.Newer)
	mailed(0, "a newer version of the browser")
	in(cafe, harness.OnLinux)
	mailed(1, "another network")
	in(home, harness.OnIPhone)
	mailed(2, "another device")
	in(cafe, harness.OnLinux)
	in(home, harness.OnIPhone)
	mailed(2, "both again")
	h.Expect(204, "", harness.Request{Method: "POST", Path: "/v1/logout", Bearer: in(cafe, harness.Newer).Str("access_token")})
	in(cafe, harness.OnLinux)
	mailed(2, "after a sign-out")
	h.Expect(401, "invalid_credentials", harness.From("192.0.2.1", harness.OnIPhone, harness.SignInAs(ada, harness.AnotherPassphrase)))
	mailed(2, "a wrong password")
	m := newSignIns(box, ada)[0]
	if m.Address.String() != cafe || m.UserAgent != harness.OnLinux || m.At.IsZero() || m.To != ada || m.NotMe == "" {
		h.Errorf("%+v", m)
	}
	// "This wasn't me": everybody is out, and whoever was there before is new again.
	h.Browser().Page(200, "All sessions have ended", harness.Press("/not-me", harness.Body{"token": harness.TokenOf(h, m.NotMe)}))
	h.Expect(403, "password_reset_required", harness.From(cafe, harness.OnLinux, harness.SignInAs(ada, harness.Passphrase)))
	h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": ada}))
	h.Expect(204, "", harness.Post("/v1/password/reset",
		harness.Body{"token": harness.TokenOf(h, box.Last(ada, notice.ResetPassword).Link), "new_password": harness.AnotherPassphrase}))
	h.Expect(200, "", harness.From(cafe, harness.OnLinux, harness.SignInAs(ada, harness.AnotherPassphrase)))
	mailed(3, "after the reset")
}

// knownBrowsersAreNoNews signs in from a browser that the account knows, wherever it
// is, and from one that it does not know any more.
func knownBrowsersAreNoNews(h *harness.Server, ada string) {
	h.Helper()
	h.Register(ada)
	box, b := h.Mailbox(), h.Browser()
	form := harness.Body{"email": ada, "password": harness.Passphrase}
	b.Page(303, "", harness.From("203.0.113.7", harness.OnLinux, harness.Press("/login", form)))
	b.Page(303, "", harness.From("198.51.100.9", harness.OnLinux, harness.Press("/login", form)))
	b.Page(303, "", harness.From("2001:db8::1", harness.Newer, harness.Press("/login", form)))
	if got := newSignIns(box, ada); len(got) > 0 {
		h.Errorf("a browser that is known is mailed of: %+v", got)
	}
	h.Browser().Page(303, "", harness.From("192.0.2.1", harness.OnLinux, harness.Press("/login", form)))
	if got := newSignIns(box, ada); len(got) != 1 {
		h.Errorf("a stranger's browser: %d mails", len(got))
	}
	// IPv6 counts by /64, and an operator's "sign them out" makes all new.
	h.Expect(200, "", harness.From("2001:db8::ffff", harness.Newer, harness.SignInAs(ada, harness.Passphrase)))
	if got := newSignIns(box, ada); len(got) != 1 {
		h.Errorf("the same /64: %d mails", len(got))
	}
	if _, err := h.Operator().EndSessions(h.Context(), ada, harness.OriginOfTests); err != nil {
		h.Fatal(err)
	}
	h.Expect(200, "", harness.From("192.0.2.1", harness.OnLinux, harness.SignInAs(ada, harness.Passphrase)))
	if got := newSignIns(box, ada); len(got) != 2 {
		h.Errorf("after its session was revoked: %d mails", len(got))
	}
}

// aFloodIsFewMails signs in many times at once from one new place, of which one is
// told; whoever has the password and many addresses can't fill the mailbox either.
func aFloodIsFewMails(h *harness.Server, ada string) {
	h.Helper()
	h.Register(ada)
	box := h.Mailbox()
	h.Expect(200, "", harness.From("203.0.113.7", harness.OnLinux, harness.SignInAs(ada, harness.Passphrase)))
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if a, err := h.Try(harness.From("198.51.100.9", harness.OnIPhone, harness.SignInAs(ada, harness.Passphrase))); err != nil || a.Status != 200 {
				h.Errorf("%d %v", a.Status, err)
			}
		})
	}
	wg.Wait()
	if n := len(newSignIns(box, ada)); n != 1 {
		h.Errorf("sixteen at once: %d mails", n)
	}
	for i := range 30 {
		h.Expect(200, "", harness.From(fmt.Sprintf("192.0.2.%d", i), strings.Repeat("x", i+1)+"/1", harness.SignInAs(ada, harness.Passphrase)))
	}
	if n := len(newSignIns(box, ada)); n != 9 {
		h.Errorf("thirty places: %d mails in all, want 9: there were ten places", n)
	}
}
