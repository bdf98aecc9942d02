package flow

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/password"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
)

// NewAccounts makes accounts ready to be written: it checks the address and the
// password, and does the slow work, with no transaction open.
type NewAccounts struct {
	Hasher *password.Hasher
	Policy password.Policy
	Random secret.Random
	New    NewAddresses
	Now    func() time.Time
}

// NewAddresses are the addresses that an account can be given.
type NewAddresses struct {
	// SingleLabels is whether an address may have a domain without a dot.
	SingleLabels bool
	// Reaches is whether mails can go to an address, as far as is known now; nil for any.
	Reaches func(address string) bool
}

// errUnreachable is for an address that no mail of ours can go to. It tells nothing about
// accounts: it goes by the address's characters and by the mail server.
var errUnreachable = fault.Field("email", "invalid_email", "This is not an e-mail address we can use: the mail server of this service can only send to "+
	"addresses with ASCII letters before the @. Please use another address.")

// parse reads an address that an account is to have, or returns the fault of one that
// it can't have.
func (n NewAddresses) parse(field, s string) (account.Address, error) {
	a, err := account.ParseNewAddress(field, s, n.SingleLabels)
	if err == nil && n.Reaches != nil && !n.Reaches(a.Typed) {
		return account.Address{}, errUnreachable
	}
	return a, err
}

// Address reads an address that an account is to have, or returns the fault of one that it can't have.
func (n *NewAccounts) Address(s string) (account.Address, error) { return n.New.parse("email", s) }

// Prepare returns an account that only has to be written, made at the given
// time.
func (n *NewAccounts) Prepare(ctx context.Context, in Credentials) (account.New, time.Time, error) {
	address, err := n.New.parse("email", in.Email)
	if err != nil {
		return account.New{}, time.Time{}, err
	}
	if !in.Passwordless {
		if _, err := n.Policy.Check(ctx, "password", in.Password, address.Typed); err != nil {
			return account.New{}, time.Time{}, err
		}
	}
	locale, err := account.ParseLocale("locale", in.Locale)
	if err != nil {
		return account.New{}, time.Time{}, err
	}
	if locale == "" {
		locale = account.AcceptedLocale(in.Accepted)
	}
	now := n.Now()
	id := n.Random.ID(now)
	if in.Passwordless {
		return account.New{ID: id, Address: address, Locale: locale}, now, nil
	}
	hash, err := n.Hasher.Hash(ctx, id, in.Password)
	if err != nil {
		return account.New{}, time.Time{}, err
	}
	return account.New{ID: id, Address: address, Hash: hash, Locale: locale}, now, nil
}
