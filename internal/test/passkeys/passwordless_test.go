package passkeys

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor/passkeytest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

const passwordless = "PASSWORDLESS=on"

// registers registers without a password, and returns the token of the sign-in in which the first passkey is added.
func registers(h *harness.Server, email string) string {
	h.Helper()
	h.Expect(202, "", harness.Post("/v1/register", harness.Body{"email": email}))
	verify := harness.Post("/v1/email/verify", harness.Body{"token": harness.TokenOf(h, h.Mailbox().Last(email, notice.VerifyAddress).Link)})
	return h.Expect(200, "", verify).Str("pending_token")
}

// firstKey adds the first passkey of an account that has no password.
func firstKey(h *harness.Server, email string) *harness.Passkey {
	h.Helper()
	k := h.NewPasskey(email)
	token := registers(h, email)
	options := harness.Post("/v1/factors/passkeys/options", harness.Body{"pending_token": token})
	got := h.Expect(200, "", harness.Post("/v1/factors/passkeys", harness.Body{"pending_token": token}.Object("credential", k.Create(options))))
	k.Access, k.Refresh = got.Str("access_token"), got.Str("refresh_token")
	for _, c := range got.Fields["recovery_codes"].([]any) {
		k.Recovery = append(k.Recovery, c.(string))
	}
	return k
}

// another adds a passkey to an account that has one.
func another(h *harness.Server, email, access string, forge ...func(*passkeytest.Ceremony)) *harness.Passkey {
	h.Helper()
	k := h.NewPasskey(email)
	made := k.Create(harness.Post("/v1/factors/passkeys/options", nil, access), forge...)
	h.Expect(204, "", harness.Post("/v1/factors/passkeys", harness.Body{}.Object("credential", made), access))
	return k
}

func hasPassword(h *harness.Server, access string) bool {
	h.Helper()
	return h.Expect(200, "", harness.Get("/v1/factors", access)).Fields["password"] == true
}

// Somebody registers with an address and a passkey, and never has a password; then sets one, and removes it again.
func TestALifeWithoutAPassword(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		k := firstKey(h, ada)
		amr, acr := claims(h, k.Access)
		if diff := cmp.Diff([]string{"pop", "mfa"}, amr); diff != "" || acr != "phr" || len(k.Recovery) != 10 || hasPassword(h, k.Access) {
			h.Fatalf("the first sign-in: acr %s, %d codes\n%s", acr, len(k.Recovery), diff)
		}
		for _, guess := range []string{harness.Passphrase, "x", " "} {
			h.Expect(401, "invalid_credentials", harness.SignInAs(ada, guess))
		}
		h.Expect(400, "required", harness.SignInAs(ada, ""))
		access := h.Expect(200, "", k.Alone()).Str("access_token")

		// The last passkey stays, and so does the last that signs in alone, whatever else there is.
		list := h.Expect(200, "", harness.Get("/v1/factors", access)).Fields["passkeys"].([]any)
		first := "/v1/factors/passkeys/" + list[0].(map[string]any)["id"].(string)
		h.Expect(409, "last_factor", deletion(first, access))
		another(h, ada, access, touched)
		h.Expect(409, "last_factor", deletion(first, access))

		// The address: a fresh sign-in stands in for the password.
		const moved = "ada@example.net"
		h.Expect(400, "no_password", harness.Post("/v1/email/change", harness.Body{"email": moved, "current_password": harness.Passphrase}, access))
		h.Expect(202, "", harness.Post("/v1/email/change", harness.Body{"email": moved}, access))
		link := harness.Body{"token": harness.TokenOf(h, h.Mailbox().Last(moved, notice.ConfirmAddress).Link)}
		h.Expect(403, "sign_in_first", harness.Post("/v1/email/verify", link))
		h.Expect(204, "", harness.Post("/v1/email/verify", link, access))
		if mail := h.Mailbox().Last(ada, notice.AddressChanged); mail.Undo != "" || mail.NotMe != "" {
			h.Errorf("nothing opens an undo, and the mail has a link: %+v", mail)
		}
		// The address is held all the same: nobody else gets it.
		h.Expect(202, "", harness.Post("/v1/register", harness.Body{"email": ada}))
		if n := h.Count(`SELECT COUNT(*) FROM account`); n != 1 {
			h.Errorf("%d accounts", n)
		}

		// A password, by a fresh sign-in alone.
		set := func(access string) harness.Request {
			return harness.Post("/v1/password/change", harness.Body{"new_password": harness.Passphrase}, access)
		}
		refused := set(access)
		refused.Body = harness.Body{"new_password": harness.Passphrase, "current_password": harness.Passphrase}
		h.Expect(400, "no_password", refused)
		clock.Shift(16 * time.Minute)
		old := h.Expect(200, "", k.Alone())
		clock.Shift(16 * time.Minute)
		stale := h.Expect(200, "", harness.Refreshing(old.Str("refresh_token"))).Str("access_token")
		h.Expect(403, "sign_in_again", set(stale))
		h.Expect(403, "sign_in_again", harness.Post("/v1/email/change", harness.Body{"email": ada}, stale))
		access = h.Expect(200, "", k.Alone()).Str("access_token")
		h.Expect(204, "", set(access))
		h.Mailbox().Last(moved, notice.PasswordChanged)
		h.Expect(401, "invalid_token", harness.Get("/v1/me", stale))
		h.Expect(403, "second_factor_required", harness.SignInAs(moved, harness.Passphrase))
		h.Expect(400, "required", set(access)) // from now on it is asked for
	}, passwordless)
}

// What takes the password away needs a fresh sign-in with a passkey, and enough passkeys.
func TestASVS_V7_5_1_RemovingThePassword(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		h.Register(ada)
		k := h.PasskeyFor(ada)
		remove := func(access string) harness.Request { return deletion("/v1/password", access) }
		h.Expect(409, "passkeys_needed", remove(k.Access)) // one that is on one device
		// Behind the password, by a recovery code: no passkey was shown.
		weak := h.Expect(200, "", harness.ShowRecovery(k.Pending(), k.Recovery[0])).Str("access_token")
		a := h.Expect(403, "step_up_required", remove(weak))
		if got := a.Header.Get("WWW-Authenticate"); !strings.Contains(got, `acr_values="phr"`) {
			h.Errorf("the challenge: %s", got)
		}
		in := h.Expect(200, "", k.Alone())
		second := another(h, ada, in.Str("access_token"))
		clock.Shift(16 * time.Minute)
		h.Expect(403, "sign_in_again", remove(h.Expect(200, "", harness.Refreshing(in.Str("refresh_token"))).Str("access_token")))
		access := h.Expect(200, "", second.Alone()).Str("access_token")
		other := h.Expect(200, "", k.Alone()).Str("access_token")
		waits := k.Pending()
		h.Expect(204, "", remove(access))
		h.Expect(409, "no_password", remove(access))
		h.Expect(401, "invalid_token", harness.Get("/v1/me", other))
		h.Expect(401, "sign_in_over", k.Behind(waits))
		h.Expect(401, "invalid_credentials", harness.SignInAs(ada, harness.Passphrase))
		notMe := harness.TokenOf(h, h.Mailbox().Last(ada, notice.PasswordRemoved).NotMe)
		if hasPassword(h, access) {
			h.Error("the account has a password")
		}
		// Of two passkeys one may go, and not the other.
		list := h.Expect(200, "", harness.Get("/v1/factors", access)).Fields["passkeys"].([]any)
		path := func(i int) string { return "/v1/factors/passkeys/" + list[i].(map[string]any)["id"].(string) }
		h.Expect(204, "", deletion(path(0), access))
		h.Expect(409, "last_factor", deletion(path(1), access))

		// "This wasn't me" demands a password of these accounts too, and the passkey opens nothing before.
		h.Expect(204, "", harness.Post("/v1/not-me", harness.Body{"token": notMe}))
		h.Expect(403, "password_reset_required", second.Alone())
		h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": ada}))
		reset := harness.TokenOf(h, h.Mailbox().Last(ada, notice.ResetPassword).Link)
		h.Expect(204, "", harness.Post("/v1/password/reset", harness.Body{"token": reset, "new_password": harness.AnotherPassphrase}))
		h.Expect(200, "", second.Alone())
		h.Expect(403, "second_factor_required", harness.SignInAs(ada, harness.AnotherPassphrase))
	}, passwordless)
}

// One passkey that is synced does, with three recovery codes.
func TestOneSyncedPasskeyDoesWithRecoveryCodes(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), passwordless)
	h.Register(ada)
	k := h.PasskeyFor(ada, func(c *passkeytest.Ceremony) { c.Flags |= passkeytest.Eligible | passkeytest.BackedUp })
	synced := func(c *passkeytest.Ceremony) { c.Flags |= passkeytest.Eligible | passkeytest.BackedUp }
	access := h.Expect(200, "", k.Alone(synced)).Str("access_token")
	exec(h, `DELETE FROM recovery_code WHERE hash NOT IN (SELECT hash FROM recovery_code LIMIT 2)`)
	h.Expect(409, "passkeys_needed", deletion("/v1/password", access))
	h.Expect(200, "", harness.Post("/v1/factors/recovery-codes", nil, access))
	h.Expect(204, "", deletion("/v1/password", access))
	h.Expect(200, "", k.Alone(synced))
}

// A suspended passkey, and one of another host, are no ways in.
func TestWhatOpensNothingIsNotCounted(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), passwordless)
	h.Register(ada)
	k := h.PasskeyFor(ada)
	another(h, ada, k.Access)
	for _, column := range []string{"suspect_at = 1", "rp_id = 'old.example.org'", "verifies = 0", "discoverable = 0"} {
		name, _, _ := strings.Cut(column, " ")
		exec(h, `UPDATE passkey SET `+column+` WHERE id = (SELECT MAX(id) FROM passkey)`)
		h.Expect(409, "passkeys_needed", deletion("/v1/password", k.Access))
		back := map[string]string{"suspect_at": "NULL", "rp_id": "'localhost'", "verifies": "1", "discoverable": "1"}[name]
		exec(h, `UPDATE passkey SET `+name+` = `+back+` WHERE id = (SELECT MAX(id) FROM passkey)`)
	}
	h.Expect(204, "", deletion("/v1/password", k.Access))
}

// Of what is taken away at once the account keeps a way in: whoever removes the password looks at the passkeys that whoever
// removes one leaves.
func TestOfManyAtOnceTheLastWayInStays(t *testing.T) {
	h := harness.Open(t, dbtest.Postgres(t), harness.BehindProxy, passwordless)
	for round := range 8 {
		email := fmt.Sprintf("ada%d@example.org", round)
		h.Register(email)
		k := h.PasskeyFor(email)
		another(h, email, k.Access)
		list := h.Expect(200, "", harness.Get("/v1/factors", k.Access)).Fields["passkeys"].([]any)
		var all sync.WaitGroup
		for i := range 16 {
			path := "/v1/password"
			if i%3 > 0 {
				path = "/v1/factors/passkeys/" + list[i%3-1].(map[string]any)["id"].(string)
			}
			all.Go(func() {
				if a, err := h.Try(deletion(path, k.Access)); err != nil || a.Status >= 500 {
					h.Errorf("%d %s, %v", a.Status, a.Text, err)
				}
			})
		}
		all.Wait()
		if n := h.Count(`SELECT COUNT(*) FROM account WHERE hash = '' AND NOT EXISTS (SELECT 1 FROM passkey WHERE passkey.account_id = account.id)`); n > 0 {
			h.Fatalf("round %d: %d accounts have no way in", round, n)
		}
		if n := h.Count(`SELECT COUNT(*) FROM account WHERE factors <> (SELECT COUNT(*) FROM passkey WHERE passkey.account_id = account.id)`); n > 0 {
			h.Fatalf("round %d: %d accounts count their factors wrong", round, n)
		}
	}
}

// The sign-in that a verified address opens adds a passkey that signs in alone, and nothing else; it comes once.
func TestWhatAVerifiedAddressOpens(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		token := registers(h, ada)
		with := harness.Body{"pending_token": token}
		h.Expect(403, "passkey_required", harness.Post("/v1/factors/totp", with))
		h.Expect(401, "sign_in_over", harness.ShowCode(token, "123456"))
		h.Expect(401, "invalid_token", harness.Get("/v1/me", token))
		k := h.NewPasskey(ada)
		options := harness.Post("/v1/factors/passkeys/options", with)
		add := func(forge ...func(*passkeytest.Ceremony)) harness.Request {
			return harness.Post("/v1/factors/passkeys", with.Object("credential", k.Create(options, forge...)))
		}
		asked := h.Expect(200, "", options)
		selection := asked.Fields["publicKey"].(map[string]any)["authenticatorSelection"].(map[string]any)
		if selection["residentKey"] != "required" || selection["userVerification"] != "required" || asked.Fields["mail_code_needed"] != false {
			h.Errorf("the options: %s", asked.Text)
		}
		h.Expect(400, "passkey_not_alone", add(touched))
		// The link works once: a second press says so, and begins nothing.
		again := h.Expect(200, "", harness.Post("/v1/email/verify", harness.Body{"token": harness.TokenOf(h, h.Mailbox().Last(ada, notice.VerifyAddress).Link)}))
		if again.Str("pending_token") != "" {
			h.Error("a used link began another sign-in")
		}
		clock.Shift(11 * time.Minute)
		h.Expect(401, "sign_in_over", options)
		// Whoever left before has the mailbox.
		h.Expect(401, "invalid_credentials", harness.SignInAs(ada, harness.Passphrase))
		h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": ada}))
		reset := harness.TokenOf(h, h.Mailbox().Last(ada, notice.ResetPassword).Link)
		h.Expect(204, "", harness.Post("/v1/password/reset", harness.Body{"token": reset, "new_password": harness.Passphrase}))
		h.Login(ada)

		// A password that was set meanwhile ends the sign-in that waits.
		const eve = "eve@example.org"
		token = registers(h, eve)
		h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": eve}))
		reset = harness.TokenOf(h, h.Mailbox().Last(eve, notice.ResetPassword).Link)
		h.Expect(204, "", harness.Post("/v1/password/reset", harness.Body{"token": reset, "new_password": harness.Passphrase}))
		h.Expect(401, "sign_in_over", harness.Post("/v1/factors/passkeys/options", harness.Body{"pending_token": token}))
	}, passwordless)
}

// A password that its owner removed opens an undo for seven days.
func TestARemovedPasswordOpensAnUndo(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), passwordless)
	h.Register(ada)
	k := h.PasskeyFor(ada)
	another(h, ada, k.Access)
	h.Expect(204, "", deletion("/v1/password", k.Access))
	third := another(h, ada, k.Access)
	h.Expect(200, "", third.Alone())
	undo := harness.TokenOf(h, h.Mailbox().Last(ada, notice.FactorAdded).Undo)
	h.Expect(403, "wrong_password", harness.Post("/v1/factors/undo", harness.Body{"token": undo, "password": harness.AnotherPassphrase}))
	h.Expect(204, "", harness.Post("/v1/factors/undo", harness.Body{"token": undo, "password": harness.Passphrase}))
	h.Expect(401, "invalid_passkey", third.Alone())
	h.Expect(403, "password_reset_required", k.Alone())

	// Where there never was one the mail has no link: another factor removes what a thief added.
	const eve = "eve@example.org"
	e := firstKey(h, eve)
	another(h, eve, e.Access)
	if mail := h.Mailbox().Last(eve, notice.FactorAdded); mail.Undo != "" {
		h.Errorf("nothing opens the undo of the mail: %+v", mail)
	}
}

// Where it is off nobody goes without a password, and who has none goes on.
func TestPasswordlessIsOff(t *testing.T) {
	url := dbtest.SQLite(t)
	on := harness.Open(t, url, passwordless)
	k := firstKey(on, ada)
	h := harness.Open(t, url)
	h.Expect(400, "required", harness.Post("/v1/register", harness.Body{"email": "eve@example.org"}))
	h.Expect(400, "required", harness.Post("/v1/register", harness.Body{"email": "eve@example.org", "password": ""}))
	k.Server, k.Browser.Origin = h, h.URL()
	access := h.Expect(200, "", k.Alone()).Str("access_token")
	h.Expect(409, "passwordless_off", deletion("/v1/password", access))
}

// invites returns the token of an invitation's link.
func invites(h *harness.Server, email string) string {
	h.Helper()
	_, link, err := h.Operator().Invite(h.Context(), operate.Invitation{Email: email, Roles: []string{"editor"}}, harness.OriginOfTests)
	if err != nil {
		h.Fatal(err)
	}
	return harness.TokenOf(h, link)
}

// Who was invited opens the account with a passkey in the place of a password; the link works once, for one of the two.
func TestAnInvitationOpensAnAccountWithoutAPassword(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		token := invites(h, ada)
		accept := harness.Post("/v1/email/verify", harness.Body{"token": token})
		reset := harness.Post("/v1/password/reset", harness.Body{"token": token, "new_password": harness.Passphrase})
		pending := h.Expect(200, "", accept).Str("pending_token")
		h.Expect(400, "invalid_link", reset)
		if again := h.Expect(200, "", accept); again.Str("pending_token") != "" {
			h.Error("a used invitation began another sign-in")
		}
		k := h.NewPasskey(ada)
		options := harness.Post("/v1/factors/passkeys/options", harness.Body{"pending_token": pending})
		with := harness.Body{"pending_token": pending}
		h.Expect(400, "passkey_not_alone", harness.Post("/v1/factors/passkeys", with.Object("credential", k.Create(options, touched))))
		h.Expect(200, "", harness.Post("/v1/factors/passkeys", with.Object("credential", k.Create(options))))
		access := h.Expect(200, "", k.Alone()).Str("access_token")
		me := h.Expect(200, "", harness.Get("/v1/me", access))
		if hasPassword(h, access) || me.Fields["email_verified"] != true || !strings.Contains(me.Text, "editor") {
			h.Errorf("the account that was opened: %s", me.Text)
		}
		h.Expect(401, "invalid_credentials", harness.SignInAs(ada, harness.Passphrase))

		// Who chose the password has it, and the link opens nothing more.
		const eve = "eve@example.org"
		token = invites(h, eve)
		h.Expect(204, "", harness.Post("/v1/password/reset", harness.Body{"token": token, "new_password": harness.Passphrase}))
		if again := h.Expect(200, "", harness.Post("/v1/email/verify", harness.Body{"token": token})); again.Str("pending_token") != "" {
			h.Error("a used invitation began a sign-in")
		}
		h.Login(eve)

		// A reset by mail takes no password away, whoever asks for what.
		h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": eve}))
		forgot := harness.TokenOf(h, h.Mailbox().Last(eve, notice.ResetPassword).Link)
		h.Expect(400, "invalid_link", harness.Post("/v1/email/verify", harness.Body{"token": forgot}))
		h.Login(eve)

		// Too late, changed on the way, and disabled.
		const joe, kim = "joe@example.org", "kim@example.org"
		late, gone := invites(h, joe), invites(h, kim)
		h.Expect(400, "invalid_link", harness.Post("/v1/email/verify", harness.Body{"token": late[:len(late)-1] + "x"}))
		exec(h, `UPDATE account SET disabled_at = 1 WHERE email = 'kim@example.org'`)
		if a, err := h.Try(harness.Post("/v1/email/verify", harness.Body{"token": gone})); err != nil || a.Status < 400 || a.Status >= 500 {
			h.Errorf("a disabled account: %d %s, %v", a.Status, a.Text, err)
		}
		clock.Shift(31 * 24 * time.Hour)
		h.Expect(400, "invalid_link", harness.Post("/v1/email/verify", harness.Body{"token": late}))
	}, passwordless)
}

// Where people may not go without a password an invitation sets one, and nothing else.
func TestAnInvitationWherePasswordlessIsOff(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	token := invites(h, ada)
	h.Expect(400, "invalid_link", harness.Post("/v1/email/verify", harness.Body{"token": token}))
	h.Expect(204, "", harness.Post("/v1/password/reset", harness.Body{"token": token, "new_password": harness.Passphrase}))
	h.Login(ada)
}

// Of many that use an invitation at once, for either, one does.
func TestAnInvitationIsUsedOnce(t *testing.T) {
	h := harness.Open(t, dbtest.Postgres(t), harness.BehindProxy, passwordless, "PASSWORD_RESET_RATE_LIMIT_ATTEMPTS=1000")
	for round := range 5 {
		email := fmt.Sprintf("ada%d@example.org", round)
		token := invites(h, email)
		var (
			all         sync.WaitGroup
			begun, sets atomic.Int64
		)
		for i := range 16 {
			r := harness.Post("/v1/email/verify", harness.Body{"token": token})
			if i%2 == 0 {
				r = harness.Post("/v1/password/reset", harness.Body{"token": token, "new_password": fmt.Sprint(harness.Passphrase, i)})
			}
			all.Go(func() {
				a, err := h.Try(r)
				switch {
				case err != nil || a.Status >= 500:
					h.Errorf("%d %s, %v", a.Status, a.Text, err)
				case a.Status == 204:
					sets.Add(1)
				case a.Status == 200 && a.Str("pending_token") != "":
					begun.Add(1)
				}
			})
		}
		all.Wait()
		bare := int64(h.Count(`SELECT COUNT(*) FROM account WHERE hash = '' AND email = '` + email + `'`))
		if begun.Load()+sets.Load() != 1 || bare != begun.Load() {
			h.Fatalf("round %d: %d sign-ins begun, %d passwords set, %d accounts without", round, begun.Load(), sets.Load(), bare)
		}
	}
}
