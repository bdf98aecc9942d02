package flow

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
)

// knowsKeys is how long a token waits whose key is not known here.
const knowsKeys = time.Second

// VerifyAccess is the issuer's Verify. A token of a key that this replica does not know
// may be of one that another made a moment ago: it waits for the next poll, a
// quarter of a second at most, which reads the keys too.
func VerifyAccess(ctx context.Context, tokens *token.Issuer, revoked *token.Revocations, access string, now func() time.Time) (*token.Claims, error) {
	return patiently(ctx, revoked, func() (*token.Claims, error) { return tokens.Verify(access, now()) })
}

// VerifyGranted is VerifyAccess for a token of an application's, whatever that is for.
func VerifyGranted(ctx context.Context, tokens *token.Issuer, revoked *token.Revocations, access string, now func() time.Time) (*token.Claims, error) {
	return patiently(ctx, revoked, func() (*token.Claims, error) { return tokens.VerifyGranted(access, now()) })
}

func patiently(ctx context.Context, revoked *token.Revocations, verify func() (*token.Claims, error)) (*token.Claims, error) {
	c, err := verify()
	if !errors.Is(err, token.ErrUnknownKey) {
		return c, err
	}
	wait, cancel := context.WithTimeout(ctx, knowsKeys)
	defer cancel()
	if waited := revoked.Await(wait); waited != nil {
		return nil, token.ErrUnknown.Because(waited)
	}
	return verify()
}
