package flow

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
)

// ErrInvalidClient is for an application that did not prove who it is. It
// doesn't say whether there is one of that id.
var ErrInvalidClient = fault.New(fault.Unauthenticated, "invalid_client",
	"This is for registered applications: send the client id and the client secret with HTTP Basic authentication. "+
		"These are missing, wrong, or no longer good.")

// ErrInvalidAssertion is the same for one that has shown an assertion: it doesn't say which rule was broken, but what they are.
var ErrInvalidAssertion = fault.New(fault.Unauthenticated, "invalid_client",
	"This client_assertion is not good. It is signed with a key of the application's that is registered here, iss and sub are its client_id, aud is the issuer "+
		"and nothing else, exp is at most 10 minutes ahead, and jti is new each time.")

// AuthenticateClient tells which registered application makes a request. As long
// as the replica knows what has changed, that asks nobody.
type AuthenticateClient struct {
	Core
	Clients     *client.Registry
	Revocations *token.Revocations
}

// Do returns the application or ErrInvalidClient.
func (f *AuthenticateClient) Do(ctx context.Context, id, secret string, from event.Origin) (client.Client, error) {
	fresh, changes := f.Revocations.Age() <= token.FreshFor, f.Revocations.ClientChanges()
	ctx, run := f.Count.Begin(ctx, "authenticate_client")
	c, verdict, err := f.Clients.Authenticate(ctx, id, secret, changes, fresh)
	if err != nil {
		return c, run.End(err)
	}
	run.As(string(verdict))
	if verdict != client.Good && verdict != client.Old {
		f.Tally.Add(event.SuspiciousActivity, "client_credentials_wrong", from)
		return c, ErrInvalidClient.Because(Reason(verdict))
	}
	return c, nil
}

// Assert returns the application that has signed an assertion for this issuer (private_key_jwt, RFC 7523), or ErrInvalidAssertion. Each
// is taken once. id is what the application calls itself beside it; empty for nothing.
func (f *AuthenticateClient) Assert(ctx context.Context, id, assertion, issuer string, from event.Origin) (client.Client, error) {
	ctx, run := f.Count.Begin(ctx, "authenticate_client")
	c, verdict, err := f.asserted(ctx, id, assertion, issuer)
	if err != nil {
		return client.Client{}, run.End(err)
	}
	run.As(string(verdict))
	if verdict != client.Good {
		f.Tally.Add(event.SuspiciousActivity, "client_credentials_wrong", from)
		return client.Client{}, ErrInvalidAssertion.Because(Reason(verdict))
	}
	return c, nil
}

func (f *AuthenticateClient) asserted(ctx context.Context, id, assertion, issuer string) (client.Client, client.Verdict, error) {
	c, a, verdict, err := f.Clients.Assert(ctx, assertion, issuer, f.Revocations.ClientChanges(), f.Revocations.Age() <= token.FreshFor)
	if err != nil || verdict != client.Good {
		return c, verdict, err
	}
	if id != "" && id != c.ID {
		return c, client.WrongAssertion, nil
	}
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		ok, err := a.Spend(tx)
		if verdict = client.Good; !ok {
			verdict = client.SpentAssertion
		}
		return err
	})
	return c, verdict, err
}

// Known reports whether these are the credentials of an application that stands
// in memory. It judges nothing: Do does.
func (f *AuthenticateClient) Known(id, secret string) bool { return f.Clients.Known(id, secret) }

// Public returns a public application, which has no secret to show, or ErrInvalidClient. Anybody can name it: what it may do
// is safe for that.
func (f *AuthenticateClient) Public(ctx context.Context, id string, from event.Origin) (client.Client, error) {
	ctx, run := f.Count.Begin(ctx, "authenticate_client")
	c, ok, err := f.Named(ctx, id)
	switch {
	case err != nil:
		return c, run.End(err)
	case !ok || !c.Type.Public():
		run.As(string(client.Unknown))
		f.Tally.Add(event.SuspiciousActivity, "client_credentials_wrong", from)
		return client.Client{}, ErrInvalidClient.Because(Reason(client.Unknown))
	case !c.DisabledAt.IsZero():
		run.As(string(client.Disabled))
		return client.Client{}, ErrInvalidClient.Because(Reason(client.Disabled))
	}
	run.As(string(client.Named))
	return c, nil
}

// HasOrigin reports whether the scripts of an origin may ask for tokens: see [client.Registry.HasOrigin].
func (f *AuthenticateClient) HasOrigin(ctx context.Context, origin string) bool {
	return f.Clients.HasOrigin(ctx, origin, f.Revocations.ClientChanges(), f.Revocations.Age() <= token.FreshFor)
}

// Guarded returns the guarded application of an origin; ok is false if there is none.
func (f *AuthenticateClient) Guarded(ctx context.Context, origin string) (c client.Client, ok bool, err error) {
	return f.Clients.Guarded(ctx, origin, f.Revocations.ClientChanges(), f.Revocations.Age() <= token.FreshFor)
}

// Named returns the application of an id as it is now; ok is false if there is none.
func (f *AuthenticateClient) Named(ctx context.Context, id string) (c client.Client, ok bool, err error) {
	return f.Clients.Name(ctx, id, f.Revocations.ClientChanges(), f.Revocations.Age() <= token.FreshFor)
}

// Resources returns what access tokens can be asked for, as it is now.
func (f *AuthenticateClient) Resources(ctx context.Context) (client.Resources, error) {
	return f.Clients.Resources(ctx, f.Revocations.ClientChanges(), f.Revocations.Age() <= token.FreshFor)
}
