package openid

import (
	"context"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Register lets applications register themselves (RFC 7591), as MCP clients do.
type Register struct {
	flow.Core
	Authorize *Authorize
	Limits    *flow.Limits
	Random    secret.Random
	// Console is the origin that the console has to itself (ADMIN_URL), where no application is; empty for none.
	Console string
	// Off is whether none may; else Token is what they show, or empty.
	Off   bool
	Token string
}

// The faults.
var (
	errRegistrationOff = fault.New(fault.NotFound, "registration_off",
		"Applications do not register themselves here. Those who run Gatehouse switch it on with CLIENT_REGISTRATION.")
	errRegistrationToken = fault.New(fault.Unauthenticated, "invalid_token",
		"To register here takes a token of those who run Gatehouse. Send it in the header: Authorization: Bearer <token>")
)

// Metadata are what an application says of itself, as far as that counts.
type Metadata struct {
	Name            string   `json:"client_name"`
	RedirectURIs    []string `json:"redirect_uris"`
	ApplicationType string   `json:"application_type"`
}

// Do registers one. What is wrong with it is a fault in the words of RFC 7591.
func (f *Register) Do(ctx context.Context, m Metadata, shown string, from event.Origin) (client.Client, error) {
	ctx, run := f.Count.Begin(ctx, "register_client")
	c, err := f.register(ctx, m, shown, from)
	return c, run.End(err)
}

func (f *Register) register(ctx context.Context, m Metadata, shown string, from event.Origin) (c client.Client, err error) {
	switch {
	case f.Off:
		return c, errRegistrationOff
	case f.Token != "" && !secret.Equal([]byte(shown), []byte(f.Token)):
		f.Tally.Add(event.SuspiciousActivity, "client_credentials_wrong", from)
		return c, errRegistrationToken
	}
	kind := client.SelfType(m.RedirectURIs, m.ApplicationType)
	settings := client.Settings{Title: strings.TrimSpace(m.Name), RedirectURIs: m.RedirectURIs}
	if err := settings.CheckSelf(kind); err != nil {
		return c, metadataFault(err)
	}
	if err := settings.CheckHost(f.Console); err != nil {
		return c, metadataFault(err)
	}
	if err := f.Limits.RegisterClient(ctx, from); err != nil {
		return c, err
	}
	if err := f.Authorize.Ready(ctx, token.DefaultIDAlgorithm); err != nil {
		return c, err
	}
	err = f.DB.Write(ctx, func(tx *db.Tx) (err error) {
		if c, err = client.RegisterSelf(tx, f.Random, kind, settings, f.Now()); err != nil {
			return err
		}
		f.Authorize.Revoked.ClientsChanged(tx, f.Random)
		f.Events.Append(tx, event.Event{
			Kind: event.ClientCreated, Outcome: event.Success, Origin: from, Detail: event.Detail{By: "client", Client: c.ID, Reason: "registered_itself"},
		})
		return nil
	})
	return c, err
}

// metadataFault is what is wrong with settings, in the words of RFC 7591 section 3.2.2.
func metadataFault(err error) error {
	f := fault.As(err)
	if f == nil {
		return err
	}
	said := *f
	if said.Code = "invalid_client_metadata"; f.Field == "redirect_uris" {
		said.Code = "invalid_redirect_uri"
	}
	return &said
}

// Forget deletes up to limit applications that registered themselves and have nothing of anybody.
func (f *Register) Forget(tx *db.Tx, limit int) (int64, error) {
	n, err := client.ForgetSelf(tx, f.Now(), limit)
	if err == nil && n > 0 {
		f.Authorize.Revoked.ClientsChanged(tx, f.Random)
	}
	return n, err
}
