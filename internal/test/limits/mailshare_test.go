package limits_test

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// mailCall is a call by which anybody who types an address has a mail sent there.
type mailCall struct {
	kind notice.Kind
	// signedIn is whether it takes an account.
	signedIn bool
	// before makes the address what the call finds.
	before func(h *harness.Server, address string)
	// make makes the call of the i-th stranger, each from a network, and where one is
	// needed an account, of their own.
	make func(strangers []string, address string, i int) harness.Request
}

func askChange(strangers []string, address string, i int) harness.Request {
	r := harness.Post("/v1/email/change", harness.Body{"email": address, "current_password": harness.Passphrase})
	r.Bearer = strangers[i%len(strangers)]
	return harness.StrangersNetwork(i, r)
}

// mailCalls are all of them.
func mailCalls() map[string]mailCall {
	registered := func(h *harness.Server, address string) { h.Register(address) }
	// An account that was never verified does not keep its address from whoever shows it.
	verified := func(h *harness.Server, address string) {
		h.Register(address)
		box := h.Mailbox()
		link := harness.TokenOf(h, box.Last(address, notice.VerifyAddress).Link)
		h.Expect(204, "", harness.Post("/v1/email/verify", harness.Body{"token": link, "password": harness.Passphrase}))
	}
	call := func(path string, more harness.Body) func([]string, string, int) harness.Request {
		return func(_ []string, address string, i int) harness.Request {
			b := harness.Body{"email": address}
			for name, value := range more {
				b[name] = value
			}
			return harness.StrangersNetwork(i, harness.Post(path, b))
		}
	}
	return map[string]mailCall{
		"register, taken":     {notice.AddressRegistered, false, registered, call("/v1/register", harness.Body{"password": harness.Passphrase})},
		"forgot":              {notice.ResetPassword, false, registered, call("/v1/password/forgot", nil)},
		"resend":              {notice.VerifyAddress, false, registered, call("/v1/email/resend", nil)},
		"email change, taken": {notice.AddressRegistered, true, verified, askChange},
		"email change, new":   {notice.ConfirmAddress, true, func(*harness.Server, string) {}, askChange},
	}
}

// newStrangers signs a number of accounts in and returns their access tokens.
func newStrangers(h *harness.Server, n int) (tokens []string) {
	for i := range n {
		email := fmt.Sprintf("stranger%d@example.net", i)
		h.Register(email)
		tokens = append(tokens, h.Login(email).Str("access_token"))
	}
	return tokens
}

func mailsOf(h *harness.Server, box *harness.Mailbox, to string, kind notice.Kind) (n int) {
	for _, m := range box.All(to) {
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
				now := &harness.Clock{}
				h := harness.OpenAt(t, dbURL, now.Now, harness.BehindProxy, "PASSWORD_RESET_RATE_LIMIT_ATTEMPTS=3")
				box, strangers := h.Mailbox(), []string(nil)
				if c.signedIn {
					strangers = newStrangers(h, tries)
				}
				const victim = "victim@example.org"
				sent := func() int { return mailsOf(h, box, victim, c.kind) }
				c.before(h, victim)
				begun := sent()

				var all sync.WaitGroup
				var taken atomic.Int64
				for i := range tries {
					all.Go(func() {
						if a, err := h.Try(c.make(strangers, victim, i)); err == nil && a.Status == 202 {
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
				now.Shift(20*time.Minute + time.Second) // the shares give one back
				for i := range 3 {
					h.Expect(202, "", c.make(again(h, strangers, i), victim, tries+i))
				}
				if n := sent(); n != most+1 {
					h.Errorf("%d mails after 20 minutes, and %d may be", n, most+1)
				}
				if name == "forgot" || name == "email change, new" {
					return
				}
				for i := range 5 {
					h.Expect(202, "", harness.StrangersNetwork(50+i, harness.Post("/v1/password/forgot", harness.Body{"email": victim})))
				}
				if n := mailsOf(h, box, victim, notice.ResetPassword); n != most {
					h.Errorf("%d ways to a new password, and their owner has %d", n, most)
				}
			})
		})
	}
}

// again signs one of the strangers in again, if there are any: tokens end with the clock.
func again(h *harness.Server, strangers []string, i int) []string {
	if strangers == nil {
		return nil
	}
	return []string{h.Login(fmt.Sprintf("stranger%d@example.net", i)).Str("access_token")}
}

// Case B2: a request that sends nothing takes nothing: not at a verified address, not
// at one without an account, and not one that its network's limit refuses (attack 1).
func TestCaseB2_WhatSendsNothingTakesNothing(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		box := h.Mailbox()
		const victim = "victim@example.org"
		h.Register(victim)
		h.Expect(303, "", harness.Press("/verify",
			harness.Body{"token": harness.TokenOf(h, box.Last(victim, notice.VerifyAddress).Link), "password": harness.Passphrase}))
		before := h.Count(`SELECT COUNT(*) FROM mail_share`)
		for i := range 20 {
			h.Expect(202, "", harness.StrangersNetwork(i, harness.Post("/v1/email/resend", harness.Body{"email": victim})))
			h.Expect(202, "", harness.StrangersNetwork(i, harness.Post("/v1/password/forgot", harness.Body{"email": "nobody@example.org"})))
		}
		if n := h.Count(`SELECT COUNT(*) FROM mail_share`); n != before {
			h.Errorf("%d shares are counted, and %d were before", n, before)
		}
		// A network that has used its own limit up takes nothing of anybody's.
		for i := range 30 {
			h.Expect(202, "", harness.Through("192.0.2.1", harness.Post("/v1/password/forgot", harness.Body{"email": fmt.Sprintf("n%d@example.org", i)})))
		}
		for range 5 {
			a := h.Expect(429, "rate_limited", harness.Through("192.0.2.1", harness.Post("/v1/password/forgot", harness.Body{"email": victim})))
			if a.Header.Get("Ratelimit-Policy") != `"password_reset_network";q=30;w=3600` {
				h.Errorf("the headers: %v", a.Header)
			}
		}
		// The owner is never refused: beyond the mails that came there is one on its way.
		for i := range 10 {
			h.Expect(202, "", harness.StrangersNetwork(100+i, harness.Post("/v1/password/forgot", harness.Body{"email": victim})))
		}
		if n := mailsOf(h, box, victim, notice.ResetPassword); n != 3 {
			h.Errorf("%d mails, and 3 are the owner's", n)
		}
		h.Expect(202, "", harness.StrangersNetwork(1, harness.Post("/v1/email/resend", harness.Body{"email": victim})))
		h.Expect(204, "", harness.Post("/v1/password/reset",
			harness.Body{"token": harness.TokenOf(h, box.Last(victim, notice.ResetPassword).Link), "new_password": harness.AnotherPassphrase}))
	}, harness.BehindProxy, "PASSWORD_RESET_RATE_LIMIT_ATTEMPTS=3")
}

// ASVS V2.4.1: an account may ask for three addresses an hour and learns so, and what
// failed is given back.
func TestASVS_V2_4_1_AnAccountAsksForFewAddresses(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		token := h.Login("ada@example.org").Str("access_token")
		ask := func(i int, pass string) harness.Request {
			r := harness.Post("/v1/email/change", harness.Body{"email": fmt.Sprintf("new%d@example.org", i), "current_password": pass})
			r.Bearer = token
			return harness.StrangersNetwork(i, r)
		}
		h.Expect(403, "wrong_password", ask(9, harness.AnotherPassphrase))
		for i := range 3 {
			h.Expect(202, "", ask(i, harness.Passphrase))
		}
		a := h.Expect(429, "rate_limited", ask(3, harness.Passphrase))
		// A third of an hour after the first, which was a moment ago.
		wait, err := strconv.Atoi(a.Header.Get("Retry-After"))
		if err != nil || wait > 1200 || wait < 1100 || a.Header.Get("Ratelimit-Policy") != `"email_change";q=3;w=3600` {
			h.Errorf("the headers: %v", a.Header)
		}
		if n := h.Count(`SELECT COUNT(*) FROM outbox WHERE kind = 'confirm_address'`); n != 3 {
			h.Errorf("%d mails, and 3 were asked for", n)
		}
	}, harness.BehindProxy, "PASSWORD_RESET_RATE_LIMIT_ATTEMPTS=3")
}
