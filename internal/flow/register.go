package flow

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
)

// Register makes an account for whoever asks. It answers the same, after the
// same work, whether or not the address has an account already.
type Register struct {
	Core
	Accounts   *NewAccounts
	Notices    *Notices
	Limits     *Limits
	EmailLinks *EmailLinks
	// Open is whether strangers may register at all, and RequireVerified whether
	// they have to verify their address before they sign in.
	Open            bool
	RequireVerified bool
}

// ErrRegistrationClosed is for a server that takes no strangers.
var ErrRegistrationClosed = fault.New(fault.Denied, "registration_closed",
	"This service does not take registrations. Please ask those who run it for an account.")

// Welcome is what whoever registered is told, whoever they are.
func (f *Register) Welcome() string {
	if f.RequireVerified {
		return "If this address had no account, it has one now. You can sign in once the address is verified."
	}
	return "If this address had no account, it has one now, and you can sign in."
}

// Do registers. When it returns nil the account exists. The browser gets what lets
// it verify the address by one click, or something that looks the same.
func (f *Register) Do(ctx context.Context, in Credentials, from event.Origin) error {
	ctx, run := f.Count.begin(ctx, "register")
	created, err := f.do(ctx, in, from)
	if err == nil && !created {
		run.as("address_taken")
		return nil
	}
	return run.end(err)
}

func (f *Register) do(ctx context.Context, in Credentials, from event.Origin) (created bool, err error) {
	if !f.Open {
		return false, ErrRegistrationClosed
	}
	if in.Email == "" {
		return false, required("email")
	}
	if in.Password == "" {
		return false, required("password")
	}
	done, err := f.Limits.registration(ctx, from)
	if err != nil {
		return false, err
	}
	defer func() { done(err) }()
	n, now, err := f.Accounts.prepare(inTurn(ctx, from), in)
	if err != nil {
		return false, err
	}
	if in.Browser != nil {
		in.Browser.Registered = registered(f.EmailLinks.Key(), n.ID)
	}
	defer takeMinimumTime(ctx, time.Now()) // another mail is written for an address that is taken, or none
	create := func(tx *db.Tx) (err error) {
		created, err = f.create(tx, n, now, from)
		return err
	}
	err = f.DB.Write(ctx, create)
	if errors.Is(err, errHeld) { // an undo came in the same moment
		err = f.DB.Write(ctx, create)
	}
	return created, err
}

// create makes the account, unless the address is taken, or held: one that somebody has
// lost, and can take back, is not free.
func (f *Register) create(tx *db.Tx, n account.New, now time.Time, from event.Origin) (created bool, err error) {
	e := event.Event{Kind: event.AccountRegistered, Outcome: event.Failure, Origin: from, Detail: event.Detail{Reason: "address_taken"}}
	id, held, err := f.EmailLinks.sendWayBack(tx, n.Address, shareUnasked, now, from)
	if err != nil {
		return false, err
	}
	if held {
		e.Account = id
		f.Events.Append(tx, e)
		return false, nil
	}
	a, created, err := account.Create(tx, n, now)
	if err != nil {
		return false, err
	}
	if created {
		if err := heldByUndo(tx, n.Address.Key, now); err != nil {
			return false, err
		}
		e.Outcome, e.Detail.Reason = event.Success, ""
	}
	e.Account = a.ID
	f.Events.Append(tx, e)
	return created, f.sendMail(tx, a, n.Address.Key, created, now, from)
}

// sendMail queues the mail to the address, unless it has had too many.
func (f *Register) sendMail(tx *db.Tx, a account.Account, addressKey string, created bool, now time.Time, from event.Origin) error {
	share := shareUnasked
	if created {
		share = shareVerify
	}
	if ok, err := f.Limits.affords(tx, share, addressKey, from, now); err != nil || !ok {
		return err
	}
	if created {
		h := account.Holder{ID: a.ID, Email: a.Email, Key: addressKey}
		return f.Notices.Send(tx, f.EmailLinks.verifyMail(tx, h, now), from)
	}
	return f.Notices.Send(tx, notice.Mail{
		Kind: notice.AddressRegistered, Account: a.ID, To: a.Email, Name: a.Name, Locale: a.Locale, At: now,
	}, from)
}
