package app_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
)

// mailCall is a call by which anybody who types an address has a mail sent there.
type mailCall struct {
	kind notice.Kind
	// signedIn is whether it takes an account.
	signedIn bool
	// before makes the address what the call finds.
	before func(h *house, address string)
	// make makes the call of the i-th stranger, each from a network, and where one is
	// needed an account, of their own.
	make func(strangers []string, address string, i int) request
}

// strangersNetwork is another network for each.
func strangersNetwork(i int, r request) request {
	r.header = http.Header{"X-Forwarded-For": {fmt.Sprintf("203.0.%d.%d", 1+i/200, 1+i%200)}}
	return r
}

func askChange(strangers []string, address string, i int) request {
	r := post("/v1/email/change", body{"email": address, "current_password": passphrase})
	r.bearer = strangers[i%len(strangers)]
	return strangersNetwork(i, r)
}

// mailCalls are all of them.
func mailCalls() map[string]mailCall {
	registered := func(h *house, address string) { h.register(address) }
	call := func(path string, more body) func([]string, string, int) request {
		return func(_ []string, address string, i int) request {
			b := body{"email": address}
			for name, value := range more {
				b[name] = value
			}
			return strangersNetwork(i, post(path, b))
		}
	}
	return map[string]mailCall{
		"register, taken":     {notice.AddressRegistered, false, registered, call("/v1/register", body{"password": passphrase})},
		"forgot":              {notice.ResetPassword, false, registered, call("/v1/password/forgot", nil)},
		"resend":              {notice.VerifyAddress, false, registered, call("/v1/email/resend", nil)},
		"email change, taken": {notice.AddressRegistered, true, registered, askChange},
		"email change, new":   {notice.ConfirmAddress, true, func(*house, string) {}, askChange},
	}
}

// strangers signs a number of accounts in and returns their access tokens.
func (h *house) strangers(n int) (tokens []string) {
	for i := range n {
		email := fmt.Sprintf("stranger%d@example.net", i)
		h.register(email)
		tokens = append(tokens, h.login(email).str("access_token"))
	}
	return tokens
}

func (h *house) mailsOf(box *mailbox, to string, kind notice.Kind) (n int) {
	for _, m := range box.all(to) {
		if m.Kind == kind {
			n++
		}
	}
	return n
}

// Cases B2 and B3, attack 4, ASVS V2.3.2 and V2.4.1: a mailbox gets no more mails than
// is documented, whatever call causes them and however many strangers call from
// however many networks, also at once; all of them are answered alike; and the
// owner's share of ways to a new password is there afterwards.
func TestCaseB3_NoCallMailsAnAddressMoreThanIsDocumented(t *testing.T) {
	const most, tries = 3, 16
	for name, c := range mailCalls() {
		t.Run(name, func(t *testing.T) {
			dbtest.EachURL(t, func(t *testing.T, dbURL string) {
				now := &clock{}
				h := openAt(t, dbURL, now.now, trusted, "PASSWORD_RESET_RATE_LIMIT_ATTEMPTS=3")
				box, strangers := h.mailbox(), []string(nil)
				if c.signedIn {
					strangers = h.strangers(tries)
				}
				const victim = "victim@example.org"
				sent := func() int { return h.mailsOf(box, victim, c.kind) }
				c.before(h, victim)
				begun := sent()

				var all sync.WaitGroup
				var taken atomic.Int64
				for i := range tries {
					all.Go(func() {
						if a, err := h.try(c.make(strangers, victim, i)); err == nil && a.status == 202 {
							taken.Add(1)
						}
					})
				}
				all.Wait()
				if taken.Load() != tries {
					h.Errorf("%d of %d are answered 202: the rest are told that the mailbox has had enough", taken.Load(), tries)
				}
				if n := sent(); n != most {
					h.Errorf("%d mails, of which %d were there before: %d are documented", n, begun, most)
				}
				now.shift(20*time.Minute + time.Second) // the shares give one back
				for i := range 3 {
					h.expect(202, "", c.make(h.again(strangers, i), victim, tries+i))
				}
				if n := sent(); n != most+1 {
					h.Errorf("%d mails after 20 minutes, and %d may be", n, most+1)
				}
				if name == "forgot" || name == "email change, new" {
					return
				}
				for i := range 5 {
					h.expect(202, "", strangersNetwork(50+i, post("/v1/password/forgot", body{"email": victim})))
				}
				if n := h.mailsOf(box, victim, notice.ResetPassword); n != most {
					h.Errorf("%d ways to a new password, and their owner has %d", n, most)
				}
			})
		})
	}
}

// again signs one of the strangers in again, if there are any: tokens end with the clock.
func (h *house) again(strangers []string, i int) []string {
	if strangers == nil {
		return nil
	}
	return []string{h.login(fmt.Sprintf("stranger%d@example.net", i)).str("access_token")}
}

// Case B2: a request that sends nothing takes nothing: not at a verified address, not
// at one without an account, and not one that its network's limit refuses (attack 1).
func TestCaseB2_WhatSendsNothingTakesNothing(t *testing.T) {
	each(t, func(h *house) {
		box := h.mailbox()
		const victim = "victim@example.org"
		h.register(victim)
		h.expect(200, "", press("/verify", body{"token": tokenOf(h, box.last(victim, notice.VerifyAddress).Link), "password": passphrase}))
		before := h.count(`SELECT COUNT(*) FROM mail_share`)
		for i := range 20 {
			h.expect(202, "", strangersNetwork(i, post("/v1/email/resend", body{"email": victim})))
			h.expect(202, "", strangersNetwork(i, post("/v1/password/forgot", body{"email": "nobody@example.org"})))
		}
		if n := h.count(`SELECT COUNT(*) FROM mail_share`); n != before {
			h.Errorf("%d shares are counted, and %d were before", n, before)
		}
		// A network that has used its own limit up takes nothing of anybody's.
		for i := range 30 {
			h.expect(202, "", through("192.0.2.1", post("/v1/password/forgot", body{"email": fmt.Sprintf("n%d@example.org", i)})))
		}
		for range 5 {
			a := h.expect(429, "rate_limited", through("192.0.2.1", post("/v1/password/forgot", body{"email": victim})))
			if a.header.Get("Ratelimit-Policy") != `"password_reset_network";q=30;w=3600` {
				h.Errorf("the headers: %v", a.header)
			}
		}
		// The owner is never refused: beyond the mails that came there is one on its way.
		for i := range 10 {
			h.expect(202, "", strangersNetwork(100+i, post("/v1/password/forgot", body{"email": victim})))
		}
		if n := h.mailsOf(box, victim, notice.ResetPassword); n != 3 {
			h.Errorf("%d mails, and 3 are the owner's", n)
		}
		h.expect(202, "", strangersNetwork(1, post("/v1/email/resend", body{"email": victim})))
		h.expect(204, "", post("/v1/password/reset", body{"token": tokenOf(h, box.last(victim, notice.ResetPassword).Link), "new_password": another}))
	}, trusted, "PASSWORD_RESET_RATE_LIMIT_ATTEMPTS=3")
}

// ASVS V2.4.1: an account asks for three addresses an hour and is told so, and what
// failed is given back.
func TestASVS_V2_4_1_AnAccountAsksForFewAddresses(t *testing.T) {
	each(t, func(h *house) {
		h.register("ada@example.org")
		token := h.login("ada@example.org").str("access_token")
		ask := func(i int, pass string) request {
			r := post("/v1/email/change", body{"email": fmt.Sprintf("new%d@example.org", i), "current_password": pass})
			r.bearer = token
			return strangersNetwork(i, r)
		}
		h.expect(403, "wrong_password", ask(9, another))
		for i := range 3 {
			h.expect(202, "", ask(i, passphrase))
		}
		a := h.expect(429, "rate_limited", ask(3, passphrase))
		if a.header.Get("Retry-After") != "1200" || a.header.Get("Ratelimit-Policy") != `"email_change";q=3;w=3600` {
			h.Errorf("the headers: %v", a.header)
		}
		if n := h.count(`SELECT COUNT(*) FROM outbox WHERE kind = 'confirm_address'`); n != 3 {
			h.Errorf("%d mails, and 3 were asked for", n)
		}
	}, trusted, "PASSWORD_RESET_RATE_LIMIT_ATTEMPTS=3")
}
