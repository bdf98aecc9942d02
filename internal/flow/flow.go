// Package flow is what Gatehouse does, one file a use case; its list of files
// is the table of contents of the product. Here is what people do, and what all flows share:
// [Core], the counted outcomes, the guard against guessing, mails. What applications ask is in
// application, and what the operator and administrators do in operate.
//
// A flow owns the transaction: it checks its input, does what is slow with no
// transaction open, then makes the whole change, and the events that tell of
// it, in one [db.DB.Write]. An outcome that must last although the request
// fails, such as a session ended because a stolen token was used, is committed
// first and turned into a fault afterwards.
package flow

import (
	"encoding/base64"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockdown"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
)

// Core is what flows have in common, so that the struct of each says what is special
// about it.
type Core struct {
	DB     *db.DB
	Events *event.Log
	Tally  *event.Tally // of events that are too many to be written one by one
	Count  Count
	Now    func() time.Time
	// Lockdown is what is closed to people for now; nil, as commands have it, closes nothing.
	Lockdown *lockdown.State
}

// Tokens is what a client holds after a sign-in or a refresh.
type Tokens struct {
	Session        string
	Access         string
	AccessExpires  time.Duration // from now
	Refresh        string
	RefreshExpires time.Duration // from now, if it is not used
	SessionExpires time.Duration // from now, however much it is used
}

// Identity is who makes a request, as far as a good access token of a living
// session tells.
type Identity struct {
	Account string
	Session string
	Roles   []string
	// AuthAt is when the sign-in ended, and AMR what it has shown (RFC 8176).
	AuthAt time.Time
	AMR    []string
}

// ByOperator is the By of the events of who runs the server.
const ByOperator = "operator"

// By is the By of an event: what an administrator's role is, or the operator where there
// is no identity.
func (who Identity) By() string {
	switch {
	case who.Account == "":
		return ByOperator
	case !slices.Contains(who.Roles, account.Admin) && slices.Contains(who.Roles, account.Support):
		return account.Support
	}
	return "administrator"
}

// FreshSignIn is how long ago somebody may have signed in for a change that guards an
// account, and an administrator for any: a session that was left open, or stolen, is no key to everything.
const FreshSignIn = 15 * time.Minute

// The faults that several flows share.
var (
	// ErrInvalidCredentials doesn't say which of the two is wrong.
	ErrInvalidCredentials = fault.New(fault.Unauthenticated, "invalid_credentials",
		"The email address or password is wrong, or the address is not verified yet.")
	// ErrLastAdmin is for a change that would leave nobody who administers.
	ErrLastAdmin = fault.New(fault.Conflict, "last_administrator",
		"This is the last account with the role admin that can sign in. Give the role to another one first.")
	// ErrInvalidRefresh is one answer for all refresh tokens that don't work.
	ErrInvalidRefresh = fault.New(fault.Unauthenticated, "invalid_refresh_token",
		"The refresh token is invalid or has expired. Please sign in again.")
)

func Required(field string) error {
	return fault.Field(field, "required", "This field is required.")
}

// issue signs the access token for a grant. It ends with the session at the
// latest (ASVS 7.3.2): whoever was signed in for as long as a session may live is
// out at that moment, and not a token's life later.
func issue(issuer *token.Issuer, g session.Grant, now time.Time) (Tokens, error) {
	access, err := issuer.Issue(token.Subject{
		Account: g.Account, Session: g.Session, Roles: g.Roles, AMR: g.AMR, AuthAt: g.AuthAt, Until: g.RefreshUntil,
	}, now)
	if err != nil {
		return Tokens{}, err
	}
	return Tokens{
		Access: access, AccessExpires: min(issuer.Life(), g.RefreshUntil.Sub(now)),
		Refresh: g.Refresh, RefreshExpires: g.RefreshUntil.Sub(now), SessionExpires: g.SessionUntil.Sub(now), Session: g.Session,
	}, nil
}

// EndAll ends the account's sessions but the one to keep, with all that applications were granted, and records each, and returns how many
// they were. why is the row's; the detail is the events'.
func (c *Core) EndAll(tx *db.Tx, revoked *token.Revocations, id, keep, why string, detail event.Detail, from event.Origin) (int, error) {
	ended, err := session.EndAll(tx, id, keep, why, c.Now())
	for _, s := range ended {
		revoked.EndSession(tx, s)
		c.Events.Append(tx, event.Event{
			Kind: event.SessionRevoked, Outcome: event.Success, Account: id, Session: s, Origin: from, Detail: detail,
		})
	}
	if err != nil {
		return 0, err
	}
	return len(ended), endGrants(tx, revoked, id, keep, why, c.Now())
}

// addressHash is how an e-mail address stands in an event: a keyed hash, which
// tells tries at one address from tries at many and can't be guessed backwards.
func addressHash(pseudonym []byte, addressKey string) string {
	return base64.RawURLEncoding.EncodeToString(secret.MAC(pseudonym, []byte("event/address"), []byte(addressKey))[:12])
}
