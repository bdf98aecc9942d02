package grant

import (
	"slices"
	"strings"
)

// The scopes (OpenID Connect Core sections 5.4 and 11). Groups are the roles under the name that some applications ask for.
const (
	OpenID  = "openid"
	Profile = "profile"
	Email   = "email"
	Roles   = "roles"
	Groups  = "groups"
	Offline = "offline_access"
)

// Scopes are all scopes, in the order in which people are shown them.
func Scopes() []string { return []string{OpenID, Profile, Email, Roles, Groups, Offline} }

// ParseScope returns the known ones of a list between spaces, each once, in the order of [Scopes]. Others are left out: the answer
// says what was granted (RFC 6749 section 3.3).
func ParseScope(text string) []string {
	asked := strings.Fields(text)
	return slices.DeleteFunc(Scopes(), func(known string) bool { return !slices.Contains(asked, known) })
}

// Has reports whether a scope is among those of a list between spaces.
func Has(scope, one string) bool { return slices.Contains(strings.Fields(scope), one) }

// Beyond returns those of a list that another does not have.
func Beyond(asked []string, given string) []string {
	return slices.DeleteFunc(slices.Clone(asked), func(s string) bool { return Has(given, s) })
}
