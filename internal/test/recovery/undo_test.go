package recovery_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

const (
	owner   = "owner@example.org"
	thiefB  = "thief-b@example.net"
	thiefC  = "thief-c@example.net"
	stolen  = harness.Passphrase
	thiefs  = "a passphrase of the thief"
	renewed = "a passphrase that is new"
)

// verified registers an account and verifies its address.
func verified(h *harness.Server, box *harness.Mailbox, email string) {
	h.Helper()
	h.Register(email)
	h.Expect(204, "", harness.Post("/v1/email/verify",
		harness.Body{"token": harness.TokenOf(h, box.Last(email, notice.VerifyAddress).Link), "password": harness.Passphrase}))
}

// moveTo changes the address of the account that the access token is for, and returns
// the undo that the old address gets.
func moveTo(h *harness.Server, box *harness.Mailbox, access, from, to, password string) (undo string) {
	h.Helper()
	h.Expect(202, "", harness.Post("/v1/email/change", harness.Body{"email": to, "current_password": password}, access))
	h.Expect(204, "", harness.Post("/v1/email/verify", harness.Body{"token": harness.TokenOf(h, box.Last(to, notice.ConfirmAddress).Link)}, access))
	return harness.TokenOf(h, box.Last(from, notice.AddressChanged).Undo)
}

func undoing(token, password string) harness.Request {
	return harness.Post("/v1/email/undo", harness.Body{"token": token, "password": password})
}

// resetBy sets a new password by the mail that the address asks for.
func resetBy(h *harness.Server, box *harness.Mailbox, email, password string) {
	h.Helper()
	h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": email}))
	h.Expect(204, "", harness.Post("/v1/password/reset",
		harness.Body{"token": harness.TokenOf(h, box.Last(email, notice.ResetPassword).Link), "new_password": password}))
}

// Case A1: the undo that a thief got at an address of theirs ends with the owner's.
func TestCaseA1_AThiefsUndoDoesNotOutliveTheOwners(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		box := h.Mailbox()
		verified(h, box, owner)
		access := h.Login(owner).Str("access_token")
		u1 := moveTo(h, box, access, owner, thiefB, stolen)
		u2 := moveTo(h, box, access, thiefB, thiefC, stolen)
		notMe := box.Last(thiefB, notice.AddressChanged).NotMe
		before := len(box.All(thiefB)) + len(box.All(thiefC))

		h.Expect(204, "", undoing(u1, stolen))
		h.Expect(401, "invalid_token", harness.Request{Method: "GET", Path: "/v1/me", Bearer: access})
		h.Expect(403, "password_reset_required", harness.SignInAs(owner, stolen))
		h.Expect(400, "invalid_link", undoing(u2, stolen))
		resetBy(h, box, owner, renewed)
		h.Expect(400, "invalid_link", undoing(u2, stolen))
		h.Expect(400, "invalid_link", undoing(u2, renewed))
		h.Expect(400, "invalid_link", undoing(harness.TokenOf(h, notMe), stolen))
		for _, lost := range []string{thiefB, thiefC} {
			h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": lost}))
		}
		if n := len(box.All(thiefB)) + len(box.All(thiefC)); n != before {
			h.Errorf("%d mails went to addresses that were undone", n-before)
		}
		if n := h.Count(`SELECT COUNT(*) FROM ticket WHERE address LIKE 'thief%'`); n != 0 {
			h.Errorf("%d links still stand for addresses that were undone", n)
		}
		if n := h.Count(`SELECT COUNT(*) FROM outbox WHERE sent_to LIKE 'thief%' AND due_at IS NOT NULL AND until_at IS NULL`); n != 0 {
			h.Errorf("%d mails still wait for addresses that were undone", n)
		}
		h.Expect(200, "", harness.SignInAs(owner, renewed))
		h.Expect(200, "", undoing(u1, stolen)) // "done already"
		h.Expect(200, "", harness.SignInAs(owner, renewed))
		if n := h.Count(`SELECT COUNT(*) FROM former_password`); n != 0 {
			h.Errorf("%d passwords are kept after the owner's reset", n)
		}
	}, "EMAIL_VERIFICATION=required")
}

// Case A2: an address that a living undo leads to is nobody's to take: whoever asks for
// it causes a mail with the way back. A claim that came in between gives way.
func TestCaseA2_NobodyTakesTheAddressThatAnUndoLeadsTo(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		box := h.Mailbox()
		const other = "other@example.org"
		verified(h, box, owner)
		verified(h, box, other)
		access := h.Login(owner).Str("access_token")
		first := moveTo(h, box, access, owner, thiefB, stolen)
		taken := h.Expect(202, "", harness.Post("/v1/register", harness.Body{"email": owner, "password": thiefs}))
		free := h.Expect(202, "", harness.Post("/v1/register", harness.Body{"email": "free@example.org", "password": thiefs}))
		if strings.ReplaceAll(taken.Text, taken.Str("request"), "") != strings.ReplaceAll(free.Text, free.Str("request"), "") {
			h.Errorf("the answers tell which address is taken: %s, %s", taken.Text, free.Text)
		}
		h.Expect(401, "invalid_credentials", harness.SignInAs(owner, thiefs))
		h.Expect(202, "", harness.Post("/v1/email/change", harness.Body{"email": owner, "current_password": harness.Passphrase}, h.Login(other).Str("access_token")))
		h.Expect(202, "", harness.Post("/v1/email/change", harness.Body{"email": owner, "current_password": stolen}, access))
		h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": owner}))
		ways := map[string]bool{}
		for _, m := range box.All(owner) {
			switch m.Kind {
			case notice.AddressChanged:
				ways[harness.TokenOf(h, m.Undo)] = true
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
		insert(h, box, `INSERT INTO account (id, email, email_key, name, locale, roles, hash, created_at)
			SELECT 'squatter', 'owner@example.org', 'owner@example.org', 'Squatter', 'de', '[]', hash, created_at FROM account WHERE email = 'other@example.org'`)
		squat := h.Login(owner).Str("access_token")
		last := harness.TokenOf(h, box.Last(owner, notice.AddressChanged).Undo)
		h.Expect(204, "", undoing(last, stolen))
		for way := range ways {
			if way != last {
				h.Expect(400, "invalid_link", undoing(way, stolen))
			}
		}
		h.Expect(401, "invalid_token", harness.Request{Method: "GET", Path: "/v1/me", Bearer: squat})
		resetBy(h, box, owner, renewed)
		back := h.Expect(200, "", harness.SignInAs(owner, renewed)).Str("access_token")
		if me := h.Expect(200, "", harness.Request{Method: "GET", Path: "/v1/me", Bearer: back}); me.Str("email") != owner || me.Str("name") != "" {
			h.Errorf("the account is %s", me.Text)
		}
		if n := h.Count(`SELECT COUNT(*) FROM account WHERE id = 'squatter' AND (email LIKE 'owner%' OR disabled_at IS NULL)`); n != 0 {
			h.Error("the claim did not give way")
		}
		// Now it is an account's again, as any other.
		h.Expect(202, "", harness.Post("/v1/register", harness.Body{"email": owner, "password": thiefs}))
		box.Last(owner, notice.AddressRegistered)
	})
}

// Case A3: a thief who changes the password, in whatever way and however often, does not
// take the owner's from the undo; the mailbox's own reset does.
func TestCaseA3_AnyPasswordOfTheWeekOpensAnUndo(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		box := h.Mailbox()
		verified(h, box, owner)
		const before = "a passphrase from before it all"
		resetBy(h, box, owner, before)
		resetBy(h, box, owner, stolen) // sets the one before aside
		access := h.Login(owner).Str("access_token")
		h.Expect(204, "", harness.Post("/v1/password/change", harness.Body{"current_password": stolen, "new_password": thiefs}, access))
		notMe := harness.TokenOf(h, box.Last(owner, notice.PasswordChanged).NotMe)
		undo := moveTo(h, box, access, owner, thiefB, thiefs)
		h.Expect(204, "", harness.Post("/v1/not-me", harness.Body{"token": notMe}))
		h.Expect(200, "", harness.Post("/v1/not-me", harness.Body{"token": notMe}))
		h.Expect(403, "password_reset_required", harness.SignInAs(thiefB, thiefs))
		resetBy(h, box, thiefB, thiefs+" 2")
		access = h.Expect(200, "", harness.SignInAs(thiefB, thiefs+" 2")).Str("access_token")
		moveTo(h, box, access, thiefB, thiefC, thiefs+" 2")
		resetBy(h, box, thiefC, thiefs+" 3")
		resetBy(h, box, thiefC, thiefs+" 4")

		h.Expect(403, "wrong_password", undoing(undo, before))
		h.Expect(403, "wrong_password", undoing(undo, "no passphrase of anybody"))
		h.Expect(204, "", undoing(undo, stolen))
		resetBy(h, box, owner, renewed)
		h.Expect(401, "invalid_credentials", harness.SignInAs(thiefC, thiefs+" 4"))
		h.Expect(200, "", harness.SignInAs(owner, renewed))
	})
}

// Case A3: a thief can't push the owner's password out by changing it without end.
func TestCaseA3_NobodyChangesThePasswordWithoutEnd(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		box := h.Mailbox()
		verified(h, box, owner)
		access := h.Login(owner).Str("access_token")
		now := stolen
		for i := range 20 {
			next := thiefs + strings.Repeat("!", i)
			h.Expect(204, "", harness.Post("/v1/password/change", harness.Body{"current_password": now, "new_password": next}, access))
			now = next
		}
		a := h.Expect(429, "password_changed_too_often", harness.Post("/v1/password/change", harness.Body{"current_password": now, "new_password": renewed}, access))
		if a.Header.Get("Retry-After") == "" {
			h.Error("nothing says when to try again")
		}
		undo := moveTo(h, box, access, owner, thiefB, now)
		h.Expect(204, "", undoing(undo, stolen))
		resetBy(h, box, owner, renewed)
		access = h.Expect(200, "", harness.SignInAs(owner, renewed)).Str("access_token")
		h.Expect(204, "", harness.Post("/v1/password/change", harness.Body{"current_password": renewed, "new_password": harness.Passphrase}, access))
	})
}

// Strangers who guess at the old address don't shut its owner out of the undo.
func TestCaseA3_GuessesAtTheAddressDoNotLockTheUndo(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		box := h.Mailbox()
		verified(h, box, owner)
		undo := moveTo(h, box, h.Login(owner).Str("access_token"), owner, thiefB, stolen)
		for i := range 80 {
			h.Expect(401, "invalid_credentials", harness.WrongPassword(owner, i))
		}
		h.Expect(429, "account_locked", harness.RightPassword(owner, 300))
		h.Expect(204, "", undoing(undo, stolen))
	}, harness.BehindProxy)
}

// Of sixteen undos at once one is done, the others were done already; and a thief who
// changes the address, the password, or presses their own undo at the same moment
// loses in the end.
func TestCaseA1_UndosAtOnceAndAgainstTheThief(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		box := h.Mailbox()
		verified(h, box, owner)
		access := h.Login(owner).Str("access_token")
		u1 := moveTo(h, box, access, owner, thiefB, stolen)
		var did, again int
		many(h, 16, func(int) harness.Request { return undoing(u1, stolen) }, func(a harness.Answer) {
			switch a.Status {
			case 204:
				did++
			case 200:
				again++
			default:
				h.Errorf("answered %d %s", a.Status, a.Text)
			}
		})
		if did != 1 || again != 15 {
			h.Errorf("%d did it, %d were told that it was done", did, again)
		}
		resetBy(h, box, owner, stolen+" again")
		pass := stolen + " again"
		for range 6 {
			access := h.Expect(200, "", harness.SignInAs(owner, pass)).Str("access_token")
			u1 := moveTo(h, box, access, owner, thiefB, pass)
			u2 := moveTo(h, box, access, thiefB, thiefC, pass)
			h.Expect(202, "", harness.Post("/v1/email/change", harness.Body{"email": "thief-d@example.net", "current_password": pass}, access))
			change := harness.TokenOf(h, box.Last("thief-d@example.net", notice.ConfirmAddress).Link)
			h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": thiefC}))
			reset := harness.TokenOf(h, box.Last(thiefC, notice.ResetPassword).Link)
			attacks := []harness.Request{
				undoing(u1, pass), undoing(u2, pass),
				harness.Post("/v1/email/verify", harness.Body{"token": change}, access),
				harness.Post("/v1/password/change", harness.Body{"current_password": pass, "new_password": thiefs}, access),
				harness.Post("/v1/password/reset", harness.Body{"token": reset, "new_password": thiefs}),
				harness.Post("/v1/email/change", harness.Body{"email": "thief-e@example.net", "current_password": pass}, access),
				harness.Post("/v1/register", harness.Body{"email": owner, "password": thiefs}),
				harness.SignInAs(thiefC, pass),
			}
			many(h, len(attacks), func(i int) harness.Request { return attacks[i] }, func(harness.Answer) {})
			// Whatever came first: the owner's undo has been done, or is now.
			if a := h.Do(undoing(u1, pass)); a.Status != 204 && a.Status != 200 {
				h.Fatalf("the undo: %d %s", a.Status, a.Text)
			}
			h.Expect(400, "invalid_link", undoing(u2, pass))
			h.Expect(401, "invalid_token", harness.Request{Method: "GET", Path: "/v1/me", Bearer: access})
			if h.Do(harness.SignInAs(owner, pass)).Status == 200 || h.Do(harness.SignInAs(owner, thiefs)).Status == 200 {
				h.Fatal("somebody signs in before the password was reset")
			}
			pass += "!"
			resetBy(h, box, owner, pass)
			for _, link := range []harness.Request{
				harness.Post("/v1/email/verify", harness.Body{"token": change, "password": pass}),
				harness.Post("/v1/password/reset", harness.Body{"token": reset, "new_password": thiefs}),
			} {
				h.Expect(400, "invalid_link", link)
			}
		}
	})
}

// insert writes a row as the database's owner.
func insert(h *harness.Server, box *harness.Mailbox, statement string) {
	h.Helper()
	err := box.DB.Write(h.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(statement)
		return err
	})
	if err != nil {
		h.Fatal(err)
	}
}

// many makes requests at once and hands each answer on, one after the other.
func many(h *harness.Server, n int, r func(i int) harness.Request, each func(harness.Answer)) {
	h.Helper()
	var (
		wg sync.WaitGroup
		mu sync.Mutex
	)
	for i := range n {
		wg.Go(func() {
			a, err := h.Try(r(i))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				h.Error(err)
				return
			}
			if a.Status >= 500 {
				h.Errorf("answered %d %s", a.Status, a.Text)
			}
			each(a)
		})
	}
	wg.Wait()
}

// Case C8: an account that never was verified gives way to whoever confirms a change of
// address from the mailbox; one that was verified does not.
func TestCaseC8_AChangeConfirmedFromTheMailboxDisplacesAClaim(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		box := h.Mailbox()
		const wanted = "wanted@example.org"
		verified(h, box, owner)
		h.Expect(202, "", harness.Post("/v1/register", harness.Body{"email": wanted, "password": harness.AnotherPassphrase}))
		squat := h.Expect(200, "", harness.SignInAs(wanted, harness.AnotherPassphrase)).Str("access_token")
		h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": wanted}))
		reset := harness.TokenOf(h, box.Last(wanted, notice.ResetPassword).Link)
		access := h.Login(owner).Str("access_token")
		moveTo(h, box, access, owner, wanted, harness.Passphrase)
		h.Expect(401, "invalid_token", harness.Request{Method: "GET", Path: "/v1/me", Bearer: squat})
		h.Expect(401, "invalid_credentials", harness.SignInAs(wanted, harness.AnotherPassphrase))
		h.Expect(400, "invalid_link", harness.Post("/v1/password/reset", harness.Body{"token": reset, "new_password": harness.AnotherPassphrase}))
		if got := h.Expect(200, "", harness.Request{Method: "GET", Path: "/v1/me", Bearer: access}).Str("email"); got != wanted {
			h.Errorf("the address is %s", got)
		}
		// One that was verified meanwhile is another's.
		const late = "late@example.org"
		h.Register(late)
		verify := harness.TokenOf(h, box.Last(late, notice.VerifyAddress).Link)
		h.Expect(202, "", harness.Post("/v1/email/change", harness.Body{"email": late, "current_password": harness.Passphrase}, access))
		change := harness.TokenOf(h, box.Last(late, notice.ConfirmAddress).Link)
		h.Expect(204, "", harness.Post("/v1/email/verify", harness.Body{"token": verify, "password": harness.Passphrase}))
		h.Expect(400, "invalid_link", harness.Post("/v1/email/verify", harness.Body{"token": change}, access))
		h.Expect(200, "", harness.SignInAs(late, harness.Passphrase))
	})
}

// Case 38: whoever takes an account over from a squatter, by the mailbox, does not keep
// the name that the squatter chose.
func TestCase38_AResetThatVerifiesEmptiesTheProfile(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		box := h.Mailbox()
		h.Register(owner)
		name := func(access, to string) {
			h.Expect(200, "", harness.Request{Method: "PATCH", Path: "/v1/me", Body: harness.Body{"name": to, "locale": "de"}, Bearer: access})
		}
		name(h.Login(owner).Str("access_token"), "Squatter")
		resetBy(h, box, owner, renewed)
		access := h.Expect(200, "", harness.SignInAs(owner, renewed)).Str("access_token")
		if me := h.Expect(200, "", harness.Request{Method: "GET", Path: "/v1/me", Bearer: access}); me.Str("name") != "" || me.Str("locale") != "" {
			h.Errorf("the profile is still the squatter's: %s", me.Text)
		}
		if m := box.Last(owner, notice.PasswordChanged); m.Name != "" || m.Locale != "" {
			h.Errorf("the mail greets %q in %q", m.Name, m.Locale)
		}
		name(access, "Ada")
		resetBy(h, box, owner, harness.Passphrase)
		if me := h.Expect(200, "", harness.Request{Method: "GET", Path: "/v1/me", Bearer: h.Login(owner).Str("access_token")}); me.Str("name") != "Ada" {
			h.Errorf("a second reset empties the profile: %s", me.Text)
		}
	})
}

// Case C9: the second press of a link that worked says so, in every call and page that
// takes one, at once or later; it does nothing, and a reset with another password is
// no repetition.
func TestCaseC9_PressedTwiceIsNoFailure(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		box := h.Mailbox()
		request := h.Register(owner)
		mail := box.Last(owner, notice.VerifyAddress)
		twice := func(r harness.Request) {
			h.Helper()
			var did, again int
			many(h, 4, func(int) harness.Request { return r }, func(a harness.Answer) {
				switch {
				case a.Status == 204:
					did++
				case a.Status == 200 && strings.Contains(a.Str("message"), "already"):
					again++
				default:
					h.Errorf("%s: %d %s", r.Path, a.Status, a.Text)
				}
			})
			if did != 1 || again != 3 {
				h.Errorf("%s: %d did it, %d were told that it was done", r.Path, did, again)
			}
		}
		twice(harness.Post("/v1/email/verify", harness.Body{"token": harness.TokenOf(h, mail.Link), "password": harness.Passphrase}))
		h.Expect(200, "", harness.Post("/v1/email/verify", harness.Body{"email": owner, "code": mail.Code, "request": request}))
		h.Expect(400, "invalid_code", harness.Post("/v1/email/verify", harness.Body{"email": owner, "code": "AAAAAAAA", "request": request}))

		request = h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": owner})).Str("request")
		mail = box.Last(owner, notice.ResetPassword)
		reset := harness.Body{"token": harness.TokenOf(h, mail.Link), "new_password": harness.AnotherPassphrase}
		twice(harness.Post("/v1/password/reset", reset))
		h.Browser().Page(200, "new password is set", harness.Press("/reset", reset))
		h.Expect(200, "", harness.Post("/v1/password/reset",
			harness.Body{"email": owner, "code": mail.Code, "request": request, "new_password": harness.AnotherPassphrase}))
		h.Expect(400, "invalid_link", harness.Post("/v1/password/reset", harness.Body{"token": reset["token"], "new_password": renewed}))
		h.Expect(400, "invalid_link", harness.Post("/v1/email/verify",
			harness.Body{"token": reset["token"], "password": harness.AnotherPassphrase})) // another purpose
		h.Expect(200, "", harness.SignInAs(owner, harness.AnotherPassphrase))

		access := h.Expect(200, "", harness.SignInAs(owner, harness.AnotherPassphrase)).Str("access_token")
		h.Expect(202, "", harness.Post("/v1/email/change", harness.Body{"email": thiefB, "current_password": harness.AnotherPassphrase}, access))
		change := harness.Post("/v1/email/verify", harness.Body{"token": harness.TokenOf(h, box.Last(thiefB, notice.ConfirmAddress).Link)}, access)
		twice(change)
		undo := undoing(harness.TokenOf(h, box.Last(owner, notice.AddressChanged).Undo), harness.AnotherPassphrase)
		twice(undo)
		h.Browser().Page(200, "old address again",
			harness.Press("/undo", harness.Body{"token": harness.TokenOf(h, box.Last(owner, notice.AddressChanged).Undo), "password": harness.AnotherPassphrase}))
		change2 := change
		change2.Bearer = ""
		// What was mailed to an address that was undone says nothing any more.
		h.Expect(400, "invalid_link", change2)
		resetBy(h, box, owner, renewed)
		notMe := harness.Body{"token": harness.TokenOf(h, box.Last(owner, notice.PasswordChanged).NotMe)}
		twice(harness.Post("/v1/not-me", notMe))
		h.Browser().Page(200, "All sessions have ended", harness.Press("/not-me", notMe))
		h.Expect(403, "password_reset_required", harness.SignInAs(owner, renewed))
		for _, r := range []harness.Request{undoing("", "x"), undoing("x", ""), harness.Post("/v1/not-me", harness.Body{"token": ""})} {
			h.Expect(400, "required", r)
		}
		r := harness.Post("/v1/not-me", notMe)
		r.Header = http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}
		if a := h.Do(r); a.Status != 200 && a.Status != 403 {
			h.Errorf("from another site: %d", a.Status)
		}
	})
}
