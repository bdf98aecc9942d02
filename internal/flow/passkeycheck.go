package flow

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
)

// PasskeyCheck judges the answers of passkeys, for sign-ins with one alone and behind a password.
type PasskeyCheck struct {
	Core
	// Passkeys is nil where they are off.
	Passkeys *factor.Passkeys
	// Alone is whether one is enough to sign in.
	Alone bool
	Guard *Guard
}

var (
	// ErrPasskeySuspended is told only to whoever has the passkey, or a copy of it.
	ErrPasskeySuspended = fault.New(fault.Unauthenticated, "passkey_suspended",
		"This passkey is suspended, since there seems to be a copy of it. Please sign in another way, and look at your passkeys in your account.")
	errPasskeysOff = fault.New(fault.Conflict, "passkeys_off", "This service takes no passkeys, or takes them only behind a password.")
	// errFell is for an answer that tells of a copy.
	errFell = errors.New("the passkey's counter or flags tell of a copy")
)

// passkeyRefused is why an answer was refused: for the metrics, over what the log is told.
func passkeyRefused(err error) error {
	return factor.ErrInvalidPasskey.Because(&refusedPasskey{err})
}

type refusedPasskey struct{ why error }

func (r *refusedPasskey) Error() string { return r.why.Error() }

// Unwrap returns the reason for the metrics, and the cause.
func (r *refusedPasskey) Unwrap() []error { return []error{Reason("passkey_refused"), r.why} }

// answered is an answer that is right, of a passkey that is whose it is.
type answered struct {
	who account.Credentials
	key factor.Passkey
	use factor.Use
}

// judge returns the answer's passkey and account if the answer is right: of this account, or of any if it is
// empty. Whatever is wrong with it, the answer is the same, and so is the work.
func (f *PasskeyCheck) judge(ctx context.Context, a factor.Assertion, ofAccount string, from event.Origin) (r answered, err error) {
	var (
		handle []byte
		found  bool
		alone  = ofAccount == ""
	)
	err = f.DB.Read(ctx, func(tx *db.Tx) (err error) {
		if r.key, found, err = factor.PasskeyByCredential(tx, a.Credential()); err != nil || !found {
			return err
		}
		if r.who, err = account.CredentialsOf(tx, r.key.Account); err != nil {
			return err
		}
		handle, err = account.HandleOf(tx, r.key.Account)
		return err
	})
	if err != nil && !errors.Is(err, account.ErrNotFound) {
		return r, err
	}
	if err != nil || !found || !alone && r.key.Account != ofAccount {
		return answered{}, passkeyRefused(f.Passkeys.JudgeNobody(a, alone))
	}
	r.use, err = f.Passkeys.Judge(a, r.key, handle, alone)
	switch {
	case !f.Passkeys.Genuine(r.key, handle):
		err = f.altered(ctx, r.key, from)
		return r, errors.Join(err, passkeyRefused(errors.New("the row was not written by us")))
	case err != nil:
		return r, passkeyRefused(err)
	case !r.key.SuspectAt.IsZero():
		return r, ErrPasskeySuspended
	}
	return r, nil
}

// spend spends the challenge and the passkey's count, in the transaction that ends the sign-in, which holds the
// account's row.
func (f *PasskeyCheck) spend(tx *db.Tx, r answered, now time.Time, from event.Origin) error {
	ok, err := factor.SpendChallenge(tx, r.use.Challenge)
	if err == nil && !ok {
		err = passkeyRefused(errors.New("the challenge was spent"))
	}
	if err != nil {
		return err
	}
	if ok, err = factor.UsePasskey(tx, r.key.ID, r.use, now); err == nil && !ok {
		err = errFell
	}
	if err == nil && r.key.Eligible != r.use.Eligible {
		f.Events.Append(tx, event.Event{
			Kind: event.PasskeyChanged, Outcome: event.Success, Account: r.who.ID, Origin: from, Detail: event.Detail{Reason: eligibility(r.use.Eligible)},
		})
	}
	return err
}

func eligibility(eligible bool) string {
	if eligible {
		return "may_be_copied"
	}
	return "may_not_be_copied"
}

// suspect makes a passkey suspect whose answer tells of a copy, and tells its owner. That stays although the sign-in
// is refused.
func (f *PasskeyCheck) suspect(ctx context.Context, r answered, from event.Origin) error {
	did := false
	err := f.DB.Write(ctx, func(tx *db.Tx) error {
		now := f.Now()
		if _, err := account.Handle(tx, r.who.ID, nil); err != nil { // takes the account's row
			return err
		}
		ok, err := factor.SpendChallenge(tx, r.use.Challenge)
		if err == nil && ok {
			did, err = factor.SuspectPasskey(tx, r.key.ID, r.use, now)
		}
		if err != nil || !did {
			return err
		}
		f.Events.Append(tx, event.Event{
			Kind: event.SuspiciousActivity, Outcome: event.Success, Account: r.who.ID, Origin: from, Detail: event.Detail{Reason: "passkey_counter"},
		})
		h, err := account.HolderByID(tx, r.who.ID)
		if err != nil {
			return err
		}
		return f.Guard.Notices.Send(tx, notice.Mail{
			Kind: notice.PasskeySuspect, Account: h.ID, To: h.Email, Name: h.Name, Locale: h.Locale, At: now,
		}, from)
	})
	switch {
	case err != nil:
		return err
	case !did: // it was removed, or used by the same answer, in the same moment
		return passkeyRefused(errFell)
	}
	return ErrPasskeySuspended
}

// altered records that somebody else has written to a passkey's row.
func (f *PasskeyCheck) altered(ctx context.Context, k factor.Passkey, from event.Origin) error {
	return f.DB.Write(ctx, func(tx *db.Tx) error {
		f.Events.Append(tx, event.Event{
			Kind: event.SuspiciousActivity, Outcome: event.Failure, Account: k.Account, Origin: from, Detail: event.Detail{Reason: "passkey_row_altered"},
		})
		return nil
	})
}

// failed records an answer that was refused.
func (f *PasskeyCheck) failed(tx *db.Tx, accountID string, from event.Origin) {
	f.Events.Append(tx, event.Event{
		Kind: event.FailedLogin, Outcome: event.Failure, Account: accountID, Origin: from, Detail: event.Detail{Reason: "passkey_refused"},
	})
}
