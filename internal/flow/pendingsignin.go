package flow

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/consent"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
)

// Waiting is the error of a sign-in whose password was right and that waits for more.
type Waiting struct {
	why *fault.Error
	// Token opens the second step and nothing else, for as long as Life.
	Token string
	Life  time.Duration
	// Ways are what can be shown, the best first.
	Ways []factor.Kind
	// Enrol says that a first factor must be added.
	Enrol bool
	// Agree are the documents that must be agreed to, where that is all that is left.
	Agree []consent.Document
	// ResetDue is when an operator's reset of the account's factors is due; zero if none waits.
	ResetDue time.Time
	// SkipUntil is until when adding the factor can be put off; zero if it can't be.
	SkipUntil time.Time
}

// Error implements error.
func (w *Waiting) Error() string { return w.why.Error() }

// Unwrap returns the fault that clients are told.
func (w *Waiting) Unwrap() error { return w.why }

// ask makes the pending sign-in, and returns it as the error.
func (f *SecondStep) ask(ctx context.Context, who account.Credentials, want factor.Want, try lockout.Try, rehash account.Rehash, from event.Origin) error {
	return f.askAfter(ctx, who, want, amrPassword, try, rehash, from)
}

// askAfter is ask for a sign-in that has begun in the given way.
func (f *SecondStep) askAfter(
	ctx context.Context, who account.Credentials, want factor.Want, method string, try lockout.Try, rehash account.Rehash, from event.Origin,
) error {
	network := event.Network(from.Address).String()
	if _, err := f.Limits.take(ctx, from, f.Limits.pending(who.ID, network)); err != nil {
		f.Guard.giveBack(ctx, try)
		return err
	}
	now := f.Now()
	w := &Waiting{why: errSecondFactor, Life: factor.PendingLife, Enrol: want == factor.Enrol}
	if w.Enrol {
		w.why = errEnrolment
	}
	err := f.DB.Write(ctx, func(tx *db.Tx) error {
		account.StoreRehash(tx, who.ID, rehash)
		if w.Enrol {
			var err error
			if w.SkipUntil, err = f.Demand.skipUntil(tx, who, now); err != nil {
				return err
			}
		}
		w.Token = f.Factors.Begin(tx, factor.Pending{
			Account: who.ID, Want: want, AMR: []string{method}, PasswordN: who.PasswordN, FactorN: who.FactorN,
			Device: try.Device, Network: network,
		}, now)
		own, err := factor.Own(tx, who.ID)
		if err != nil {
			return err
		}
		w.Ways = f.ways(own, who.Roles)
		if w.ResetDue, err = factor.ResetOf(tx, who.ID); err != nil {
			return err
		}
		f.Guard.succeeded(tx, try)
		f.Events.Append(tx, event.Event{
			Kind: event.SecondStepAsked, Outcome: event.Success, Account: who.ID, Origin: from, Detail: event.Detail{AMR: []string{method}},
		})
		return nil
	})
	if err != nil {
		return err
	}
	return w
}

// Ways returns what can be shown for a sign-in that waits, the best first, or factor.ErrOver.
func (f *SecondStep) Ways(ctx context.Context, token string) (ways []factor.Kind, err error) {
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		p, err := factor.ByToken(tx, token, f.Now())
		if err == nil && p.Want != factor.Step {
			err = factor.ErrOver
		}
		if err != nil {
			return err
		}
		who, err := account.CredentialsOf(tx, p.Account)
		if errors.Is(err, account.ErrNotFound) {
			err = factor.ErrOver
		}
		if err != nil {
			return err
		}
		own, err := factor.Own(tx, p.Account)
		ways = f.ways(own, who.Roles)
		return err
	})
	return ways, err
}

// ways are what an account with these roles may show, the best first.
func (f *SecondStep) ways(own factor.Owned, roles []string) []factor.Kind {
	kinds := own.Kinds(f.Keys.Passkeys.RPID())
	if f.Demand.key(roles) && len(own.Keys) > 0 {
		kinds = slices.DeleteFunc(kinds, func(k factor.Kind) bool { return k == factor.App })
	}
	return kinds
}

// Unlock sends the mail about locked codes once more, for who waits for the second step. It tells
// nothing: the codes may not be locked at all.
func (f *SecondStep) Unlock(ctx context.Context, token string, from event.Origin) error {
	ctx, run := f.Count.Begin(ctx, "unlock_factor")
	if token == "" {
		return run.End(Required("pending_token"))
	}
	if err := f.Limits.mail(ctx, from); err != nil {
		return run.End(err)
	}
	return run.End(f.DB.Write(ctx, func(tx *db.Tx) error {
		now := f.Now()
		p, err := factor.ByToken(tx, token, now)
		if err != nil {
			return err
		}
		locked, err := f.Guard.Lockout.CodesLocked(tx, p.Account)
		if err != nil || !locked {
			return err
		}
		h, err := account.HolderByID(tx, p.Account)
		if err != nil {
			return err
		}
		if ok, err := f.Limits.affords(tx, shareReset, h.Key, from, now); err != nil || !ok {
			return err
		}
		return f.Guard.notifyCodesLocked(tx, h.ID, from)
	}))
}

// Abandon looks at a sign-in that has waited for its second step until it ran out, and reports
// whether there was any. If it came from a stranger, and nobody has signed in from that network
// since, the owner is told that somebody else has the password.
func (f *SecondStep) Abandon(ctx context.Context) (more bool, err error) {
	now := f.Now()
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		p, found, err := factor.OldestExpired(tx, now)
		if err != nil || !found {
			return err
		}
		more = true
		who, err := account.CredentialsOf(tx, p.Account)
		if err != nil && !errors.Is(err, account.ErrNotFound) {
			return err
		}
		came := err != nil || p.Want != factor.Step || p.Device != "" || who.PasswordN != p.PasswordN ||
			!slices.Contains(p.AMR, amrPassword)
		if !came {
			if came, err = session.CameFrom(tx, p.Account, p.Network, p.MadeAt); err != nil {
				return err
			}
		}
		if !came {
			from := event.Origin{RequestID: "job"}
			if network, err := netip.ParsePrefix(p.Network); err == nil {
				from.Address = network.Addr()
			}
			if err := f.Guard.tellPassword(tx, p.Account, from); err != nil {
				return err
			}
			f.Events.Append(tx, event.Event{
				Kind: event.FailedLogin, Outcome: event.Failure, Account: p.Account, Origin: from, Detail: event.Detail{Reason: "second_step_abandoned"},
			})
		}
		return factor.ForgetPending(tx, p.ID)
	})
	return more, err
}
