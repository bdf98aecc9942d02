package factors

import (
	"regexp"
	"slices"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// ran returns the statements that were run since the last call.
func ran(wire *dbtest.Wire) (list []string) {
	for _, s := range wire.Spoken("") {
		list = append(list, s.Statements...)
	}
	wire.Forget()
	return list
}

// A sign-in without factors costs no statement more than before there were any: none is about them. With one, the
// same test sees them.
func TestASignInWithoutFactorsAsksForNone(t *testing.T) {
	ofFactors := regexp.MustCompile(`\b(pending|totp|totp_offer|recovery_code|passkey|challenge_spent|factor_reset)\b`)
	wire, clock := dbtest.NewWire(t, dbtest.Postgres(t)), &harness.Clock{}
	h := harness.OpenAt(t, wire.URL(), clock.Now, harness.BehindProxy)
	h.Register("ada@example.org")
	a := h.AddApp(clock, "eve@example.org")
	h.Settled()
	wire.Forget()
	h.Login("ada@example.org")
	heard := ran(wire)
	if !slices.ContainsFunc(heard, func(s string) bool { return regexp.MustCompile(`INSERT INTO session`).MatchString(s) }) {
		t.Fatalf("the sign-in was not heard: %q", heard)
	}
	for _, s := range heard {
		if ofFactors.MatchString(s) {
			t.Errorf("a sign-in without factors runs %q", s)
		}
	}
	a.Pending()
	if !slices.ContainsFunc(ran(wire), ofFactors.MatchString) {
		t.Error("one with a factor was not heard")
	}
}
