package flow

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
)

// EndSession ends what a session has given that ends in this transaction: its access tokens, and what applications were granted
// under it; and it queues the notices that tell them. Whoever sets a session's end calls it, save where the same person signs in again
// in its place ([session.Replace]).
func EndSession(tx *db.Tx, revoked *token.Revocations, id string, now time.Time) error {
	return endSession(tx, revoked, id, false, now)
}

// RevokeSession is [EndSession] for a session that an operator ends, since it may be a thief's: it ends what was granted to go on without
// the session too.
func RevokeSession(tx *db.Tx, revoked *token.Revocations, id string, now time.Time) error {
	return endSession(tx, revoked, id, true, now)
}

// RevokeGiven ends what was granted by a sign-in whose session has ended already: the session in its place, under the same name for
// applications, goes on.
func RevokeGiven(tx *db.Tx, revoked *token.Revocations, id string, authAt, now time.Time) error {
	sid, err := session.SIDOf(tx, id)
	if err != nil || sid == "" {
		return err
	}
	ended, err := grant.EndGiven(tx, sid, authAt, now)
	if err := EndGrants(tx, revoked, ended, err); err != nil {
		return err
	}
	return grant.CheckNow(tx, sid, now) // its time may have run out, and applications only have waited for the end of what they had
}

// TellEnded queues the notices for the applications that a session was signed in to, for who ends sessions whose tokens and grants
// another statement ends.
func TellEnded(tx *db.Tx, id string, now time.Time) error {
	sid, err := session.SIDOf(tx, id)
	if err != nil || sid == "" {
		return err
	}
	return grant.Tell(tx, sid, now)
}

func endSession(tx *db.Tx, revoked *token.Revocations, id string, offline bool, now time.Time) error {
	revoked.EndSession(tx, id)
	sid, err := session.SIDOf(tx, id)
	if err != nil || sid == "" {
		return err
	}
	ended, err := grant.EndSession(tx, sid, offline, now)
	if err := EndGrants(tx, revoked, ended, err); err != nil {
		return err
	}
	return grant.Tell(tx, sid, now)
}

// endGrants ends what applications were granted by an account, those included that outlive its sessions, and tells them. What stands
// under the session to keep stays, if that is not empty.
func endGrants(tx *db.Tx, revoked *token.Revocations, account, keep, why string, now time.Time) error {
	sid := ""
	if keep != "" {
		var err error
		if sid, err = session.SIDOf(tx, keep); err != nil {
			return err
		}
	}
	ended, err := grant.EndAccount(tx, account, sid, why, now)
	if err := EndGrants(tx, revoked, ended, err); err != nil {
		return err
	}
	return grant.TellAccount(tx, account, sid, now)
}

// EndGrants ends the access tokens of grants that this transaction has ended, as the statement that did returns them: these name the
// grant where a session's name that.
func EndGrants(tx *db.Tx, revoked *token.Revocations, ids []string, err error) error {
	for _, id := range ids {
		revoked.EndSession(tx, id)
	}
	return err
}
