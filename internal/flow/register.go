package flow

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/account"
	"github.com/gatehouse-auth/gatehouse/internal/db"
	"github.com/gatehouse-auth/gatehouse/internal/event"
	"github.com/gatehouse-auth/gatehouse/internal/fault"
	"github.com/gatehouse-auth/gatehouse/internal/password"
	"github.com/gatehouse-auth/gatehouse/internal/secret"
)

// Register makes an account for whoever asks. It answers the same, after the
// same work, whether or not the address has an account already.
type Register struct {
	DB     *db.DB
	Hasher *password.Hasher
	Policy password.Policy
	Events *event.Log
	// Open is whether strangers may register at all.
	Open   bool
	Count  Count
	Random secret.Random
	Now    func() time.Time
}

// ErrRegistrationClosed is for a server that takes no strangers.
var ErrRegistrationClosed = fault.New(fault.Denied, "registration_closed",
	"This service does not take registrations. Please ask those who run it for an account.")

// Do registers. When it returns nil the account exists.
func (f *Register) Do(ctx context.Context, in Credentials, from event.Origin) error {
	created, err := f.do(ctx, in, from)
	if err == nil && !created {
		f.Count.add("register", "address_taken")
		return nil
	}
	return f.Count.end("register", err)
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
	address, err := account.ParseAddress("email", in.Email)
	if err != nil {
		return false, err
	}
	if _, err := f.Policy.Check("password", in.Password); err != nil {
		return false, err
	}
	hash, err := f.Hasher.Hash(ctx, in.Password)
	if err != nil {
		return false, err
	}
	now := f.Now()
	n := account.New{ID: f.Random.ID(now), Address: address, Hash: hash}
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		var (
			id  string
			err error
		)
		if id, created, err = account.Create(tx, n, now); err != nil {
			return err
		}
		e := event.Event{Kind: event.AccountRegistered, Outcome: event.Success, Account: id, Origin: from}
		if !created {
			e.Outcome, e.Detail.Reason = event.Failure, "address_taken"
		}
		f.Events.Append(tx, e)
		return nil
	})
	return created, err
}
