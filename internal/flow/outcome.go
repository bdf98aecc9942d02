package flow

import (
	"context"
	"errors"
	"slices"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/trace"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
)

// Count is told how each run of a flow ended: the flow's name and an outcome of
// its, as [Outcomes] has them. It may be nil. A run that panics is not told.
type Count func(flow, outcome string)

// success is the outcome of a run that did what was asked, where the flow has
// no finer one.
const success = "success"

// reason is the cause of a fault, where the outcome is finer than what the
// client is told.
type reason string

func (r reason) Error() string { return string(r) }

// Outcomes returns the flows and the outcomes of each, in the order of a
// request's way.
func Outcomes() map[string][]string {
	out := map[string][]string{
		"register": {success, "address_taken", "registration_closed", "rate_limited"},
		"sign_in": {success, "unknown_account", "wrong_password", "account_disabled", "email_unverified", "changed_meanwhile", "too_many_attempts",
			"account_locked", "rate_limited", "password_breached", "password_expired", "password_reset_required"},
		"refresh": {
			string(session.Rotated), string(session.Raced), string(session.Retried), string(session.Reused),
			string(session.Ahead), string(session.Refused), string(session.Forged), string(session.Outdated), string(session.FromCookie),
		},
		"sign_out":            {success, "session_not_found", "expired", "invalid_token", string(session.Forged), string(session.Outdated)},
		"authenticate":        {success, "expired", "invalid_token", "revoked"},
		"authenticate_client": {string(client.Good), string(client.Old), string(client.WrongSecret), string(client.Unknown)},
		"administrate":        {success, "not_administrator", "sign_in_again"},
		"audit":               {success},
		"block":               {success, "block_not_found", "confirmation_needed"},
		"forward_auth":        {success, "expired", "invalid_token", "revoked"},
		"introspect":          {success, "inactive"},
		"revoke_token":        {success, "inactive"},
		"follow":              {success, "everything"},
		"profile":             {success, "account_not_found"},
		"strength":            {success},
		"unlock":              {success, "invalid_link"},
		"verify_email":        {success, "done_already", "password_required", "wrong_password", "too_many_codes", "too_many_attempts", "account_locked"},
		"resend_verification": {success, "rate_limited"},
		"forgot_password":     {success, "rate_limited"},
		"reset_password":      {success, "done_already", "too_many_codes", "too_many_attempts", "account_locked"},
		"change_password": {success, "account_not_found", "wrong_password", "too_many_attempts", "account_locked",
			"changed_meanwhile", "password_changed_too_often"},
		"change_email": {success, "rate_limited", "account_not_found", "wrong_password", "too_many_attempts", "account_locked"},
		"undo_email":   {success, "done_already", "wrong_password", "too_many_attempts", "account_locked"},
		"not_me":       {success, "done_already"},
		"setup":        {success, "setup_closed"},
	}
	for name, list := range out {
		out[name] = slices.Concat(list, []string{"invalid", "busy", "unavailable", "timed_out", "gone", "failed"})
	}
	return out
}

// run is one run of a flow: it is counted, and a step of the request's trace.
type run struct {
	count Count
	flow  string
	step  trace.Step
	over  context.CancelFunc
}

// leaves are the flows that end when their client leaves: they count nothing before
// the one transaction in which they do everything, or they read. A sign-in may be left
// while it waits for its turn, and no longer.
var leaves = map[string]bool{
	"sign_in": true, "refresh": true, "authenticate": true, "authenticate_client": true, "administrate": true, "audit": true,
	"forward_auth": true, "introspect": true, "follow": true, "profile": true, "strength": true,
}

// begin begins a run. What is done in it takes the context that it returns: it ends
// with the request's time, and not when the client leaves. Once a try, a code or a
// mail was counted, the event, the mail and the alert that belong to it follow whether
// or not anybody waits for the answer.
func (c Count) begin(ctx context.Context, flow string) (context.Context, run) {
	ctx, step := trace.Begin(ctx, flow)
	over := func() {}
	if !leaves[flow] {
		ctx, over = finishing(ctx)
	}
	return ctx, run{c, flow, step, over}
}

// finishing is a context for what is done to the end: it has the deadline of another,
// and is not cancelled with it.
func finishing(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if ctx = context.WithoutCancel(ctx); ok {
		return context.WithDeadline(ctx, deadline)
	}
	return ctx, func() {}
}

// end tells how the run ended, and returns its error.
func (r run) end(err error) error {
	r.count.add(r.flow, outcomeOf(err))
	r.step.End(err)
	r.over()
	return err
}

// as tells an outcome that is no error.
func (r run) as(outcome string) {
	r.count.add(r.flow, outcome)
	r.step.Set("outcome", outcome)
	r.step.End(nil)
	r.over()
}

// end tells how a run ended in which there was nothing to do, and returns its error.
func (c Count) end(flow string, err error) error {
	c.add(flow, outcomeOf(err))
	return err
}

func (c Count) add(flow, outcome string) {
	if c != nil {
		c(flow, outcome)
	}
}

func outcomeOf(err error) string {
	if err == nil {
		return success
	}
	var why reason
	f := fault.As(err)
	switch {
	case errors.As(err, &why):
		return string(why)
	case errors.Is(err, token.ErrExpired):
		return "expired"
	case f != nil && f.Kind == fault.Unavailable:
		if f.Code == "busy" {
			return f.Code
		}
		return "unavailable"
	case errors.Is(err, context.Canceled):
		return "gone"
	case errors.Is(err, context.DeadlineExceeded):
		return "timed_out"
	case f == nil || f.Kind == fault.Internal:
		return "failed"
	case f.Kind == fault.Invalid:
		return "invalid"
	default:
		return f.Code
	}
}
