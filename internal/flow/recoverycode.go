package flow

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
)

// byRecoveryCode ends the sign-in by a recovery code.
func (f *SecondStep) byRecoveryCode(ctx context.Context, s *step) (Stepped, error) {
	code := factor.ParseRecoveryCode(s.in.RecoveryCode)
	has := false
	err := f.DB.Read(ctx, func(tx *db.Tx) (err error) {
		if code != "" {
			has, err = factor.HasCode(tx, s.who.ID, code)
		}
		return err
	})
	if err != nil {
		return Stepped{}, err
	}
	if !has {
		return Stepped{}, f.fail(ctx, s, ErrInvalidRecoveryCode, "wrong_recovery_code")
	}
	used := false
	t, err := f.arrive(ctx, s, amrRecovery, func(tx *db.Tx, now time.Time) error {
		ok, err := factor.UseCode(tx, s.who.ID, code, now)
		if err == nil && !ok {
			used = true
			err = ErrInvalidRecoveryCode
		}
		if err != nil {
			return err
		}
		return f.tellRecovery(tx, s, now)
	})
	if used {
		return Stepped{}, f.fail(ctx, s, ErrInvalidRecoveryCode, "wrong_recovery_code")
	}
	return t, err
}

// tellRecovery tells the owner that a recovery code was used.
func (f *SecondStep) tellRecovery(tx *db.Tx, s *step, now time.Time) error {
	left, err := factor.CodesLeft(tx, s.who.ID)
	if err != nil {
		return err
	}
	f.Events.Append(tx, event.Event{
		Kind: event.RecoveryCodeUsed, Outcome: event.Success, Account: s.who.ID, Origin: s.from, Detail: event.Detail{Count: int64(left)},
	})
	h, err := account.HolderByID(tx, s.who.ID)
	if err != nil {
		return err
	}
	return f.Guard.Notices.Send(tx, notice.Mail{
		Kind: notice.RecoveryCodeUsed, Account: h.ID, To: h.Email, Name: h.Name, Locale: h.Locale, At: now, Left: left,
	}, s.from)
}

// MakeCodes makes new recovery codes, in the place of those before.
func (f *Factors) MakeCodes(ctx context.Context, who Identity, from event.Origin) (codes []string, err error) {
	ctx, run := f.Count.Begin(ctx, "make_recovery_codes")
	c, err := f.changer(ctx, who)
	if err == nil && c.Factors == 0 {
		err = errNoFactor
	}
	if err != nil {
		return nil, run.End(err)
	}
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		now := f.Now()
		if _, err := account.ChangeFactors(tx, account.FactorChange{Account: c.ID, PasswordN: c.PasswordN, FactorN: c.FactorN}, now); err != nil {
			return err
		}
		codes = f.Store.MakeCodes(tx, c.ID, now)
		return f.tellAdded(tx, c, notice.RecoveryCodesMade, factor.Recovery, now, from)
	})
	if err != nil {
		codes = nil
	}
	return codes, run.End(changedMeanwhile(err))
}
