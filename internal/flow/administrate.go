package flow

import (
	"errors"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

// Administrate decides who may administer.
type Administrate struct {
	Core
}

// freshSignIn is how long ago an administrator's password may have been given for a
// change: a session that was left open, or stolen, is no key to everything.
const freshSignIn = 15 * time.Minute

var (
	errNotAdministrator = fault.New(fault.Denied, "not_administrator", "This is for administrators.")
	errSignInAgain      = fault.New(fault.Denied, "sign_in_again",
		"An administrator's changes need a sign-in within the last 15 minutes. Sign in again, and use the new token.")
)

// Do lets administrators through; for a change, only those who have signed in
// lately. The roles are the token's, which a change of roles ends.
func (f *Administrate) Do(who Identity, change bool, from event.Origin) error {
	err := f.judge(who, change)
	if errors.Is(err, errNotAdministrator) {
		f.Tally.Add(event.SuspiciousActivity, "not_administrator", from)
	}
	return f.Count.end("administrate", err)
}

func (f *Administrate) judge(who Identity, change bool) error {
	if !slices.Contains(who.Roles, account.Admin) {
		return errNotAdministrator
	}
	if change && f.Now().Sub(who.AuthAt) > freshSignIn {
		return errSignInAgain
	}
	return nil
}

// By is the By of an event: an administrator's, or the operator's where there is
// no identity.
func (who Identity) By() string {
	if who.Account == "" {
		return operator
	}
	return "administrator"
}
