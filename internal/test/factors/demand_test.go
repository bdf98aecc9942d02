package factors

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// Who signs in with a role that must have a factor, and has none, gets no session before it is added.
func TestASVS_V6_3_3_ARoleThatMustHaveAFactor(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		const root = "root@example.org"
		h.Register(root)
		before := h.Login(root)
		if _, err := h.Operator().SetRoles(h.Context(), root, []string{"admin"}, harness.OriginOfTests); err != nil {
			h.Fatal(err)
		}
		// A session that was there before ends at its next refresh, without alarm.
		h.Expect(401, "second_factor_required", harness.Refreshing(before.Str("refresh_token")))
		h.Expect(401, "invalid_refresh_token", harness.Refreshing(before.Str("refresh_token")))
		if n := h.Count(`SELECT COUNT(*) FROM event WHERE kind = 'session_revoked'`); n != 1 {
			h.Errorf("%d events", n)
		}
		waits := h.Expect(403, "second_factor_enrolment_required", harness.SignInAs(root, harness.Passphrase))
		token := waits.Str("pending_token")
		// It adds a factor and does nothing else; and a sign-in that waits for a factor adds none.
		h.Expect(401, "sign_in_over", harness.ShowCode(token, "123456"))
		h.Expect(401, "invalid_token", harness.Get("/v1/factors", token))
		h.Expect(401, "not_signed_in", harness.Post("/v1/factors/totp", nil))
		a := &harness.App{Server: h, Email: root, Clock: clock}
		confirm := h.MailFactorCode(root, harness.Post("/v1/factors/mail-code", harness.Body{"pending_token": token})).With("pending_token", token)
		a.Secret = h.Expect(200, "", harness.Post("/v1/factors/totp", harness.Body{"pending_token": token})).Str("secret")
		confirm = confirm.With("code", a.Code(0))
		h.Expect(400, "required", harness.Post("/v1/factors/totp/confirm", harness.Body{"pending_token": token, "code": a.Code(0)}))
		in := h.Expect(200, "", harness.Post("/v1/factors/totp/confirm", confirm))
		h.Expect(401, "sign_in_over", harness.Post("/v1/factors/totp/confirm", confirm))
		h.Expect(200, "", harness.Get("/v1/admin/events", in.Str("access_token")))
		h.Expect(200, "", harness.Refreshing(in.Str("refresh_token")))
		step := a.Pending()
		h.Expect(401, "sign_in_over", harness.Post("/v1/factors/totp", harness.Body{"pending_token": step}))
		h.Expect(401, "sign_in_over", harness.Post("/v1/factors/mail-code", harness.Body{"pending_token": step}))
		// Others are asked for nothing.
		h.Register("ada@example.org")
		h.Login("ada@example.org")
		// The last one stays.
		h.Expect(409, "last_factor", harness.Request{Method: "DELETE", Path: "/v1/factors/totp", Bearer: a.SignIn().Str("access_token")})
	}, "SECOND_FACTOR=admin")
}

func skipping(token string) harness.Request {
	return harness.Post("/v1/login/factor", map[string]any{"pending_token": token, "skip": true})
}

// Adding a factor can be put off for the days that the setting says, from the first sign-in under the rule on; by nobody
// who is an administrator.
func TestASVS_V6_3_3_AFactorCanBePutOffForAWhile(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		const ada, root = "ada@example.org", "root@example.org"
		h.Register(ada)
		begun := clock.Now()
		waits := func() harness.Answer {
			h.Helper()
			return h.Expect(403, "second_factor_enrolment_required", harness.SignInAs(ada, harness.Passphrase))
		}
		first := waits()
		until, err := time.Parse(time.RFC3339, first.Str("may_skip_until"))
		if err != nil || until.Before(begun.Add(3*24*time.Hour-time.Minute)) || until.After(begun.Add(3*24*time.Hour+time.Hour)) {
			h.Fatalf("until %s, %v", first.Str("may_skip_until"), err)
		}
		in := h.Expect(200, "", skipping(first.Str("pending_token")))
		h.Expect(401, "sign_in_over", skipping(first.Str("pending_token")))
		if amr := amrOf(h.T, in.Str("access_token")); len(amr) != 1 || amr[0] != "pwd" {
			h.Errorf("amr %v", amr)
		}
		in = h.Expect(200, "", harness.Refreshing(in.Str("refresh_token")))
		b := h.Browser()
		b.Page(200, "put this off", harness.Press("/login", harness.Body{"email": ada, "password": harness.Passphrase}))
		b.Page(200, ada, harness.Press("/login/enrol", harness.Body{"later": "1"}))

		// A later sign-in gets no later time. What waits when the time is over is refused.
		clock.Shift(2 * 24 * time.Hour)
		if again := waits(); again.Str("may_skip_until") != first.Str("may_skip_until") {
			h.Errorf("a later time: %s after %s", again.Str("may_skip_until"), first.Str("may_skip_until"))
		}
		in = h.Expect(200, "", harness.Refreshing(in.Str("refresh_token")))
		clock.Shift(24*time.Hour - 5*time.Minute)
		late := waits()
		if late.Str("may_skip_until") == "" {
			h.Error("five minutes are left")
		}
		clock.Shift(6 * time.Minute)
		h.Expect(403, "second_factor_enrolment_required", skipping(late.Str("pending_token")))
		h.Expect(401, "second_factor_required", harness.Refreshing(in.Str("refresh_token")))
		over := waits()
		if over.Str("may_skip_until") != "" {
			h.Errorf("the time is over: %s", over.Text)
		}
		h.Expect(403, "second_factor_enrolment_required", skipping(over.Str("pending_token")))

		// Not by administrators, nor by who becomes one meanwhile.
		h.Register(root)
		asked := h.Expect(403, "second_factor_enrolment_required", harness.SignInAs(root, harness.Passphrase))
		living := h.Expect(200, "", skipping(asked.Str("pending_token"))).Str("refresh_token")
		asked = h.Expect(403, "second_factor_enrolment_required", harness.SignInAs(root, harness.Passphrase))
		if _, err := h.Operator().SetRoles(h.Context(), root, []string{"admin"}, harness.OriginOfTests); err != nil {
			h.Fatal(err)
		}
		h.Expect(403, "second_factor_enrolment_required", skipping(asked.Str("pending_token")))
		h.Expect(401, "second_factor_required", harness.Refreshing(living))
		if now := h.Expect(403, "second_factor_enrolment_required", harness.SignInAs(root, harness.Passphrase)); now.Str("may_skip_until") != "" {
			h.Errorf("an administrator may put it off: %s", now.Text)
		}
	}, "SECOND_FACTOR=*", "SECOND_FACTOR_GRACE_DAYS=3")
}

// Who has a factor skips nothing, of any number at once one sign-in ends, and where there is no such time nobody does.
func TestWhatCantBePutOff(t *testing.T) {
	h := harness.OpenAt(t, dbtest.Postgres(t), time.Now, harness.BehindProxy, "SECOND_FACTOR=editor", "SECOND_FACTOR_GRACE_DAYS=3")
	const ada = "ada@example.org"
	a := h.AddApp(&harness.Clock{}, ada)
	h.Expect(401, "sign_in_over", skipping(a.Pending()))
	const eve = "eve@example.org"
	h.Register(eve)
	if _, err := h.Operator().SetRoles(h.Context(), eve, []string{"editor"}, harness.OriginOfTests); err != nil {
		t.Fatal(err)
	}
	token := h.Expect(403, "second_factor_enrolment_required", harness.SignInAs(eve, harness.Passphrase)).Str("pending_token")
	if got := together(h, 16, func(int) harness.Request { return skipping(token) }); got["200 "] != 1 {
		t.Errorf("of 16 at once: %v", got)
	}
	h.Expect(400, "one_way", harness.Post("/v1/login/factor", map[string]any{"pending_token": token, "skip": true, "code": "123456", "recovery_code": "x"}))
}

// On the pages a first factor is added on the way in.
func TestThePageOfTheEnrolment(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		const ada = "ada@example.org"
		h.Register(ada)
		b := h.Browser()
		b.Page(200, "needs a second step", harness.Press("/login", harness.Body{"email": ada, "password": harness.Passphrase}))
		shown := b.Send(harness.Press("/login/enrol", harness.Body{"begin": "1"}))
		if shown.Status != 200 || !strings.Contains(shown.Text, "<svg") || !strings.Contains(shown.Text, "otpauth://totp/") {
			h.Fatalf("the secret: %d %s", shown.Status, shown.Text)
		}
		secret := regexp.MustCompile(`<code dir="ltr">([A-Z2-7 ]+)</code>`).FindStringSubmatch(shown.Text)
		a := &harness.App{Server: h, Email: ada, Clock: clock, Secret: strings.ReplaceAll(secret[1], " ", "")}
		mail := h.Mailbox().Last(ada, notice.FactorCode).Code
		b.Page(400, secret[1], harness.Press("/login/enrol", harness.Body{"code": a.WrongCode(), "mail_code": mail}))
		done := b.Send(harness.Press("/login/enrol", harness.Body{"code": a.Code(0), "mail_code": mail}))
		if n := len(regexp.MustCompile(`<li><code dir="ltr">`).FindAllString(done.Text, -1)); done.Status != 200 || n != 10 {
			h.Errorf("the recovery codes: %d, %d %s", n, done.Status, done.Text)
		}
		b.Page(200, ada, harness.Get("/account"))
	}, "SECOND_FACTOR=*")
}

// When the rule is new the start names the administrators whom it concerns, by their ids, and once they have a factor no more.
func TestTheStartNamesAdministratorsWithoutAFactor(t *testing.T) {
	url, clock, rule := dbtest.SQLite(t), &harness.Clock{}, "SECOND_FACTOR=admin"
	h := harness.OpenAt(t, url, clock.Now)
	a := &harness.App{Email: "root@example.org"}
	h.Register(a.Email)
	if _, err := h.Operator().SetRoles(t.Context(), a.Email, []string{"admin"}, harness.OriginOfTests); err != nil {
		t.Fatal(err)
	}
	id := h.Expect(200, "", harness.Get("/v1/me", h.Login(a.Email).Str("access_token"))).Str("id")
	named := func(settings ...string) bool {
		t.Helper()
		if err := h.Stop(); err != nil {
			t.Fatal(err)
		}
		h = harness.OpenAt(t, url, clock.Now, settings...)
		return strings.Contains(h.Logs.String(), `"accounts":"`+id+`","more":false`)
	}
	if named() {
		t.Error("there is no rule, and the start names somebody")
	}
	h.AppFor(clock, a.Email)
	if named(rule) {
		t.Error("an administrator who has a factor is named")
	}
	if err := h.Database().Write(t.Context(), func(tx *db.Tx) error { _, err := tx.Exec(`UPDATE account SET factors = 0`); return err }); err != nil {
		t.Fatal(err)
	}
	if !named(rule) {
		t.Errorf("an administrator without a factor is not named: %s", h.Logs.String())
	}
}
