package flow

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/account"
	"github.com/gatehouse-auth/gatehouse/internal/db"
	"github.com/gatehouse-auth/gatehouse/internal/event"
	"github.com/gatehouse-auth/gatehouse/internal/session"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// Authenticate tells who makes a request: it checks the access token, and that
// its session has not ended. What the token says of roles is not believed here;
// the session's row knows better.
type Authenticate struct {
	DB     *db.DB
	Tokens *token.Issuer
	Tally  *event.Tally
	Now    func() time.Time
}

// Do returns the identity, or token.ErrInvalid.
func (f *Authenticate) Do(ctx context.Context, access string, from event.Origin) (who Identity, err error) {
	err = f.with(ctx, access, from, func(tx *db.Tx, c *token.Claims) error {
		account, roles, err := session.Alive(tx, c.Session, f.Now())
		if err == nil && account != c.Subject {
			err = session.ErrNotFound
		}
		who = Identity{Account: c.Subject, Session: c.Session, Roles: roles}
		return err
	})
	return who, err
}

// Me is Do and the account itself, in one read.
func (f *Authenticate) Me(ctx context.Context, access string, from event.Origin) (a account.Account, err error) {
	err = f.with(ctx, access, from, func(tx *db.Tx, c *token.Claims) (err error) {
		a, err = account.BySession(tx, c.Subject, c.Session, f.Now())
		return err
	})
	return a, err
}

// with checks the token and looks at its session; that it has ended is told by
// either feature's ErrNotFound.
func (f *Authenticate) with(ctx context.Context, access string, from event.Origin, look func(*db.Tx, *token.Claims) error) error {
	c, err := f.Tokens.Verify(access, f.Now())
	if err != nil {
		if !errors.Is(err, token.ErrExpired) {
			f.Tally.Add(event.SuspiciousActivity, "access_token_invalid", from)
		}
		return err
	}
	err = f.DB.Read(ctx, func(tx *db.Tx) error { return look(tx, c) })
	if errors.Is(err, session.ErrNotFound) || errors.Is(err, account.ErrNotFound) {
		return token.ErrInvalid.Because(errors.New("its session has ended"))
	}
	return err
}
