package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
)

const (
	onLinux  = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"
	newer    = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
	onIPhone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/604.1"
)

// from is a request from an address, with a user agent.
func from(address, agent string, r request) request {
	r.header = http.Header{"X-Forwarded-For": {address}, "User-Agent": {agent}}
	return r
}

// newSignIns are the mails about sign-ins from elsewhere.
func (m *mailbox) newSignIns(to string) (list []notice.Mail) {
	m.h.Helper()
	for _, mail := range m.all(to) {
		if mail.Kind == notice.NewSignIn {
			list = append(list, mail)
		}
	}
	return list
}

// MAIL-4: a sign-in from a device or a network that is new to the account is told
// to its owner, once, with when and from where and a "this wasn't me" that works.
func TestMAIL4_ASignInFromElsewhereIsTold(t *testing.T) {
	each(t, func(h *house) {
		h.newPlacesAreTold("ada@example.org")
		h.knownBrowsersAreNoNews("bob@example.org")
		h.aFloodIsFewMails("eve@example.org")
	}, behindProxy)
}

// newPlacesAreTold signs in from here and there, and says "this wasn't me".
func (h *house) newPlacesAreTold(ada string) {
	h.Helper()
	const home, cafe = "203.0.113.7", "198.51.100.9"
	h.register(ada)
	box := h.mailbox()
	told := func(n int, what string) {
		h.Helper()
		if got := len(box.newSignIns(ada)); got != n {
			h.Errorf("%s: %d mails, want %d", what, got, n)
		}
	}
	in := func(address, agent string) answer {
		h.Helper()
		return h.expect(200, "", from(address, agent, signInAs(ada, passphrase)))
	}
	h.expect(401, "invalid_credentials", from(home, onLinux, signInAs(ada, another)))
	in(home, onLinux)
	told(0, "the first sign-in")
	in(home, newer)
	told(0, "a newer version of the browser")
	in(cafe, onLinux)
	told(1, "another network")
	in(home, onIPhone)
	told(2, "another device")
	in(cafe, onLinux)
	in(home, onIPhone)
	told(2, "both again")
	h.expect(204, "", request{method: "POST", path: "/v1/logout", bearer: in(cafe, newer).str("access_token")})
	in(cafe, onLinux)
	told(2, "after a sign-out")
	h.expect(401, "invalid_credentials", from("192.0.2.1", onIPhone, signInAs(ada, another)))
	told(2, "a wrong password")
	m := box.newSignIns(ada)[0]
	if m.Address.String() != cafe || m.UserAgent != onLinux || m.At.IsZero() || m.To != ada || m.NotMe == "" {
		h.Errorf("%+v", m)
	}
	// "This wasn't me": everybody is out, and whoever was there before is new again.
	h.browser().page(200, "All sessions have ended", press("/not-me", body{"token": tokenOf(h, m.NotMe)}))
	h.expect(403, "password_reset_required", from(cafe, onLinux, signInAs(ada, passphrase)))
	h.expect(202, "", post("/v1/password/forgot", body{"email": ada}))
	h.expect(204, "", post("/v1/password/reset", body{"token": tokenOf(h, box.last(ada, notice.ResetPassword).Link), "new_password": another}))
	h.expect(200, "", from(cafe, onLinux, signInAs(ada, another)))
	told(3, "after the reset")
}

// knownBrowsersAreNoNews signs in from a browser that the account knows, wherever it
// is, and from one that it does not know any more.
func (h *house) knownBrowsersAreNoNews(ada string) {
	h.Helper()
	h.register(ada)
	box, b := h.mailbox(), h.browser()
	form := body{"email": ada, "password": passphrase}
	b.page(303, "", from("203.0.113.7", onLinux, press("/login", form)))
	b.page(303, "", from("198.51.100.9", onLinux, press("/login", form)))
	b.page(303, "", from("2001:db8::1", newer, press("/login", form)))
	if got := box.newSignIns(ada); len(got) > 0 {
		h.Errorf("a browser that is known is told of: %+v", got)
	}
	h.browser().page(303, "", from("192.0.2.1", onLinux, press("/login", form)))
	if got := box.newSignIns(ada); len(got) != 1 {
		h.Errorf("a stranger's browser: %d mails", len(got))
	}
	// IPv6 counts by /64, and an operator's "sign them out" makes all new.
	h.expect(200, "", from("2001:db8::ffff", newer, signInAs(ada, passphrase)))
	if got := box.newSignIns(ada); len(got) != 1 {
		h.Errorf("the same /64: %d mails", len(got))
	}
	if _, err := h.operator().EndSessions(h.Context(), ada, originOfTests); err != nil {
		h.Fatal(err)
	}
	h.expect(200, "", from("192.0.2.1", onLinux, signInAs(ada, passphrase)))
	if got := box.newSignIns(ada); len(got) != 2 {
		h.Errorf("after its session was revoked: %d mails", len(got))
	}
}

// aFloodIsFewMails signs in many times at once from one new place, of which one is
// told; whoever has the password and many addresses can't fill the mailbox either.
func (h *house) aFloodIsFewMails(ada string) {
	h.Helper()
	h.register(ada)
	box := h.mailbox()
	h.expect(200, "", from("203.0.113.7", onLinux, signInAs(ada, passphrase)))
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if a, err := h.try(from("198.51.100.9", onIPhone, signInAs(ada, passphrase))); err != nil || a.status != 200 {
				h.Errorf("%d %v", a.status, err)
			}
		})
	}
	wg.Wait()
	if n := len(box.newSignIns(ada)); n != 1 {
		h.Errorf("sixteen at once: %d mails", n)
	}
	for i := range 30 {
		h.expect(200, "", from(fmt.Sprintf("192.0.2.%d", i), strings.Repeat("x", i+1)+"/1", signInAs(ada, passphrase)))
	}
	if n := len(box.newSignIns(ada)); n != 9 {
		h.Errorf("thirty places: %d mails in all, want 9: there were ten places", n)
	}
}
