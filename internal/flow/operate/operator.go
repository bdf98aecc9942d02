package operate

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Operator is what those who run the server do to accounts and sessions from
// the command line. Accounts are named by their id or their address.
type Operator struct {
	flow.Core
	Accounts *flow.NewAccounts
	Revoked  *token.Revocations
	// Notices opens what mails are queued with, for the commands that tell somebody
	// something: it needs JWT_SECRET_KEY.
	Notices func(context.Context) (*flow.Notices, error)
	// EmailLinks opens what links in mails are made with, as far as a command needs it.
	EmailLinks func(context.Context) (*flow.EmailLinks, error)
	// Production is whether a password that an operator chooses must be replaced before
	// the first sign-in: in production.
	Production bool
	// Reserved are the audiences of other tokens than resources', and their issuer.
	Reserved []string
	// Console is the origin that the console has to itself (ADMIN_URL), where no application is; empty for none.
	Console string
	// Seal seals the event log as far as it is committed.
	Seal func(context.Context) error
	// SignsID makes the key for ID tokens of an algorithm, if there is none yet.
	SignsID func(ctx context.Context, algorithm string) error
	// Lockout opens what counts tries at passwords.
	Lockout func(context.Context) (*lockout.Store, error)
	// Sealing opens what factors are sealed with.
	Sealing func(context.Context) (Sealing, error)

	// FactorResetWait is how long a reset of second factors waits.
	FactorResetWait time.Duration
	// ErasureGrace is how long an account stays that is to be erased.
	ErasureGrace time.Duration

	// SecondApproves is whether the gravest actions wait for a second person, so that they are ordered in an incident: see
	// [ErrApproval].
	SecondApproves bool

	// acting is on whose behalf: see [Operator.As]; shown what they were shown: see [Operator.Over].
	acting Acting
	shown  string
}

// CreateUser makes an account whose address counts as verified, since the
// operator vouches for it.
func (f *Operator) CreateUser(ctx context.Context, in flow.Credentials, roles []string, from event.Origin) (account.Account, error) {
	roles, err := account.ParseRoles(roles)
	if err != nil {
		return account.Account{}, err
	}
	n, now, err := f.Accounts.Prepare(ctx, in)
	if err != nil {
		return account.Account{}, err
	}
	n.Roles, n.Verified, n.MustReset = roles, true, f.Production
	var made account.Account
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		if err := f.free(tx, n, now); err != nil {
			return err
		}
		f.Events.Append(tx, event.Event{
			Kind: event.AccountRegistered, Outcome: event.Success, Account: n.ID, Origin: from, Detail: event.Detail{By: f.by(), Actor: f.actor()},
		})
		if len(roles) > 0 {
			if err := f.gaveRoles(tx, n.ID, roles, now, from); err != nil {
				return err
			}
		}
		made, err = account.ByID(tx, n.ID)
		return err
	})
	return made, err
}

// User returns one account.
func (f *Operator) User(ctx context.Context, user string) (a account.Account, err error) {
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		a, err = account.Find(tx, user)
		return err
	})
	return a, err
}

// Users returns up to limit accounts, from the one after the given id on.
func (f *Operator) Users(ctx context.Context, after string, limit int) (list []account.Account, err error) {
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		list, err = account.List(tx, after, limit)
		return err
	})
	return list, err
}

// Disable disables an account and ends its sessions, and returns how many they
// were.
func (f *Operator) Disable(ctx context.Context, user string, from event.Origin) (ended int, err error) {
	tell, err := f.Notices(ctx)
	if err != nil {
		return 0, err
	}
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		_, ended, err = f.DisableIn(tx, tell, user, from)
		return err
	})
	return ended, err
}

// DisableIn is [Operator.Disable] within a transaction. It reports whether the account was not disabled before.
func (f *Operator) DisableIn(tx *db.Tx, tell *flow.Notices, user string, from event.Origin) (changed bool, ended int, err error) {
	a, err := account.Find(tx, user)
	if err == nil {
		err = f.mayAct(tx, a, nil)
	}
	if err != nil {
		return false, 0, err
	}
	// The account first: a sign-in that comes now waits for its row, and finds
	// it disabled.
	if changed, err = account.SetDisabled(tx, a.ID, true, f.Now()); err != nil {
		return false, 0, err
	}
	if changed {
		f.Events.Append(tx, event.Event{
			Kind: event.AccountDisabled, Outcome: event.Success, Account: a.ID, Origin: from, Detail: event.Detail{By: f.by(), Actor: f.actor()},
		})
		if err := tell.ByOperator(tx, notice.AccountDisabled, a); err != nil {
			return false, 0, err
		}
	}
	if ended, err = f.endAll(tx, a.ID, session.WhyDisabled, from); err == nil {
		f.acted(tx, ActDisable, event.Event{Account: a.ID, Origin: from, Detail: event.Detail{Count: int64(ended)}})
	}
	return changed, ended, err
}

// Enable lets a disabled account sign in again.
func (f *Operator) Enable(ctx context.Context, user string, from event.Origin) error {
	tell, err := f.Notices(ctx)
	if err != nil {
		return err
	}
	return f.DB.Write(ctx, func(tx *db.Tx) error { return f.EnableIn(tx, tell, user, from) })
}

// EnableIn is [Operator.Enable] within a transaction.
func (f *Operator) EnableIn(tx *db.Tx, tell *flow.Notices, user string, from event.Origin) error {
	a, err := account.Find(tx, user)
	if err != nil {
		return err
	}
	changed, err := account.SetDisabled(tx, a.ID, false, f.Now())
	if err != nil || !changed {
		return err
	}
	f.Events.Append(tx, event.Event{
		Kind: event.AccountEnabled, Outcome: event.Success, Account: a.ID, Origin: from, Detail: event.Detail{By: f.by(), Actor: f.actor()},
	})
	f.acted(tx, ActEnable, event.Event{Account: a.ID, Origin: from})
	return tell.ByOperator(tx, notice.AccountEnabled, a)
}

// Tries returns how many wrong passwords are counted for an account.
func (f *Operator) Tries(ctx context.Context, user string) (a account.Account, st lockout.State, err error) {
	store, err := f.Lockout(ctx)
	if err != nil {
		return a, st, err
	}
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		if a, err = account.Find(tx, user); err != nil {
			return err
		}
		address, err := account.ParseAddress("email", a.Email)
		if err != nil {
			return err
		}
		st, err = store.StateOf(tx, address.Key, f.Now())
		return err
	})
	return a, st, err
}

// Unlock forgets the wrong passwords that were tried at an account: whoever has
// to wait, or is locked out, can try again.
func (f *Operator) Unlock(ctx context.Context, user string, from event.Origin) error {
	store, err := f.Lockout(ctx)
	if err != nil {
		return err
	}
	return f.DB.Write(ctx, func(tx *db.Tx) error {
		a, err := account.Find(tx, user)
		if err != nil {
			return err
		}
		address, err := account.ParseAddress("email", a.Email)
		if err != nil {
			return err
		}
		f.Events.Append(tx, event.Event{
			Kind: event.AccountUnlocked, Outcome: event.Success, Account: a.ID, Origin: from, Detail: event.Detail{By: f.by(), Actor: f.actor()},
		})
		f.acted(tx, ActUnlock, event.Event{Account: a.ID, Origin: from})
		if err := store.Clear(tx, address.Key); err != nil {
			return err
		}
		return store.ClearCodes(tx, a.ID)
	})
}

// Verify marks an account's address as verified, where the operator knows it is.
func (f *Operator) Verify(ctx context.Context, user string, from event.Origin) error {
	return f.DB.Write(ctx, func(tx *db.Tx) error {
		a, err := account.Find(tx, user)
		if err != nil {
			return err
		}
		changed, err := account.SetVerified(tx, a.ID, f.Now())
		if err == nil && changed {
			f.acted(tx, ActVerify, event.Event{Account: a.ID, Origin: from})
			f.Events.Append(tx, event.Event{
				Kind: event.EmailVerification, Outcome: event.Success, Account: a.ID, Origin: from, Detail: event.Detail{By: f.by(), Actor: f.actor()},
			})
		}
		return err
	})
}

// SetRoles gives an account these roles and no others. Its living sessions have
// them from their next refresh on; the access tokens that say otherwise end.
func (f *Operator) SetRoles(ctx context.Context, user string, roles []string, from event.Origin) (a account.Account, err error) {
	if roles, err = account.ParseRoles(roles); err != nil {
		return a, err
	}
	tell, err := f.Notices(ctx)
	if err != nil {
		return a, err
	}
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		a, err = account.Find(tx, user)
		if err != nil {
			return err
		}
		if slices.Equal(a.Roles, roles) {
			return nil
		}
		if err := f.mayAct(tx, a, roles); err != nil {
			return err
		}
		if err := f.overRoles(tx, a.ID); err != nil {
			return err
		}
		n, err := account.SetRoles(tx, a.ID, roles)
		if err != nil {
			return err
		}
		if _, err := session.SetRoles(tx, a.ID, roles); err != nil {
			return err
		}
		// After the sessions: whoever is being given a grant holds one of them, and what it says is to be here by now.
		if err := grant.SetRoles(tx, a.ID, roles); err != nil {
			return err
		}
		if err := f.Revoked.ChangeRoles(tx, a.ID, roles, n); err != nil {
			return err
		}
		a.Roles = roles
		if err := f.gaveRoles(tx, a.ID, roles, f.Now(), from); err != nil {
			return err
		}
		f.acted(tx, ActRoles, event.Event{Account: a.ID, Origin: from, Detail: event.Detail{Roles: roles}})
		return tell.ByOperator(tx, notice.RolesChanged, a)
	})
	return a, err
}

// overRoles is [Operator.over] for an account's roles, whose row it holds.
func (f *Operator) overRoles(tx *db.Tx, id string) error {
	if f.shown == "" {
		return nil
	}
	if err := account.Hold(tx, id); err != nil {
		return err
	}
	a, err := account.ByID(tx, id)
	if err != nil {
		return err
	}
	return f.over(strings.Join(a.Roles, " "))
}

// gaveRoles records new roles, and closes the set-up link once there is an
// administrator.
func (f *Operator) gaveRoles(tx *db.Tx, id string, roles []string, now time.Time, from event.Origin) error {
	f.Events.Append(tx, event.Event{
		Kind: event.RoleChange, Outcome: event.Success, Account: id, Origin: from, Detail: event.Detail{By: f.by(), Actor: f.actor(), Roles: roles},
	})
	if !slices.Contains(roles, account.Admin) {
		return nil
	}
	_, err := account.ClaimFirstAdmin(tx, now)
	return err
}

// Sessions returns the living sessions of an account.
func (f *Operator) Sessions(ctx context.Context, user string) (list []session.Info, err error) {
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		a, err := account.Find(tx, user)
		if err != nil {
			return err
		}
		list, err = session.List(tx, a.ID, f.Now())
		return err
	})
	return list, err
}

// SessionOwner returns whose a living session is.
func (f *Operator) SessionOwner(ctx context.Context, id string) (a account.Account, err error) {
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		of, err := session.Owner(tx, id, f.Now())
		if err == nil {
			a, err = account.ByID(tx, of)
		}
		return err
	})
	return a, err
}

// EndSession ends one session.
func (f *Operator) EndSession(ctx context.Context, id string, from event.Origin) error {
	return f.DB.Write(ctx, func(tx *db.Tx) error {
		of, err := session.End(tx, id, "", session.WhyRevoked, f.Now())
		if err == nil {
			err = f.revoked(tx, of, id, session.WhyRevoked, from)
			f.acted(tx, ActEndSession, event.Event{Account: of, Session: id, Origin: from})
		}
		return err
	})
}

// EndSessions ends all sessions of an account, and returns how many they were.
func (f *Operator) EndSessions(ctx context.Context, user string, from event.Origin) (ended int, err error) {
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		ended, err = f.EndSessionsIn(tx, user, from)
		return err
	})
	return ended, err
}

// EndSessionsIn is [Operator.EndSessions] within a transaction.
func (f *Operator) EndSessionsIn(tx *db.Tx, user string, from event.Origin) (ended int, err error) {
	a, err := account.Find(tx, user)
	if err != nil {
		return 0, err
	}
	if ended, err = f.endAll(tx, a.ID, session.WhyRevoked, from); err == nil {
		f.acted(tx, ActEndSessions, event.Event{Account: a.ID, Origin: from, Detail: event.Detail{Count: int64(ended)}})
	}
	return ended, err
}

func (f *Operator) endAll(tx *db.Tx, id, why string, from event.Origin) (int, error) {
	return f.EndAll(tx, f.Revoked, id, "", why, event.Detail{By: f.by(), Actor: f.actor(), Reason: why}, from)
}

func (f *Operator) revoked(tx *db.Tx, accountID, id, why string, from event.Origin) error {
	f.Events.Append(tx, event.Event{
		Kind: event.SessionRevoked, Outcome: event.Success, Account: accountID, Session: id, Origin: from,
		Detail: event.Detail{By: f.by(), Actor: f.actor(), Reason: why},
	})
	return flow.RevokeSession(tx, f.Revoked, id, f.Now())
}
