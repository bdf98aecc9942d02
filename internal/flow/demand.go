package flow

import (
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// Demand says whose accounts must have a second factor (SECOND_FACTOR).
type Demand struct {
	// All is for everybody, Roles for accounts that have any of these.
	All   bool
	Roles []string
	// AllKeys and KeyRoles are those among them for whom it must be a passkey.
	AllKeys  bool
	KeyRoles []string
	// Grace is for how long adding one can be put off, from the first sign-in under the rule on (SECOND_FACTOR_GRACE_DAYS).
	Grace time.Duration
}

// errFactorDemanded ends a session that its roles no longer allow. Clients answer a 401 by signing in
// again, which leads to the enrolment.
var errFactorDemanded = fault.New(fault.Unauthenticated, "second_factor_required",
	"This account must have a second factor by now. Please sign in again: you are led to adding one.")

// of reports whether an account with these roles must have one.
func (d Demand) of(roles []string) bool {
	return d.All || slices.ContainsFunc(roles, func(r string) bool { return slices.Contains(d.Roles, r) })
}

// key reports whether it must be a passkey.
func (d Demand) key(roles []string) bool {
	return d.AllKeys || slices.ContainsFunc(roles, func(r string) bool { return slices.Contains(d.KeyRoles, r) })
}

// forbids reports whether a session that has shown this may not have these roles: tokens carry
// roles, and applications believe them.
func (d Demand) forbids(roles, amr []string) bool {
	return d.of(roles) && !slices.Contains(amr, amrFactors) || d.key(roles) && !slices.Contains(amr, amrKey)
}
