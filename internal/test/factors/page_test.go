package factors

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

var (
	shownSecret = regexp.MustCompile(`<code dir="ltr">([A-Z2-7 ]+)</code>`)
	shownCode   = regexp.MustCompile(`<li><code dir="ltr">([A-Z2-9-]{29})</code>`)
	shownCSRF   = regexp.MustCompile(`name="csrf_token" value="([^"]+)"`)
)

// secretOf reads the secret of a page, as an app does that somebody types it into.
func secretOf(h *harness.Server, shown harness.Answer) string {
	h.Helper()
	found := shownSecret.FindStringSubmatch(shown.Text)
	if shown.Status != 200 || found == nil || !strings.Contains(shown.Text, "<svg") || !strings.Contains(shown.Text, "otpauth://totp/") {
		h.Fatalf("no secret: %d %s", shown.Status, shown.Text)
	}
	return strings.ReplaceAll(found[1], " ", "")
}

// codesOf reads the recovery codes of a page.
func codesOf(h *harness.Server, shown harness.Answer) (codes []string) {
	h.Helper()
	for _, m := range shownCode.FindAllStringSubmatch(shown.Text, -1) {
		codes = append(codes, m[1])
	}
	if shown.Status != 200 || len(codes) != 10 {
		h.Errorf("recovery codes: %v, %d %s", codes, shown.Status, shown.Text)
	}
	return codes
}

// A person adds an app on the page, makes recovery codes anew, takes another phone and removes it; each only with a fresh
// sign-in, and from a form of ours.
func TestThePageOfSomebodysFactors(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		const ada = "ada@example.org"
		h.Register(ada)
		b := h.Browser()
		if got := b.Send(harness.Get("/account/factors")); got.Header.Get("Location") != "/login?return_to=%2Faccount%2Ffactors" {
			h.Errorf("nobody: %d %s", got.Status, got.Header.Get("Location"))
		}
		b.Send(harness.Press("/login", harness.Body{"email": ada, "password": harness.Passphrase}))
		b.Page(200, "your password alone signs in", harness.Get("/account"))
		press := func(in harness.Body) harness.Answer {
			h.Helper()
			token := ""
			if m := shownCSRF.FindStringSubmatch(b.Send(harness.Get("/account/factors")).Text); m != nil {
				token = m[1]
			}
			return b.Send(harness.Press("/account/factors", in.With("csrf_token", token)))
		}
		if got := b.Send(harness.Press("/account/factors", harness.Body{"begin": "1"})); got.Status != 403 || strings.Contains(got.Text, "otpauth") {
			h.Errorf("without the token against forged requests: %d %s", got.Status, got.Text)
		}
		a := &harness.App{Server: h, Email: ada, Clock: clock, Secret: secretOf(h, press(harness.Body{"begin": "1"}))}
		mail := h.Mailbox().Last(ada, notice.FactorCode).Code
		again := press(harness.Body{"code": a.WrongCode(), "mail_code": mail})
		if again.Status != 400 || !strings.Contains(again.Text, "not the code that your app shows") {
			h.Errorf("a wrong code: %d %s", again.Status, again.Text)
		}
		codes := codesOf(h, press(harness.Body{"code": a.Code(0), "mail_code": mail}))
		file := b.Send(harness.Press("/account/recovery-codes", harness.Body{"codes": strings.Join(codes, " ") + " <script> " + codes[0] + "x"}))
		if !strings.HasPrefix(file.Header.Get("Content-Disposition"), "attachment") || strings.Count(file.Text, "-") != 50 || strings.Contains(file.Text, "<") {
			h.Errorf("the file: %v %q", file.Header, file.Text)
		}
		b.Page(200, "10 of 10 left", harness.Get("/account"))
		fresh := codesOf(h, press(harness.Body{"codes": "1"}))
		h.Expect(401, "invalid_recovery_code", harness.ShowRecovery(a.Pending(), codes[0]))
		h.Expect(200, "", harness.ShowRecovery(a.Pending(), fresh[0]))
		clock.Shift(16 * time.Minute)
		if got := b.Send(harness.Get("/account/factors")); got.Status != 303 || got.Header.Get("Location") != "/login?again=1&return_to=%2Faccount%2Ffactors" {
			h.Errorf("a sign-in that is too old: %d %s", got.Status, got.Header.Get("Location"))
		}
		b.Send(harness.Press("/login", harness.Body{"email": ada, "password": harness.Passphrase, "return_to": "/account/factors"}))
		if got := b.Send(harness.Press("/login/second", harness.Body{"code": a.Code(0)})); got.Header.Get("Location") != "/account/factors" {
			h.Errorf("after signing in again: %d %s", got.Status, got.Header.Get("Location"))
		}
		a.Secret = secretOf(h, press(harness.Body{"begin": "1"}))
		if got := press(harness.Body{"code": a.Code(0)}); got.Status != 303 || got.Header.Get("Location") != "/account?step=factor" {
			h.Errorf("another phone: %d %s", got.Status, got.Text)
		}
		token := shownCSRF.FindStringSubmatch(b.Send(harness.Get("/account")).Text)[1]
		b.Page(200, "The app and its recovery codes are removed", harness.Press("/account", harness.Body{"do": "factor-remove", "csrf_token": token}))
		h.Login(ada)
	})
}
