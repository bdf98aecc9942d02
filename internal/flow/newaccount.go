package flow

import (
	"context"
	"time"

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
	// SingleLabels is whether an address may have a domain without a dot.
	SingleLabels bool
	Now          func() time.Time
}

// prepare returns an account that only has to be written, made at the given
// time.
func (n *NewAccounts) prepare(ctx context.Context, in Credentials) (account.New, time.Time, error) {
	address, err := account.ParseNewAddress("email", in.Email, n.SingleLabels)
	if err != nil {
		return account.New{}, time.Time{}, err
	}
	if _, err := n.Policy.Check(ctx, "password", in.Password, address.Typed); err != nil {
		return account.New{}, time.Time{}, err
	}
	now := n.Now()
	id := n.Random.ID(now)
	hash, err := n.Hasher.Hash(ctx, id, in.Password)
	if err != nil {
		return account.New{}, time.Time{}, err
	}
	return account.New{ID: id, Address: address, Hash: hash}, now, nil
}
