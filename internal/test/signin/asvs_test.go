package signin_test

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// Words of the operator's own make no password, however they are written, and hinder
// no password that has more than them.
func TestASVS_V6_1_2_WordsOfTheOperator(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), "PASSWORD_CONTEXT_WORDS=Acme, Rocket Skates")
	register := func(password string) harness.Request {
		return harness.Request{Method: "POST", Path: "/v1/register", Body: harness.Credentials{Email: "ada@example.org", Password: password}}
	}
	for _, password := range []string{"RocketSkates2026!", "acme-acme-acme-acme", "r0cket sk4tes 2026", "Acme Rocket Skates 1!"} {
		h.Expect(400, "password_personal", register(password))
	}
	h.Expect(202, "", register("acme sells the best umbrellas in town"))
}
