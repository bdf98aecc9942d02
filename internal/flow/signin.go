package flow

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/account"
	"github.com/gatehouse-auth/gatehouse/internal/db"
	"github.com/gatehouse-auth/gatehouse/internal/event"
	"github.com/gatehouse-auth/gatehouse/internal/fault"
	"github.com/gatehouse-auth/gatehouse/internal/password"
	"github.com/gatehouse-auth/gatehouse/internal/session"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// SignIn trades an e-mail address and a password for a session.
//
// An unknown address, a wrong password, and an address that has yet to be
// verified are one answer, and cost the same work: one read, one hash, one
// event. If an unverified one had an answer of its own, anyone could register
// an address and learn from signing in whether it had an account before.
type SignIn struct {
	DB        *db.DB
	Hasher    *password.Hasher
	Sessions  *session.Store
	Tokens    *token.Issuer
	Revoked   *token.Revocations
	Events    *event.Log
	Pseudonym []byte // the key of the addresses' hashes in events
	// RequireVerified refuses accounts whose address is not verified.
	RequireVerified bool
	Count           Count
	Now             func() time.Time
}

// Credentials is what somebody signs in with.
type Credentials struct{ Email, Password string }

// ErrAccountDisabled is told only to whoever knows the password.
var ErrAccountDisabled = fault.New(fault.Denied, "account_disabled", "This account is disabled. Please ask those who run this service.")

// Do signs in. The faults are ErrInvalidCredentials, ErrAccountDisabled, invalid
// input, and those of a server that has too much to do.
func (f *SignIn) Do(ctx context.Context, in Credentials, from event.Origin) (Tokens, error) {
	t, err := f.do(ctx, in, from)
	return t, f.Count.end("sign_in", err)
}

func (f *SignIn) do(ctx context.Context, in Credentials, from event.Origin) (Tokens, error) {
	if in.Email == "" {
		return Tokens{}, required("email")
	}
	if in.Password == "" {
		return Tokens{}, required("password")
	}
	address, err := account.ParseAddress("email", in.Email)
	if err != nil {
		return Tokens{}, err
	}
	now := f.Now()
	// The account may change while we hash: another sign-in upgrades its hash, or
	// somebody disables it. Then the second look decides.
	var who account.Credentials
	for range 2 {
		var match password.Result
		if who, match, err = f.compare(ctx, address, in.Password); err != nil {
			return Tokens{}, err
		}
		if why, reason := f.refusal(who, match); why != nil {
			return Tokens{}, f.fail(ctx, who.ID, address, why, reason, from)
		}
		grant, err := f.begin(ctx, who, f.upgrade(ctx, who.ID, match, in.Password), from, now)
		if err == nil {
			return issue(f.Tokens, grant, now)
		}
		if !errors.Is(err, account.ErrNotFound) {
			return Tokens{}, err
		}
	}
	return Tokens{}, f.fail(ctx, who.ID, address, ErrInvalidCredentials, "changed_meanwhile", from)
}

// upgrade returns a new hash where the old one is not as it would be made today,
// or nothing: if there is no room in the pool for it now, there will be another
// time.
func (f *SignIn) upgrade(ctx context.Context, accountID string, match password.Result, pass string) string {
	if !match.Upgrade {
		return ""
	}
	hash, err := f.Hasher.Hash(ctx, accountID, pass)
	if err != nil {
		return ""
	}
	return hash
}

// compare looks the account up and does the work of one comparison, whether or
// not there is one.
func (f *SignIn) compare(ctx context.Context, address account.Address, pass string) (who account.Credentials, match password.Result, err error) {
	err = f.DB.Read(ctx, func(tx *db.Tx) (err error) {
		who, err = account.ByAddress(tx, address)
		return err
	})
	if errors.Is(err, account.ErrNotFound) {
		return account.Credentials{}, password.Result{}, f.Hasher.VerifyNobody(ctx, pass)
	}
	if err != nil {
		return who, match, err
	}
	match, err = f.Hasher.Verify(ctx, who.ID, who.Hash, pass)
	return who, match, err
}

// refusal is the fault for the client and the reason for the event, or nil.
func (f *SignIn) refusal(who account.Credentials, match password.Result) (why *fault.Error, because reason) {
	switch {
	case who.ID == "":
		return ErrInvalidCredentials, "unknown_account"
	case !match.OK:
		return ErrInvalidCredentials, "wrong_password"
	case who.Disabled:
		return ErrAccountDisabled, "account_disabled"
	case f.RequireVerified && !who.Verified:
		return ErrInvalidCredentials, "email_unverified"
	}
	return nil, ""
}

// fail records the failure and returns the fault.
func (f *SignIn) fail(ctx context.Context, accountID string, a account.Address, why *fault.Error, because reason, from event.Origin) error {
	err := f.DB.Write(ctx, func(tx *db.Tx) error {
		f.Events.Append(tx, event.Event{
			Kind: event.FailedLogin, Outcome: event.Failure, Account: accountID, Origin: from,
			Detail: event.Detail{Reason: string(because), Address: addressHash(f.Pseudonym, a.Key)},
		})
		return nil
	})
	if err != nil {
		return err
	}
	return why.Because(because)
}

func (f *SignIn) begin(ctx context.Context, who account.Credentials, upgraded string, from event.Origin, now time.Time) (grant session.Grant, err error) {
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		roles, err := account.SignedIn(tx, who.ID, who.Hash, upgraded, now)
		if err != nil {
			return err
		}
		ended, err := f.Sessions.EndOldest(tx, who.ID, now)
		if err != nil {
			return err
		}
		for _, id := range ended {
			f.Revoked.EndSession(tx, id)
			f.Events.Append(tx, event.Event{
				Kind: event.SessionRevoked, Outcome: event.Success, Account: who.ID, Session: id, Origin: from,
				Detail: event.Detail{Reason: session.WhyTooMany},
			})
		}
		start := session.Start{Account: who.ID, Roles: roles, AMR: []string{"pwd"}, UserAgent: from.UserAgent}
		if from.Address.IsValid() {
			start.Address = from.Address.String()
		}
		grant = f.Sessions.Begin(tx, start, now)
		f.Events.Append(tx, event.Event{
			Kind: event.Login, Outcome: event.Success, Account: who.ID, Session: grant.Session, Origin: from,
		})
		return nil
	})
	return grant, err
}
