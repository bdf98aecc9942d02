package operate

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Administrate decides who may administer.
type Administrate struct {
	flow.Core
	// Networks are where administration is done from (ADMIN_NETWORKS); none is anywhere.
	Networks []netip.Prefix
}

// Need is what an administrator's call does, and so who may make it: the matrix is
// docs/authorization.md.
type Need int

const (
	// Reads is to see: the roles admin and support.
	Reads Need = iota
	// Helps is to help somebody, by ending sessions or sending a reset: both roles, with
	// a sign-in of late.
	Helps
	// Changes is all else: the role admin, with a sign-in of late.
	Changes
)

var (
	// ErrNotAdministrator is for who has not the role.
	ErrNotAdministrator = fault.New(fault.Denied, "not_administrator", "Only administrators can do this.")
	errSupport          = fault.New(fault.Denied, "not_administrator", "Only administrators can do this. The role support may view, end sessions and send resets.")
	errAdminNetwork     = fault.New(fault.Denied, "admin_network", "Administration is not open to your network.")
	errSignInAgain      = fault.New(fault.Denied, "sign_in_again",
		"To make changes, an administrator must have signed in within the last 15 minutes. Sign in again, and use the new token.")
)

// Do lets administrators through; for a change, only those who have signed in
// lately. The roles are the token's, which a change of roles ends.
func (f *Administrate) Do(who flow.Identity, need Need, from event.Origin) error {
	err := f.judge(who, need, from)
	if errors.Is(err, ErrNotAdministrator) {
		f.Tally.Add(event.SuspiciousActivity, "not_administrator", from)
	}
	return f.Count.End("administrate", err)
}

func (f *Administrate) judge(who flow.Identity, need Need, from event.Origin) error {
	admin, support := slices.Contains(who.Roles, account.Admin), slices.Contains(who.Roles, account.Support)
	switch {
	case !admin && !support:
		return ErrNotAdministrator
	case need == Changes && !admin:
		return errSupport
	case need != Reads && !f.Fresh(who):
		return errSignInAgain
	}
	return f.Network(from)
}

// Network refuses whoever is not in the networks that administration is done from.
func (f *Administrate) Network(from event.Origin) error {
	a := from.Address.Unmap().WithZone("")
	if len(f.Networks) == 0 || slices.ContainsFunc(f.Networks, func(n netip.Prefix) bool { return n.Contains(a) }) {
		return nil
	}
	f.Tally.Add(event.AccessDenied, "admin_network", from)
	return errAdminNetwork
}

// Fresh reports whether the sign-in is of late enough for a change.
func (f *Administrate) Fresh(who flow.Identity) bool {
	return f.Now().Sub(who.AuthAt) <= flow.FreshSignIn
}
