package app_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
)

const (
	owner   = "owner@example.org"
	thiefB  = "thief-b@example.net"
	thiefC  = "thief-c@example.net"
	stolen  = passphrase
	thiefs  = "a passphrase of the thief"
	renewed = "a passphrase that is new"
)

// verified registers an account and verifies its address.
func (h *house) verified(box *mailbox, email string) {
	h.Helper()
	h.register(email)
	h.expect(204, "", post("/v1/email/verify", body{"token": tokenOf(h, box.last(email, notice.VerifyAddress).Link), "password": passphrase}))
}

// moveTo changes the address of the account that the access token is for, and returns
// the undo that the old address gets.
func (h *house) moveTo(box *mailbox, access, from, to, password string) (undo string) {
	h.Helper()
	h.expect(202, "", post("/v1/email/change", body{"email": to, "current_password": password}, access))
	h.expect(204, "", post("/v1/email/verify", body{"token": tokenOf(h, box.last(to, notice.ConfirmAddress).Link)}, access))
	return tokenOf(h, box.last(from, notice.AddressChanged).Undo)
}

func undoing(token, password string) request {
	return post("/v1/email/undo", body{"token": token, "password": password})
}

// resetBy sets a new password by the mail that the address asks for.
func (h *house) resetBy(box *mailbox, email, password string) {
	h.Helper()
	h.expect(202, "", post("/v1/password/forgot", body{"email": email}))
	h.expect(204, "", post("/v1/password/reset", body{"token": tokenOf(h, box.last(email, notice.ResetPassword).Link), "new_password": password}))
}

// Case A1: the undo that a thief got at an address of theirs ends with the owner's.
func TestCaseA1_AThiefsUndoDoesNotOutliveTheOwners(t *testing.T) {
	each(t, func(h *house) {
		box := h.mailbox()
		h.verified(box, owner)
		access := h.login(owner).str("access_token")
		u1 := h.moveTo(box, access, owner, thiefB, stolen)
		u2 := h.moveTo(box, access, thiefB, thiefC, stolen)
		notMe := box.last(thiefB, notice.AddressChanged).NotMe
		before := len(box.all(thiefB)) + len(box.all(thiefC))

		h.expect(204, "", undoing(u1, stolen))
		h.expect(401, "invalid_token", request{method: "GET", path: "/v1/me", bearer: access})
		h.expect(403, "password_reset_required", signInAs(owner, stolen))
		h.expect(400, "invalid_link", undoing(u2, stolen))
		h.resetBy(box, owner, renewed)
		h.expect(400, "invalid_link", undoing(u2, stolen))
		h.expect(400, "invalid_link", undoing(u2, renewed))
		h.expect(400, "invalid_link", undoing(tokenOf(h, notMe), stolen))
		for _, lost := range []string{thiefB, thiefC} {
			h.expect(202, "", post("/v1/password/forgot", body{"email": lost}))
		}
		if n := len(box.all(thiefB)) + len(box.all(thiefC)); n != before {
			h.Errorf("%d mails went to addresses that were undone", n-before)
		}
		if n := h.count(`SELECT COUNT(*) FROM ticket WHERE address LIKE 'thief%'`); n != 0 {
			h.Errorf("%d links still stand for addresses that were undone", n)
		}
		if n := h.count(`SELECT COUNT(*) FROM outbox WHERE sent_to LIKE 'thief%' AND due_at IS NOT NULL AND until_at IS NULL`); n != 0 {
			h.Errorf("%d mails still wait for addresses that were undone", n)
		}
		h.expect(200, "", signInAs(owner, renewed))
		h.expect(200, "", undoing(u1, stolen)) // "done already"
		h.expect(200, "", signInAs(owner, renewed))
		if n := h.count(`SELECT COUNT(*) FROM former_password`); n != 0 {
			h.Errorf("%d passwords are kept after the owner's reset", n)
		}
	}, "EMAIL_VERIFICATION=required")
}

// Case A2: an address that a living undo leads to is nobody's to take: whoever asks for
// it causes a mail with the way back. A claim that came in between gives way.
func TestCaseA2_NobodyTakesTheAddressThatAnUndoLeadsTo(t *testing.T) {
	each(t, func(h *house) {
		box := h.mailbox()
		const other = "other@example.org"
		h.verified(box, owner)
		h.verified(box, other)
		access := h.login(owner).str("access_token")
		first := h.moveTo(box, access, owner, thiefB, stolen)
		taken := h.expect(202, "", post("/v1/register", body{"email": owner, "password": thiefs}))
		free := h.expect(202, "", post("/v1/register", body{"email": "free@example.org", "password": thiefs}))
		if taken.text != free.text {
			h.Errorf("the answers tell which address is taken: %s, %s", taken.text, free.text)
		}
		h.expect(401, "invalid_credentials", signInAs(owner, thiefs))
		h.expect(202, "", post("/v1/email/change", body{"email": owner, "current_password": passphrase}, h.login(other).str("access_token")))
		h.expect(202, "", post("/v1/email/change", body{"email": owner, "current_password": stolen}, access))
		h.expect(202, "", post("/v1/password/forgot", body{"email": owner}))
		ways := map[string]bool{}
		for _, m := range box.all(owner) {
			switch m.Kind {
			case notice.AddressChanged:
				ways[tokenOf(h, m.Undo)] = true
				if m.NotMe != m.Undo {
					h.Errorf("\"this wasn't me\" leads to %s", m.NotMe)
				}
			case notice.VerifyAddress, notice.AddressRegistered:
			default:
				h.Errorf("a mail of kind %s went to the address", m.Kind)
			}
		}
		if len(ways) != 5 || !ways[first] { // a registration, two changes, a forgotten password
			h.Errorf("%d ways back were mailed", len(ways))
		}
		// Whoever came in the very moment of the change has an account that never was
		// verified.
		h.insert(box, `INSERT INTO account (id, email, email_key, name, locale, roles, hash, created_at)
			SELECT 'squatter', 'owner@example.org', 'owner@example.org', 'Squatter', 'de', '[]', hash, created_at FROM account WHERE email = 'other@example.org'`)
		squat := h.login(owner).str("access_token")
		last := tokenOf(h, box.last(owner, notice.AddressChanged).Undo)
		h.expect(204, "", undoing(last, stolen))
		for way := range ways {
			if way != last {
				h.expect(400, "invalid_link", undoing(way, stolen))
			}
		}
		h.expect(401, "invalid_token", request{method: "GET", path: "/v1/me", bearer: squat})
		h.resetBy(box, owner, renewed)
		back := h.expect(200, "", signInAs(owner, renewed)).str("access_token")
		if me := h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: back}); me.str("email") != owner || me.str("name") != "" {
			h.Errorf("the account is %s", me.text)
		}
		if n := h.count(`SELECT COUNT(*) FROM account WHERE id = 'squatter' AND (email LIKE 'owner%' OR disabled_at IS NULL)`); n != 0 {
			h.Error("the claim did not give way")
		}
		// Now it is an account's again, as any other.
		h.expect(202, "", post("/v1/register", body{"email": owner, "password": thiefs}))
		box.last(owner, notice.AddressRegistered)
	})
}

// Case A3: a thief who changes the password, in whatever way and however often, does not
// take the owner's from the undo; the mailbox's own reset does.
func TestCaseA3_AnyPasswordOfTheWeekOpensAnUndo(t *testing.T) {
	each(t, func(h *house) {
		box := h.mailbox()
		h.verified(box, owner)
		const before = "a passphrase from before it all"
		h.resetBy(box, owner, before)
		h.resetBy(box, owner, stolen) // sets the one before aside
		access := h.login(owner).str("access_token")
		h.expect(204, "", post("/v1/password/change", body{"current_password": stolen, "new_password": thiefs}, access))
		notMe := tokenOf(h, box.last(owner, notice.PasswordChanged).NotMe)
		undo := h.moveTo(box, access, owner, thiefB, thiefs)
		h.expect(204, "", post("/v1/not-me", body{"token": notMe}))
		h.expect(200, "", post("/v1/not-me", body{"token": notMe}))
		h.expect(403, "password_reset_required", signInAs(thiefB, thiefs))
		h.resetBy(box, thiefB, thiefs+" 2")
		access = h.expect(200, "", signInAs(thiefB, thiefs+" 2")).str("access_token")
		h.moveTo(box, access, thiefB, thiefC, thiefs+" 2")
		h.resetBy(box, thiefC, thiefs+" 3")
		h.resetBy(box, thiefC, thiefs+" 4")

		h.expect(403, "wrong_password", undoing(undo, before))
		h.expect(403, "wrong_password", undoing(undo, "no passphrase of anybody"))
		h.expect(204, "", undoing(undo, stolen))
		h.resetBy(box, owner, renewed)
		h.expect(401, "invalid_credentials", signInAs(thiefC, thiefs+" 4"))
		h.expect(200, "", signInAs(owner, renewed))
	})
}

// Case A3: a thief can't push the owner's password out by changing it without end.
func TestCaseA3_NobodyChangesThePasswordWithoutEnd(t *testing.T) {
	each(t, func(h *house) {
		box := h.mailbox()
		h.verified(box, owner)
		access := h.login(owner).str("access_token")
		now := stolen
		for i := range 20 {
			next := thiefs + strings.Repeat("!", i)
			h.expect(204, "", post("/v1/password/change", body{"current_password": now, "new_password": next}, access))
			now = next
		}
		a := h.expect(429, "password_changed_too_often", post("/v1/password/change", body{"current_password": now, "new_password": renewed}, access))
		if a.header.Get("Retry-After") == "" {
			h.Error("nothing says when to try again")
		}
		undo := h.moveTo(box, access, owner, thiefB, now)
		h.expect(204, "", undoing(undo, stolen))
		h.resetBy(box, owner, renewed)
		access = h.expect(200, "", signInAs(owner, renewed)).str("access_token")
		h.expect(204, "", post("/v1/password/change", body{"current_password": renewed, "new_password": passphrase}, access))
	})
}

// Strangers who guess at the old address don't shut its owner out of the undo.
func TestCaseA3_GuessesAtTheAddressDoNotLockTheUndo(t *testing.T) {
	each(t, func(h *house) {
		box := h.mailbox()
		h.verified(box, owner)
		undo := h.moveTo(box, h.login(owner).str("access_token"), owner, thiefB, stolen)
		for i := range 80 {
			h.expect(401, "invalid_credentials", wrong(owner, i))
		}
		h.expect(429, "account_locked", right(owner, 300))
		h.expect(204, "", undoing(undo, stolen))
	}, behindProxy)
}

// Of sixteen undos at once one is done, the others were done already; and a thief who
// changes the address, the password, or presses their own undo at the same moment
// loses in the end.
func TestCaseA1_UndosAtOnceAndAgainstTheThief(t *testing.T) {
	each(t, func(h *house) {
		box := h.mailbox()
		h.verified(box, owner)
		access := h.login(owner).str("access_token")
		u1 := h.moveTo(box, access, owner, thiefB, stolen)
		var did, again int
		h.many(16, func(int) request { return undoing(u1, stolen) }, func(a answer) {
			switch a.status {
			case 204:
				did++
			case 200:
				again++
			default:
				h.Errorf("answered %d %s", a.status, a.text)
			}
		})
		if did != 1 || again != 15 {
			h.Errorf("%d did it, %d were told that it was done", did, again)
		}
		h.resetBy(box, owner, stolen+" again")
		pass := stolen + " again"
		for range 6 {
			access := h.expect(200, "", signInAs(owner, pass)).str("access_token")
			u1 := h.moveTo(box, access, owner, thiefB, pass)
			u2 := h.moveTo(box, access, thiefB, thiefC, pass)
			h.expect(202, "", post("/v1/email/change", body{"email": "thief-d@example.net", "current_password": pass}, access))
			change := tokenOf(h, box.last("thief-d@example.net", notice.ConfirmAddress).Link)
			h.expect(202, "", post("/v1/password/forgot", body{"email": thiefC}))
			reset := tokenOf(h, box.last(thiefC, notice.ResetPassword).Link)
			attacks := []request{
				undoing(u1, pass), undoing(u2, pass),
				post("/v1/email/verify", body{"token": change}, access),
				post("/v1/password/change", body{"current_password": pass, "new_password": thiefs}, access),
				post("/v1/password/reset", body{"token": reset, "new_password": thiefs}),
				post("/v1/email/change", body{"email": "thief-e@example.net", "current_password": pass}, access),
				post("/v1/register", body{"email": owner, "password": thiefs}),
				signInAs(thiefC, pass),
			}
			h.many(len(attacks), func(i int) request { return attacks[i] }, func(answer) {})
			// Whatever came first: the owner's undo has been done, or is now.
			if a := h.do(undoing(u1, pass)); a.status != 204 && a.status != 200 {
				h.Fatalf("the undo: %d %s", a.status, a.text)
			}
			h.expect(400, "invalid_link", undoing(u2, pass))
			h.expect(401, "invalid_token", request{method: "GET", path: "/v1/me", bearer: access})
			if h.do(signInAs(owner, pass)).status == 200 || h.do(signInAs(owner, thiefs)).status == 200 {
				h.Fatal("somebody signs in before the password was reset")
			}
			pass += "!"
			h.resetBy(box, owner, pass)
			for _, link := range []request{
				post("/v1/email/verify", body{"token": change, "password": pass}),
				post("/v1/password/reset", body{"token": reset, "new_password": thiefs}),
			} {
				h.expect(400, "invalid_link", link)
			}
		}
	})
}

// insert writes a row as the database's owner.
func (h *house) insert(box *mailbox, statement string) {
	h.Helper()
	err := box.db.Write(h.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(statement)
		return err
	})
	if err != nil {
		h.Fatal(err)
	}
}

// many makes requests at once and hands each answer on, one after the other.
func (h *house) many(n int, r func(i int) request, each func(answer)) {
	h.Helper()
	var (
		wg sync.WaitGroup
		mu sync.Mutex
	)
	for i := range n {
		wg.Go(func() {
			a, err := h.try(r(i))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				h.Error(err)
				return
			}
			if a.status >= 500 {
				h.Errorf("answered %d %s", a.status, a.text)
			}
			each(a)
		})
	}
	wg.Wait()
}

// Case C8: an account that never was verified gives way to whoever confirms a change of
// address from the mailbox; one that was verified does not.
func TestCaseC8_AChangeConfirmedFromTheMailboxDisplacesAClaim(t *testing.T) {
	each(t, func(h *house) {
		box := h.mailbox()
		const wanted = "wanted@example.org"
		h.verified(box, owner)
		h.expect(202, "", post("/v1/register", body{"email": wanted, "password": another}))
		squat := h.expect(200, "", signInAs(wanted, another)).str("access_token")
		h.expect(202, "", post("/v1/password/forgot", body{"email": wanted}))
		reset := tokenOf(h, box.last(wanted, notice.ResetPassword).Link)
		access := h.login(owner).str("access_token")
		h.moveTo(box, access, owner, wanted, passphrase)
		h.expect(401, "invalid_token", request{method: "GET", path: "/v1/me", bearer: squat})
		h.expect(401, "invalid_credentials", signInAs(wanted, another))
		h.expect(400, "invalid_link", post("/v1/password/reset", body{"token": reset, "new_password": another}))
		if got := h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: access}).str("email"); got != wanted {
			h.Errorf("the address is %s", got)
		}
		// One that was verified meanwhile is another's.
		const late = "late@example.org"
		h.register(late)
		verify := tokenOf(h, box.last(late, notice.VerifyAddress).Link)
		h.expect(202, "", post("/v1/email/change", body{"email": late, "current_password": passphrase}, access))
		change := tokenOf(h, box.last(late, notice.ConfirmAddress).Link)
		h.expect(204, "", post("/v1/email/verify", body{"token": verify, "password": passphrase}))
		h.expect(400, "invalid_link", post("/v1/email/verify", body{"token": change}, access))
		h.expect(200, "", signInAs(late, passphrase))
	})
}

// Case 38: whoever takes an account over from a squatter, by the mailbox, does not keep
// the name that the squatter chose.
func TestCase38_AResetThatVerifiesEmptiesTheProfile(t *testing.T) {
	each(t, func(h *house) {
		box := h.mailbox()
		h.register(owner)
		name := func(access, to string) {
			h.expect(200, "", request{method: "PATCH", path: "/v1/me", body: body{"name": to, "locale": "de"}, bearer: access})
		}
		name(h.login(owner).str("access_token"), "Squatter")
		h.resetBy(box, owner, renewed)
		access := h.expect(200, "", signInAs(owner, renewed)).str("access_token")
		if me := h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: access}); me.str("name") != "" || me.str("locale") != "" {
			h.Errorf("the profile is still the squatter's: %s", me.text)
		}
		if m := box.last(owner, notice.PasswordChanged); m.Name != "" || m.Locale != "" {
			h.Errorf("the mail greets %q in %q", m.Name, m.Locale)
		}
		name(access, "Ada")
		h.resetBy(box, owner, passphrase)
		if me := h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: h.login(owner).str("access_token")}); me.str("name") != "Ada" {
			h.Errorf("a second reset empties the profile: %s", me.text)
		}
	})
}

// Case C9: the second press of a link that worked is told so, by every call and page that
// takes one, at once or later; it does nothing, and a reset with another password is
// no repetition.
func TestCaseC9_PressedTwiceIsNoFailure(t *testing.T) {
	each(t, func(h *house) {
		box := h.mailbox()
		h.register(owner)
		mail := box.last(owner, notice.VerifyAddress)
		twice := func(r request) {
			h.Helper()
			var did, again int
			h.many(4, func(int) request { return r }, func(a answer) {
				switch {
				case a.status == 204:
					did++
				case a.status == 200 && strings.Contains(a.str("message"), "already"):
					again++
				default:
					h.Errorf("%s: %d %s", r.path, a.status, a.text)
				}
			})
			if did != 1 || again != 3 {
				h.Errorf("%s: %d did it, %d were told that it was done", r.path, did, again)
			}
		}
		twice(post("/v1/email/verify", body{"token": tokenOf(h, mail.Link), "password": passphrase}))
		h.expect(200, "", post("/v1/email/verify", body{"email": owner, "code": mail.Code}))
		h.expect(400, "invalid_code", post("/v1/email/verify", body{"email": owner, "code": "AAAAAAAA"}))

		h.expect(202, "", post("/v1/password/forgot", body{"email": owner}))
		mail = box.last(owner, notice.ResetPassword)
		reset := body{"token": tokenOf(h, mail.Link), "new_password": another}
		twice(post("/v1/password/reset", reset))
		h.browser().page(200, "done already", press("/reset", reset))
		h.expect(200, "", post("/v1/password/reset", body{"email": owner, "code": mail.Code, "new_password": another}))
		h.expect(400, "invalid_link", post("/v1/password/reset", body{"token": reset["token"], "new_password": renewed}))
		h.expect(400, "invalid_link", post("/v1/email/verify", body{"token": reset["token"], "password": another})) // another purpose
		h.expect(200, "", signInAs(owner, another))

		access := h.expect(200, "", signInAs(owner, another)).str("access_token")
		h.expect(202, "", post("/v1/email/change", body{"email": thiefB, "current_password": another}, access))
		change := post("/v1/email/verify", body{"token": tokenOf(h, box.last(thiefB, notice.ConfirmAddress).Link)}, access)
		twice(change)
		undo := undoing(tokenOf(h, box.last(owner, notice.AddressChanged).Undo), another)
		twice(undo)
		h.browser().page(200, "done already", press("/undo", body{"token": tokenOf(h, box.last(owner, notice.AddressChanged).Undo), "password": another}))
		change2 := change
		change2.bearer = ""
		// What was mailed to an address that was undone says nothing any more.
		h.expect(400, "invalid_link", change2)
		h.resetBy(box, owner, renewed)
		notMe := body{"token": tokenOf(h, box.last(owner, notice.PasswordChanged).NotMe)}
		twice(post("/v1/not-me", notMe))
		h.browser().page(200, "done already", press("/not-me", notMe))
		h.expect(403, "password_reset_required", signInAs(owner, renewed))
		for _, r := range []request{undoing("", "x"), undoing("x", ""), post("/v1/not-me", body{"token": ""})} {
			h.expect(400, "required", r)
		}
		r := post("/v1/not-me", notMe)
		r.header = http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}
		if a := h.do(r); a.status != 200 && a.status != 403 {
			h.Errorf("from another site: %d", a.status)
		}
	})
}
