package flow

import (
	"context"
	"errors"
	"time"

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
	Count  Count
	Now    func() time.Time
}

// Do returns the identity, or token.ErrInvalid.
func (f *Authenticate) Do(ctx context.Context, access string, from event.Origin) (Identity, error) {
	who, err := f.do(ctx, access, from)
	return who, f.Count.end("authenticate", err)
}

func (f *Authenticate) do(ctx context.Context, access string, from event.Origin) (Identity, error) {
	c, err := f.Tokens.Verify(access, f.Now())
	if err != nil {
		if !errors.Is(err, token.ErrExpired) {
			f.Tally.Add(event.SuspiciousActivity, "access_token_invalid", from)
		}
		return Identity{}, err
	}
	who := Identity{Account: c.Subject, Session: c.Session}
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		account, roles, err := session.Alive(tx, c.Session, f.Now())
		if err == nil && account != c.Subject {
			err = session.ErrNotFound
		}
		who.Roles = roles
		return err
	})
	if errors.Is(err, session.ErrNotFound) {
		return Identity{}, token.ErrInvalid.Because(reason("session_ended"))
	}
	return who, err
}
