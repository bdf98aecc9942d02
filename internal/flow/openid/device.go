package openid

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Device lets devices without a keyboard in (RFC 8628): to approve is to authorize, and to poll is to exchange.
type Device struct {
	flow.Core
	Exchange *Exchange
	Limits   *flow.Limits
}

// The faults of a device, in OAuth's words, and of the person that lets it in.
var (
	errOnlyDevices = fault.New(fault.Invalid, "unauthorized_client", "This is for applications of the type device.")
	errWaits       = fault.New(fault.Invalid, "authorization_pending", "Nobody has answered yet. Ask again after the interval.")
	errTooEarly    = fault.New(fault.Invalid, "slow_down", "Ask less often: the interval is 5 seconds longer from now on.")
	errDeclined    = fault.New(fault.Invalid, "access_denied", "The person said no.")
	errTooLate     = fault.New(fault.Invalid, "expired_token", "Nobody has answered in time. Begin anew.")

	// ErrUserCode is for a code of no device that waits.
	ErrUserCode = fault.Field("user_code", "invalid_user_code",
		"No device waits with this code: it is mistyped, was used, or is older than ten minutes. The device shows another when it begins anew.")
	// ErrDeviceNotYours is for an account that an application does not let in.
	ErrDeviceNotYours = fault.New(fault.Denied, "device_refused",
		"The application does not let this account in: it requires a role, or a stronger sign-in.")
)

// Began is what a device gets at first.
type Began struct{ Code, UserCode string }

// Begin has a device wait for somebody.
func (f *Device) Begin(ctx context.Context, c client.Client, scope, resource string, from event.Origin) (Began, error) {
	ctx, run := f.Count.Begin(ctx, "begin_device")
	b, err := f.begin(ctx, c, scope, resource, from)
	return b, run.End(err)
}

func (f *Device) begin(ctx context.Context, c client.Client, scope, resource string, from event.Origin) (b Began, err error) {
	if c.Type != client.Device {
		return b, errOnlyDevices
	}
	can, err := f.Exchange.targets(ctx)
	if err != nil {
		return b, err
	}
	resources, ok := can.ask(c, resource)
	if !ok {
		return b, errTarget
	}
	scopes := can.scope(c, scope, resources)
	if len(scopes) == 0 && (len(resources) == 0 || strings.TrimSpace(scope) != "") {
		return b, errScope
	}
	if err := f.Exchange.Ready(ctx, c.Settings.IDAlgorithm()); err != nil {
		return b, err
	}
	d := grant.Device{
		Client: c.ID, Scope: strings.Join(scopes, " "), Resource: strings.Join(resources, " "), Address: flow.AddressOf(from), UserAgent: from.UserAgent,
	}
	err = f.DB.Write(ctx, func(tx *db.Tx) (err error) {
		b.Code, b.UserCode, err = f.Exchange.Grants.BeginDevice(tx, d, f.Now())
		return err
	})
	return b, err
}

// Poll gives the device its tokens, once somebody has let it in. What it finds before that is a fault in OAuth's words.
func (f *Device) Poll(ctx context.Context, c client.Client, code, resource string, from event.Origin) (Tokens, error) {
	ctx, run := f.Count.Begin(ctx, "poll_device")
	t, err := f.poll(ctx, c, code, resource, from)
	return t, run.End(err)
}

func (f *Device) poll(ctx context.Context, c client.Client, text, resource string, from event.Origin) (t Tokens, err error) {
	if text == "" {
		return t, flow.Required("device_code")
	}
	parsed, ok := f.Exchange.Grants.ParseDeviceCode(text)
	if !ok {
		f.Tally.Add(event.SuspiciousActivity, "code_forged", from)
		return t, errGrant.Because(flow.Reason("forged"))
	}
	var (
		code  grant.Code
		found grant.Polled
	)
	// By itself, before the exchange: a poll that is too early counts whatever comes of it.
	err = f.DB.Write(ctx, func(tx *db.Tx) (err error) {
		code, found, err = f.Exchange.Grants.Poll(tx, parsed, c.ID, f.Now())
		return err
	})
	switch {
	case err != nil:
		return t, err
	case found == grant.Answered:
		return f.Exchange.start(ctx, c, grant.Exchanged{Code: code, Client: c.ID}, resource, from)
	}
	return t, map[grant.Polled]error{
		grant.Waits: errWaits, grant.TooEarly: errTooEarly, grant.Declined: errDeclined, grant.Expired: errTooLate,
		grant.NoDevice: errGrant.Because(flow.Reason(grant.NoDevice)),
	}[found]
}

// Waiting is a device that waits, as its person is shown it.
type Waiting struct {
	grant.Device
	Application client.Client
	Scopes      []string
	Resources   []AskedResource
}

// Fresh reports, as a fault, why whoever is signed in may not let a device in now: that takes a sign-in of late.
func (f *Device) Fresh(ctx context.Context, who flow.Identity) error {
	return f.DB.Read(ctx, func(tx *db.Tx) error {
		c, err := account.CredentialsOf(tx, who.Account)
		if err != nil {
			return err
		}
		return flow.IsFresh(who, int64(c.Factors), f.Now())
	})
}

// Look returns the device that waits with a code. Who types too many that are none has to wait.
func (f *Device) Look(ctx context.Context, who flow.Identity, user string, from event.Origin) (Waiting, error) {
	ctx, run := f.Count.Begin(ctx, "look_device")
	w, err := f.look(ctx, who, user, from)
	return w, run.End(err)
}

func (f *Device) look(ctx context.Context, who flow.Identity, user string, from event.Origin) (w Waiting, err error) {
	done, err := f.Limits.UserCode(ctx, who.Account, who.Session, from)
	if err != nil {
		return w, err
	}
	defer func() { done(err) }()
	err = f.DB.Read(ctx, func(tx *db.Tx) (err error) {
		w.Device, err = f.Exchange.Grants.LookDevice(tx, user, f.Now())
		return err
	})
	if err == nil {
		w.Application, err = f.application(ctx, w.Client)
	}
	if errors.Is(err, grant.ErrNoDevice) {
		err = ErrUserCode
	}
	if err != nil {
		return w, err
	}
	can, err := f.Exchange.targets(ctx)
	r := Request{Scope: strings.Fields(w.Scope), Resource: strings.Fields(w.Device.Resource)}
	w.Scopes, w.Resources = ofPerson(r), can.asks(r, grant.Consented{})
	return w, err
}

// application is that of a device, if people may let its devices in.
func (f *Device) application(ctx context.Context, id string) (client.Client, error) {
	c, ok, err := f.Exchange.Clients.Named(ctx, id)
	if err == nil && (!ok || c.Type != client.Device || !c.DisabledAt.IsZero()) {
		err = grant.ErrNoDevice
	}
	return c, err
}

// Answer lets the device in that waits with a code, or refuses it. Of several who answer one does.
func (f *Device) Answer(ctx context.Context, who flow.Identity, user string, yes bool, from event.Origin) error {
	ctx, run := f.Count.Begin(ctx, "answer_device")
	w, err := f.look(ctx, who, user, from)
	if err == nil {
		err = f.DB.Write(ctx, func(tx *db.Tx) error { return f.answer(tx, who, w.Application, user, yes, from) })
	}
	if errors.Is(err, grant.ErrNoDevice) {
		err = ErrUserCode
	}
	return run.End(err)
}

func (f *Device) answer(tx *db.Tx, who flow.Identity, c client.Client, user string, yes bool, from event.Origin) error {
	now := f.Now()
	held, err := session.Hold(tx, who.Session, now)
	if err == nil && f.Exchange.Revoked.Cut(held.AuthAt) {
		err = session.ErrNotFound
	}
	if err != nil {
		return err
	}
	of := event.Event{Account: held.Account, Session: who.Session, Origin: from, Detail: event.Detail{Client: c.ID, AMR: held.AMR, By: "device"}}
	if !yes {
		of.Kind, of.Outcome, of.Detail.Reason = event.AuthorizationDenied, event.Failure, errDeclined.Code
		f.Events.Append(tx, of)
		_, err := f.Exchange.Grants.DenyDevice(tx, user, now)
		return err
	}
	if err := f.mayAnswer(tx, c, held, now); err != nil {
		return err
	}
	d, ended, err := f.Exchange.Grants.AllowDevice(tx, user, grant.Holder{
		Account: held.Account, Roles: held.Roles, AMR: held.AMR, AuthAt: held.AuthAt, MaxAt: held.MaxAt, Until: held.Until,
	}, now)
	if err := flow.EndGrants(tx, f.Exchange.Revoked, ended, err); err != nil {
		return err
	}
	of.Kind, of.Outcome, of.Detail.Resource = event.AuthorizationGranted, event.Success, d.Resource
	f.Events.Append(tx, of)
	return nil
}

// mayAnswer judges the session that lets a device in, by its row: it is fresh, and what the application requires.
func (f *Device) mayAnswer(tx *db.Tx, c client.Client, held session.Held, now time.Time) error {
	has, err := account.CredentialsOf(tx, held.Account)
	if err != nil {
		return err
	}
	if err := flow.IsFresh(flow.Identity{AMR: held.AMR, AuthAt: held.AuthAt}, int64(has.Factors), now); err != nil {
		return err
	}
	required, least := c.Settings.RequireRoles, c.Settings.RequireACR
	if least != "" && !token.Satisfies(token.ACR(held.AMR), least) ||
		len(required) > 0 && !slices.ContainsFunc(required, func(r string) bool { return slices.Contains(held.Roles, r) }) {
		return ErrDeviceNotYours
	}
	return nil
}
