package consents

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// Whoever puts the second factor off is asked to agree as well, by the API and on the pages, and is signed in then.
func TestGDPR2_PuttingOffAFactorAsksToo(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		h.Register(ada)
		waiting := h.Expect(403, "second_factor_enrolment_required", harness.SignInAs(ada, harness.Passphrase)).Str("pending_token")
		asked := h.Expect(403, "agreement_required", harness.Post("/v1/login/factor", map[string]any{"pending_token": waiting, "skip": true}))
		in := h.Expect(200, "", agreeing(asked.Str("pending_token"), map[string]int64{"terms": 1}))
		h.Expect(200, "", harness.Refreshing(in.Str("refresh_token")))

		publish(h, "terms", "The second terms.")
		b := h.Browser()
		b.Page(200, "put this off", harness.Press("/login", harness.Body{"email": ada, "password": harness.Passphrase}))
		b.Page(200, "agree-terms", harness.Press("/login/enrol", harness.Body{"later": "1"}))
		b.Page(200, ada, harness.Press("/login/agree", harness.Body{"agree-terms": "2"}))
	}, "SECOND_FACTOR=*", "SECOND_FACTOR_GRACE_DAYS=3")
}
