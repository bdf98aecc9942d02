package consents

import (
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// Without script: whoever registers ticks the box; who has not agreed is asked on the way in, in any tab; and the account
// shows what was agreed to, and takes it back.
func TestGDPR2_ThePages(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		b := h.Browser()
		b.Page(200, `name="agree-terms" value="1"`, harness.Get("/register"))
		registering := harness.Body{"email": ada, "new_password": harness.Passphrase}
		for _, not := range []string{"", "x", "0"} {
			b.Page(400, "Please tick each box", harness.Press("/register", registering.With("agree-terms", not)))
		}
		b.Page(409, "has a new version", harness.Press("/register", registering.With("agree-terms", "2")))
		b.Send(harness.Press("/register", registering.With("agree-terms", "1")))
		in := harness.Body{"email": ada, "password": harness.Passphrase}
		b.Page(200, ada, harness.Press("/login", in))

		publish(h, "terms", "The second terms.")
		one, other := h.Browser(), h.Browser()
		one.Page(200, "Before you go on", harness.Press("/login", in))
		one.Page(409, `value="2" required>`, harness.Press("/login/agree", harness.Body{"agree-terms": "1"}))
		one.Page(409, "has a new version", harness.Press("/login/agree", harness.Body{}))
		other.Page(200, "No sign-in is waiting", harness.Get("/login/agree"))
		one.Page(200, ada, harness.Press("/login/agree", harness.Body{"agree-terms": "2"}))
		one.Page(200, ada, harness.Press("/login/agree", harness.Body{"agree-terms": "2"})) // pressed twice, or in the other tab
		other.Page(401, "No sign-in is waiting", harness.Press("/login/agree", harness.Body{"agree-terms": "2"}))

		shown := one.Send(harness.Get("/account"))
		for _, want := range []string{"The newsletter", "Terms of use", "Privacy policy", "/terms?version=1", "Terms of use, version 1"} {
			if !strings.Contains(shown.Text, want) {
				h.Errorf("the account does not show %q", want)
			}
		}
		do := func(status int, words, what string, more harness.Body) {
			h.Helper()
			more = more.With("do", what).With("csrf_token", one.Csrf().Get("X-CSRF-Token"))
			one.Page(status, words, harness.Press("/account", more))
		}
		do(200, "Your consent is recorded", "consent-give", harness.Body{"document": "news", "version": "1"})
		do(409, "has a new version", "consent-give", harness.Body{"document": "news", "version": "2"})
		do(400, "can’t be read", "consent-give", harness.Body{"document": "../x", "version": "1"})
		do(200, "Your consent is withdrawn", "consent-withdraw", harness.Body{"document": "news"})
		do(200, "Sign in", "consent-withdraw", harness.Body{"document": "terms"})
		one.Page(200, "Before you go on", harness.Press("/login", in))
	})
}
