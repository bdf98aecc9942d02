package account

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// Admin is the role that may use the administration.
const Admin = "admin"

// Support is the role that helps people: it sees what administrators see, ends
// sessions and sends resets.
const Support = "support"

// maxRoles bounds what an access token has to carry.
const maxRoles = 32

var roleName = regexp.MustCompile(`^[a-z][a-z0-9_:.-]{0,63}$`)

// ParseRoles checks the names of roles and returns them sorted, each once. An
// error is a fault with code invalid_role.
func ParseRoles(roles []string) ([]string, error) {
	for _, r := range roles {
		if !roleName.MatchString(r) {
			return nil, fault.Field("roles", "invalid_role",
				"A role is a lower-case letter and up to 63 more letters, digits and _ : . - after it, which %q is not.", r)
		}
	}
	roles = slices.Compact(slices.Sorted(slices.Values(roles)))
	if len(roles) > maxRoles {
		return nil, fault.Field("roles", "invalid_role", "An account has at most %d roles.", maxRoles)
	}
	return roles, nil
}

// DecodeRoles reads the roles from a column.
func DecodeRoles(s string) ([]string, error) {
	var roles []string
	if err := json.Unmarshal([]byte(s), &roles); err != nil {
		return nil, fmt.Errorf("the roles in the database are no JSON list: %w", err)
	}
	if roles == nil {
		return nil, errors.New("the roles in the database are null, which is no list")
	}
	return roles, nil
}
