package flow

import (
	"context"
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
	DB         *db.DB
	Accounts   *NewAccounts
	Events     *event.Log
	Notices    *Notices
	Limits     *Limits
	EmailLinks *EmailLinks
	// Open is whether strangers may register at all, and RequireVerified whether
	// they have to verify their address before they sign in.
	Open            bool
	RequireVerified bool
	Count           Count
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
	n, now, err := f.Accounts.prepare(ctx, in)
	if err != nil {
		return false, err
	}
	if in.Browser != nil {
		in.Browser.Registered = registered(f.EmailLinks.Key(), n.ID)
	}
	defer takeMinimumTime(ctx, time.Now()) // another mail is written for an address that is taken, or none
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		var (
			a   account.Account
			err error
		)
		if a, created, err = account.Create(tx, n, now); err != nil {
			return err
		}
		e := event.Event{Kind: event.AccountRegistered, Outcome: event.Success, Account: a.ID, Origin: from}
		if !created {
			e.Outcome, e.Detail.Reason = event.Failure, "address_taken"
		}
		f.Events.Append(tx, e)
		if created {
			h := account.Holder{ID: a.ID, Email: a.Email, Key: n.Address.Key, Locale: a.Locale}
			return f.Notices.Send(tx, f.EmailLinks.verifyMail(tx, h, now), from)
		}
		return f.Notices.Send(tx, notice.Mail{
			Kind: notice.AddressRegistered, Account: a.ID, To: a.Email, Name: a.Name, Locale: a.Locale, At: now,
		}, from)
	})
	return created, err
}
