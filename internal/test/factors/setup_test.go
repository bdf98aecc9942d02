package factors

import (
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// setUp presses the button of the set-up page.
func setUp(b *harness.Browser, token, email, pass string) harness.Answer {
	return b.Send(harness.Press("/setup", harness.Body{"token": token, "email": email, "password": pass}))
}

// setUpToken is that of a new set-up link, or nothing.
func setUpToken(h *harness.Server) string {
	h.Helper()
	link, err := h.App.SetupLink(h.Context())
	if err != nil {
		h.Fatal(err)
	}
	_, token, _ := strings.Cut(link, "/setup#")
	return token
}

// The set-up link leads on to the enrolment, with no code by mail, and works until that is done: who breaks it off comes again.
func TestTheSetUpLeadsOnToAFactor(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		const root = "root@example.org"
		token, b := setUpToken(h), h.Browser()
		if got := setUp(b, token, root, harness.Passphrase); got.Header.Get("Location") != "/login/enrol" {
			h.Fatalf("the set-up: %d %s", got.Status, got.Text)
		}
		if n := h.Count(`SELECT COUNT(*) FROM account WHERE roles <> '[]'`) + h.Count(`SELECT COUNT(*) FROM session`); n != 0 {
			h.Errorf("%d accounts have a role, or sessions", n)
		}
		again := h.Browser()
		if got := setUp(again, token, root, "another, quite wrong one"); got.Status != 400 || !strings.Contains(got.Text, "can’t be used") {
			h.Errorf("another password: %d %s", got.Status, got.Text)
		}
		if got := setUp(again, token, root, harness.Passphrase); got.Header.Get("Location") != "/login/enrol" {
			h.Fatalf("the set-up once more: %d %s", got.Status, got.Text)
		}
		if page := again.Send(harness.Get("/login/enrol")); strings.Contains(page.Text, "email me") || !strings.Contains(page.Text, "Show the secret") {
			h.Errorf("the page asks for a mailed code: %s", page.Text)
		}
		shown := again.Send(harness.Press("/login/enrol", harness.Body{"begin": "1"}))
		a := &harness.App{Server: h, Email: root, Clock: clock, Secret: secretOf(h, shown)}
		if strings.Contains(shown.Text, "mail_code") || len(h.Mailbox().All(root)) != 0 {
			h.Errorf("a mailed code is asked for: %s", shown.Text)
		}
		codesOf(h, again.Send(harness.Press("/login/enrol", harness.Body{"code": a.Code(0)})))
		again.Page(200, "", harness.Get("/admin"))
		if got := setUp(h.Browser(), token, "eve@example.org", harness.Passphrase); got.Status != 403 {
			h.Errorf("the link after it was used: %d", got.Status)
		}
		if more := setUpToken(h); more != "" {
			h.Error("there is another link")
		}
		// The first browser's sign-in is over.
		b.Page(401, "", harness.Press("/login/enrol", harness.Body{"begin": "1"}))
		h.Expect(403, "second_factor_required", harness.SignInAs(root, harness.Passphrase))
	}, "SECOND_FACTOR=admin,support")
}

// Sixteen set-ups at once that are all but done: one becomes the administrator.
func TestOfSixteenSetUpsOneIsDone(t *testing.T) {
	clock := &harness.Clock{}
	h := harness.OpenAt(t, dbtest.Postgres(t), clock.Now, harness.BehindProxy, "SECOND_FACTOR=admin")
	token := setUpToken(h)
	type setup struct {
		b *harness.Browser
		a *harness.App
	}
	var all []setup
	for i := range 16 {
		email, b := string(rune('a'+i))+"@example.org", h.Browser()
		setUp(b, token, email, harness.Passphrase)
		all = append(all, setup{b, &harness.App{Server: h, Email: email, Clock: clock,
			Secret: secretOf(h, b.Send(harness.Press("/login/enrol", harness.Body{"begin": "1"})))}})
	}
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		done int
	)
	for _, s := range all {
		wg.Go(func() {
			got := s.b.Send(harness.Press("/login/enrol", harness.Body{"code": s.a.Code(0)}))
			mu.Lock()
			defer mu.Unlock()
			if got.Status == 200 {
				done++
			} else if got.Status != 403 {
				t.Errorf("%d %s", got.Status, got.Text)
			}
		})
	}
	wg.Wait()
	if n := h.Count(`SELECT COUNT(*) FROM account WHERE roles LIKE '%admin%'`); done != 1 || n != 1 || h.Count(`SELECT COUNT(*) FROM totp`) != 1 {
		t.Errorf("%d were done, and there are %d administrators", done, n)
	}
}

// Where no mail can be sent, an operator's invitation stands in for the code: once, for its account alone, until the password changes.
func TestAnInvitationStandsInForTheMailedCode(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		const ada, eve = "ada@example.org", "eve@example.org"
		o := h.Operator()
		o.Now = clock.Now
		invite := func(email string) string {
			h.Helper()
			_, token, err := o.InviteFactor(h.Context(), email, harness.OriginOfTests)
			if err != nil {
				h.Fatal(err)
			}
			return token
		}
		h.Register(ada)
		h.Register(eve)
		access := h.Login(ada).Str("access_token")
		a := &harness.App{Server: h, Email: ada, Clock: clock, Secret: h.Expect(200, "", harness.Post("/v1/factors/totp", nil, access)).Str("secret")}
		confirm := func(token string) harness.Request {
			return harness.Post("/v1/factors/totp/confirm", harness.Body{"code": a.Code(0), "mail_code": token}, access)
		}
		h.Expect(400, "invalid_mail_code", confirm(invite(eve)))
		before := invite(ada)
		h.Expect(204, "", changing(harness.Passphrase, harness.AnotherPassphrase, access))
		h.Expect(400, "invalid_mail_code", confirm(before))
		good := invite(ada)
		// It opens nothing else.
		h.Expect(400, "invalid_link", harness.Post("/v1/password/reset", harness.Body{"token": good, "new_password": harness.Passphrase}))
		h.Expect(200, "", confirm(good))
		if _, _, err := o.InviteFactor(h.Context(), ada, harness.OriginOfTests); err == nil {
			h.Error("who has a factor was invited")
		}
	})
}
