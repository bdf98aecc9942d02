package flow

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
)

// Adding the second factor that the roles ask for can be put off for a while (SECOND_FACTOR_GRACE_DAYS): a rule that is new
// then stops nobody's work on its first day. Administrators can't put it off. The time counts from the first sign-in
// under the rule on; when it is over, so are the sessions that lived by it, at their next refresh.

// gracious reports whether accounts with these roles may put it off at all.
func (d Demand) gracious(roles []string) bool {
	return d.Grace > 0 && d.of(roles) && !slices.Contains(roles, account.Admin)
}

// Refuses reports whether a session that has shown this may not have these roles now. It reads the account only where the
// rule forbids the session, and may be put off.
func (d Demand) Refuses(tx *db.Tx, accountID string, roles, amr []string, now time.Time) (bool, error) {
	if !d.forbids(roles, amr) {
		return false, nil
	}
	if !d.gracious(roles) || slices.Contains(amr, amrFactors) {
		return true, nil
	}
	since, err := account.FactorAskedAt(tx, accountID)
	return err != nil || since.IsZero() || !now.Before(since.Add(d.Grace)), err
}

// skipUntil returns until when somebody may put it off whose password was right; zero if they may not. It takes the account's row.
func (d Demand) skipUntil(tx *db.Tx, who account.Credentials, now time.Time) (time.Time, error) {
	if !d.gracious(who.Roles) || who.Factors > 0 {
		return time.Time{}, nil
	}
	since, err := account.AskFactor(tx, who.ID, now)
	if until := since.Add(d.Grace); err == nil && now.Before(until) {
		return until, nil
	}
	return time.Time{}, err
}

// Skip ends a sign-in that waits for its first factor without one: adding it is put off. The faults are factor.ErrOver, the
// one that asks for the factor where that can't be put off, ErrAccountDisabled and ErrResetRequired.
// Where documents must be agreed to first it goes on waiting for that.
func (f *SecondStep) Skip(ctx context.Context, in Shown, from event.Origin) (Stepped, error) {
	ctx, run := f.Count.Begin(ctx, "put_off_factor")
	t, err := f.skip(ctx, in, from)
	if err == nil && in.Cookies {
		t.Refresh = f.End.Sessions.ForCookie(t.Refresh)
	}
	return t, run.End(err)
}

func (f *SecondStep) skip(ctx context.Context, in Shown, from event.Origin) (t Stepped, err error) {
	if in.Token == "" {
		return t, Required("pending_token")
	}
	s := &step{in: in, from: from}
	if err := f.lookAt(ctx, s, factor.Enrol); err != nil {
		return t, err
	}
	if s.pending.Proof != "" || len(s.pending.AMR) > 1 || s.who.Factors > 0 {
		return t, errEnrolment // it has begun otherwise than by a password alone
	}
	now := f.Now()
	try := f.Guard.Lockout.Uncounted(s.client)
	var done ended
	err = f.DB.Write(ctx, func(tx *db.Tx) (err error) {
		if err := f.End.Consents.hold(tx, s.who.ID); err != nil {
			return err
		}
		done, err = f.End.End(tx, Arrival{
			Who: s.who, AMR: s.pending.AMR, Try: try, Browser: in.Browser, From: from,
			Enter: func(tx *db.Tx, signsIn bool, now time.Time) (account.Entered, error) {
				return f.enterLater(tx, s.who, signsIn, now)
			},
			Spend: func(tx *db.Tx, now time.Time) error { return factor.Finish(tx, s.pending.ID, now) },
		}, now)
		return err
	})
	if errors.Is(err, account.ErrNotFound) {
		return t, f.becameOf(ctx, s.who.ID)
	}
	if err != nil {
		return t, err
	}
	f.Limits.giveBack(ctx, f.Limits.pending(s.who.ID, s.pending.Network))
	in.Browser.know(f.Guard.Lockout.CookieName(s.who.Key), done.device)
	t.Tokens, err = f.End.tokens(done, now)
	return t, err
}

// enterLater takes the account's row, and returns what it is, if its roles may put the factor off. It signs in, unless the
// sign-in waits for an agreement.
func (f *SecondStep) enterLater(tx *db.Tx, who account.Credentials, signsIn bool, now time.Time) (in account.Entered, err error) {
	if signsIn {
		in, err = account.SignedIn(tx, who.ID, who.PasswordN, who.FactorN, account.Rehash{}, now)
	} else {
		in.Roles, err = who.Roles, account.Unchanged(tx, who.ID, who.PasswordN, who.FactorN)
	}
	if err != nil {
		return in, err
	}
	refused, err := f.Demand.Refuses(tx, who.ID, in.Roles, []string{amrPassword}, now)
	if err == nil && refused {
		err = errEnrolment
	}
	return in, err
}

// skipUntilOf is the same for whoever waits for a first factor already, without noting anything.
func (f *Factors) skipUntilOf(tx *db.Tx, e enroller) (time.Time, error) {
	if e.pending.ID == "" || e.pending.Proof != "" || e.showedMore() || !f.Demand.gracious(e.account.Roles) {
		return time.Time{}, nil
	}
	since, err := account.FactorAskedAt(tx, e.account.ID)
	if until := since.Add(f.Demand.Grace); err == nil && !since.IsZero() && f.Now().Before(until) {
		return until, nil
	}
	return time.Time{}, err
}
