package verify

import "testing"

// The token of an application that may not know the roles has none, and no change of them ends it.
func TestATokenWithoutRolesHasNone(t *testing.T) {
	c := &claims{subject: "ada"}
	r := newRevoked()
	r.roles["ada"] = rolesNow{roles: []string{"admin"}, n: 1}
	if r.dead(c) {
		t.Error("a change of roles ends it")
	}
	c.roles = []string{}
	if !r.dead(c) {
		t.Error("a token that says that there are none goes on")
	}
	if c.token().HasRole("admin") {
		t.Error("it has a role")
	}
}
