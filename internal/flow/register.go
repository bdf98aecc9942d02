package flow

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/consent"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockdown"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
)

// Register makes an account for whoever asks. It answers the same, after the
// same work, whether or not the address already has an account.
type Register struct {
	Core
	Accounts   *NewAccounts
	Notices    *Notices
	Limits     *Limits
	EmailLinks *EmailLinks
	Consents   *Consents
	// Open is whether strangers may register at all, and RequireVerified whether
	// they have to verify their address before they sign in.
	Open            bool
	RequireVerified bool
	// Passwordless is whether people may register without a password (PASSWORDLESS): by their address, which they verify,
	// and a passkey, which they add next.
	Passwordless bool
}

// ErrRegistrationClosed is for a server that takes no strangers.
var ErrRegistrationClosed = fault.New(fault.Denied, "registration_closed",
	"This service does not accept registrations. Please ask its operator for an account.")

// Welcome is the answer to every registration, whatever came of it.
func (f *Register) Welcome(passwordless bool) string {
	if passwordless {
		return "If this address had no account, a mail is on its way to it. Verify the address with it, and add a passkey: that is how you sign in."
	}
	if f.RequireVerified {
		return "If this address had no account, it has one now. You can sign in once the address is verified."
	}
	return "If this address had no account, it has one now, and you can sign in."
}

// Do registers. When it returns no error the account exists. The browser gets what lets
// it verify the address by one click, or something that looks the same. The request is
// what the code in the mail is good with, and is always there.
func (f *Register) Do(ctx context.Context, in Credentials, from event.Origin) (request string, err error) {
	ctx, run := f.Count.Begin(ctx, "register")
	request = f.EmailLinks.Tickets.NewRequest()
	created, err := f.do(ctx, in, request, from)
	if err == nil && !created {
		run.As("address_taken")
		return request, nil
	}
	return request, run.End(err)
}

func (f *Register) do(ctx context.Context, in Credentials, request string, from event.Origin) (created bool, err error) {
	if !f.Open {
		return false, ErrRegistrationClosed
	}
	if err := f.Lockdown.Pass(lockdown.Registration); err != nil {
		return false, err
	}
	if in.Email == "" {
		return false, Required("email")
	}
	if a, err := account.ParseAddress("email", in.Email); err == nil {
		if r := f.EmailLinks.Providers.Only(a.Key); r != nil {
			return false, onlyBy(r)
		}
	}
	if in.Password == "" && !(in.Passwordless && f.Passwordless) {
		return false, Required("password")
	}
	done, err := f.Limits.registration(ctx, from)
	if err != nil {
		return false, err
	}
	defer func() { done(err) }()
	var agreed []consent.Document
	if len(in.Agreed.Versions) > 0 {
		err := f.DB.Read(ctx, func(tx *db.Tx) (err error) {
			agreed, err = f.Consents.present(tx, in.Agreed)
			return err
		})
		if err != nil {
			return false, err
		}
	}
	n, now, err := f.Accounts.Prepare(inTurn(ctx, from), in)
	if err != nil {
		return false, err
	}
	if in.Browser != nil {
		in.Browser.Registered = registered(f.EmailLinks.Key(), n.ID)
	}
	defer takeMinimumTime(ctx, time.Now()) // another mail is written for an address that is taken, or none
	create := func(tx *db.Tx) (err error) {
		created, err = f.create(tx, n, request, now, from)
		if err != nil || !created { // nobody agrees for the owner of an address that has an account
			return err
		}
		return f.Consents.give(tx, n.ID, "", agreed, in.Agreed.Language, consent.Registration, from)
	}
	err = f.DB.Write(ctx, create)
	if errors.Is(err, ErrHeld) { // an undo came in the same moment
		err = f.DB.Write(ctx, create)
	}
	return created, err
}

// create makes the account, unless the address is taken, or held: one that somebody has
// lost, and can take back, is not free.
func (f *Register) create(tx *db.Tx, n account.New, request string, now time.Time, from event.Origin) (created bool, err error) {
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
		if err := HeldByUndo(tx, n.Address.Key, now); err != nil {
			return false, err
		}
		e.Outcome, e.Detail.Reason = event.Success, ""
	}
	e.Account = a.ID
	f.Events.Append(tx, e)
	return created, f.sendMail(tx, a, n.Address.Key, request, created, now, from)
}

// sendMail queues the mail to the address, unless it has had too many.
func (f *Register) sendMail(tx *db.Tx, a account.Account, addressKey, request string, created bool, now time.Time, from event.Origin) error {
	share := shareUnasked
	if created {
		share = shareVerify
	}
	if ok, err := f.Limits.affords(tx, share, addressKey, from, now); err != nil || !ok {
		return err
	}
	if created {
		h := account.Holder{ID: a.ID, Email: a.Email, Key: addressKey, Locale: a.Locale}
		return f.Notices.Send(tx, f.EmailLinks.VerifyMail(tx, h, request, now), from)
	}
	return f.Notices.Send(tx, notice.Mail{
		Kind: notice.AddressRegistered, Account: a.ID, To: a.Email, Name: a.Name, Locale: a.Locale, At: now,
	}, from)
}
