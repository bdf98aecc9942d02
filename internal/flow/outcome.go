package flow

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/rotation"
	"github.com/gatehouse-auth/gatehouse/internal/base/trace"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockdown"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/feature/upstream"
)

// Count is called with how each run of a flow ended: the flow's name and an outcome of
// its, as [Outcomes] has them. It may be nil. A run that panics is not counted.
type Count func(flow, outcome string)

// success is the outcome of a run that did what was asked, where the flow has
// no finer one.
const success = "success"

// Reason is the cause of a fault, where the outcome is finer than what the
// client is told.
type Reason string

func (r Reason) Error() string { return string(r) }

// Outcomes returns the flows and the outcomes of each, in the order of a
// request's way.
func Outcomes() map[string][]string {
	out := map[string][]string{
		"register": {success, "address_taken", "registration_closed", "rate_limited", "document_changed", "document_not_found"},
		"sign_in": {success, "unknown_account", "wrong_password", "account_disabled", "email_unverified", "changed_meanwhile", "too_many_attempts",
			"account_locked", "rate_limited", "password_breached", "password_expired", "password_reset_required", "second_factor_required",
			"second_factor_enrolment_required", "agreement_required"},
		"refresh": {
			string(session.Rotated), string(session.Raced), string(session.Retried), string(session.Reused), string(session.Ahead),
			string(session.Refused), string(session.Forged), string(session.Outdated), string(session.FromCookie), "second_factor_required",
		},
		"sign_out":     {success, "session_not_found", "expired", "invalid_token", string(session.Forged), string(session.Outdated)},
		"authenticate": {success, "expired", "invalid_token", "revoked"},
		"authenticate_client": {string(client.Good), string(client.Old), string(client.WrongSecret), string(client.Unknown), string(client.Disabled),
			string(client.Named), string(client.WrongAssertion), string(client.SpentAssertion)},
		"administrate": {success, "not_administrator", "sign_in_again"},
		"audit":        {success, "event_unknown"},
		"people":       {success, "account_not_found"},
		"overview":     {success},
		"operations":   {success, "client_not_found", "resource_not_found"},
		"act": {success, "account_not_found", "not_administrator", "address_taken", "own_account", "last_administrator", "account_disabled",
			"verified_already", "registration_closed", "session_not_found", "unknown_action", "confirmation_needed", "changed_meanwhile",
			"client_not_found", "client_name_taken", "mail_not_found", "erasure_not_found", "approval_needed",
			"resource_not_found", "resource_taken", "resource_in_use"},
		"incident": {success, "incident_not_found", "incident_closed", "action_not_found", "action_running", "action_ended", "no_way_back", "undone_already",
			"step_not_found", "client_not_found", "confirmation_needed", "not_waiting", "own_order", "order_void", "never_done"},
		"incidents":    {success, "incident_not_found", "client_not_found"},
		"block":        {success, "block_not_found", "confirmation_needed", "approval_needed"},
		"forward_auth": {success, "expired", "invalid_token", "revoked"},
		"introspect":   {success, "inactive"},
		"revoke_token": {success, "inactive"},
		"follow":       {success, "everything"},
		"profile":      {success, "account_not_found"},
		"strength":     {success},
		"unlock":       {success, "invalid_link"},
		"verify_email": {success, "done_already", "password_required", "sign_in_first", "wrong_password", "too_many_codes", "too_many_attempts",
			"account_locked"},
		"resend_verification": {success, "rate_limited"},
		"forgot_password":     {success, "rate_limited"},
		"reset_password":      {success, "done_already", "too_many_codes", "too_many_attempts", "account_locked"},
		"change_password": {success, "account_not_found", "wrong_password", "too_many_attempts", "account_locked",
			"changed_meanwhile", "password_changed_too_often", "sign_in_again", "step_up_required"},
		"change_email": {success, "rate_limited", "account_not_found", "wrong_password", "too_many_attempts", "account_locked",
			"sign_in_again", "step_up_required"},
		"undo_email": {success, "done_already", "wrong_password", "too_many_attempts", "account_locked"},
		"not_me":     {success, "done_already"},
		"setup":      {success, "setup_closed"},
	}
	maps.Copy(out, factorOutcomes())
	maps.Copy(out, privacyOutcomes())
	maps.Copy(out, consentOutcomes())
	maps.Copy(out, openidOutcomes())
	maps.Copy(out, providerOutcomes())
	closable(out)
	for name, list := range out {
		out[name] = slices.Concat(list, []string{"invalid", "busy", "unavailable", "timed_out", "gone", "failed"})
	}
	return out
}

// closable adds what ends those that a lockdown closes, and those of whom an address may have one way in alone.
func closable(out map[string][]string) {
	for _, name := range []string{"register", "sign_in", "second_step", "put_off_factor", "passkey_sign_in", "agree", "change_email", "verify_email",
		"mail_factor_code", "offer_app", "offer_passkey", "reinstate_passkey", "add_factor", "remove_factor", "remove_password", "make_recovery_codes",
		"begin_provider_sign_in", "provider_sign_in", "provider_sign_up", "link_identity", "unlink_identity"} {
		out[name] = append(out[name], lockdown.ErrShut.Code)
	}
	for _, name := range []string{"register", "sign_in", "second_step", "put_off_factor", "passkey_sign_in", "agree", "add_factor", "provider_sign_in",
		"provider_sign_up"} {
		out[name] = append(out[name], errProviderRequired.Code)
	}
}

// factorOutcomes are those of second factors and passkeys.
func factorOutcomes() map[string][]string {
	return map[string][]string{
		"second_step": {success, "wrong_code", "app_unreadable", "code_used", "wrong_recovery_code", "sign_in_over", "account_disabled", "password_reset_required",
			"too_many_attempts", "factor_locked", "rate_limited", "passkey_refused", "passkey_suspended", "passkey_required", "challenge_expired",
			"second_factor_enrolment_required", "agreement_required"},
		"put_off_factor": {success, "sign_in_over", "account_disabled", "password_reset_required", "second_factor_enrolment_required",
			"agreement_required"},
		"passkey_sign_in": {success, "passkey_refused", "passkey_suspended", "challenge_expired", "account_disabled", "password_reset_required",
			"changed_meanwhile", "rate_limited", "agreement_required"},
		"ask_passkey":       {success, "sign_in_over"},
		"list_factors":      {success},
		"mail_factor_code":  {success, "sign_in_over", "account_not_found", "sign_in_again", "step_up_required", "rate_limited"},
		"offer_app":         {success, "sign_in_over", "account_not_found", "sign_in_again", "step_up_required", "passkey_required"},
		"offer_passkey":     {success, "sign_in_over", "account_not_found", "sign_in_again", "step_up_required", "passkeys_off"},
		"rename_passkey":    {success, "factor_not_found"},
		"reinstate_passkey": {success, "passkeys_off", "account_not_found", "sign_in_again", "step_up_required", "factor_not_found", "changed_meanwhile"},
		"add_factor": {success, "sign_in_over", "account_not_found", "sign_in_again", "step_up_required", "wrong_code",
			"wrong_mail_code", "too_many_codes", "changed_meanwhile", "passkey_required", "passkey_refused", "challenge_expired", "passkey_known",
			"too_many_passkeys", "passkeys_off"},
		"remove_factor": {success, "account_not_found", "sign_in_again", "step_up_required", "factor_not_found", "last_factor",
			"changed_meanwhile"},
		"remove_password": {success, "account_not_found", "sign_in_again", "step_up_required", "passwordless_off", "passkeys_off", "no_password",
			"passkeys_needed", "changed_meanwhile"},
		"make_recovery_codes": {success, "account_not_found", "sign_in_again", "step_up_required", "no_factor", "changed_meanwhile"},
		"undo_factor":         {success, "done_already", "wrong_password", "too_many_attempts", "account_locked"},
		"stop_factor_reset":   {success, "done_already"},
		"unlock_factor":       {success, "sign_in_over", "rate_limited"},
	}
}

// openidOutcomes are those of sign-ins to applications: asked is that the person was asked for something first.
func openidOutcomes() map[string][]string {
	turns := []string{
		string(rotation.Rotated), string(rotation.Raced), string(rotation.Retried), string(rotation.Reused), string(rotation.Ahead), string(rotation.Refused),
		string(rotation.Forged), string(rotation.Outdated), "invalid_scope", "invalid_target",
	}
	return map[string][]string{
		"authorize": {success, "asked", "invalid_request", "invalid_scope", "invalid_target",
			"unsupported_response_type", "request_not_supported", "request_uri_not_supported",
			"registration_not_supported", "login_required", "consent_required", "account_selection_required", "interaction_required", "access_denied",
			"unknown_client", "redirect_uri_not_registered", "request_over", "application_loop"},
		"push": {success, "invalid_request", "invalid_scope", "invalid_target", "unsupported_response_type", "request_not_supported", "registration_not_supported",
			"redirect_uri_not_registered"},
		"exchange":        {success, "code_reuse", "refused", "forged", "invalid_target"},
		"refresh_grant":   turns,
		"credentials":     {success, "invalid_target", "invalid_scope", "unauthorized_client"},
		"register_client": {success, "registration_off", "invalid_token", "invalid_redirect_uri", "invalid_client_metadata", "rate_limited"},
		"begin_device":    {success, "invalid_target", "invalid_scope", "unauthorized_client"},
		"poll_device": {success, "authorization_pending", "slow_down", "access_denied", "expired_token", "invalid_target", "code_reuse", "refused",
			"forged"},
		"look_device":          {success, "invalid_user_code", "rate_limited"},
		"answer_device":        {success, "invalid_user_code", "rate_limited", "device_refused", "sign_in_again", "step_up_required"},
		"userinfo":             {success, "expired", "invalid_token", "revoked", "insufficient_scope"},
		"withdraw_application": {success, "application_not_found"},
		"notify_logout":        {success, "refused", "no_answer", "gave_up", "client_disabled"},
	}
}

// providerOutcomes are those of sign-ins by other providers: mailed is the one page for all that the rule does not know.
func providerOutcomes() map[string][]string {
	ends := []string{
		success, "sign_in_over", "account_disabled", "password_reset_required", "changed_meanwhile", "second_factor_required",
		"second_factor_enrolment_required", "agreement_required", "rate_limited",
	}
	links := []string{errIdentityTaken.Code, errLinkOver.Code, "sign_in_again", "step_up_required", "account_not_found"}
	return map[string][]string{
		"begin_provider_sign_in": {success, "provider_not_found", "sign_in_again", "step_up_required", "account_not_found"},
		"provider_sign_in": slices.Concat(ends, links, upstream.Reasons(), []string{
			"mailed", "linked", "unknown_sign_in", "provider_not_found", upstream.ErrDenied.Code, upstream.ErrNotAllowed.Code,
		}),
		"provider_sign_up": slices.Concat(ends, []string{"too_many_codes", "unknown_sign_in", "provider_not_found"}),
		"link_identity":    slices.Concat(links, []string{success, "unknown_sign_in", "provider_not_found", "changed_meanwhile"}),
		"unlink_identity": {success, "account_not_found", "sign_in_again", "step_up_required", "identity_not_found", errLastWayIn.Code,
			"changed_meanwhile"},
		"identities": {success},
	}
}

// privacyOutcomes are those of what people do with all of their account.
func privacyOutcomes() map[string][]string {
	taking := []string{success, "account_not_found", "sign_in_again", "step_up_required", "wrong_password", "too_many_attempts", "account_locked"}
	return map[string][]string{
		"ask_erasure": slices.Concat(taking, []string{"last_administrator"}),
		"export":      slices.Concat(taking, []string{"rate_limited"}),
		"erase":       {success, "kept"},
	}
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
	"people": true, "overview": true, "operations": true, "incidents": true,
	"forward_auth": true, "introspect": true, "follow": true, "profile": true, "strength": true, "list_factors": true, "ask_passkey": true,
	"consents": true, "identities": true, "begin_provider_sign_in": true,
}

// Begin begins a run. What is done in it takes the context that it returns: it ends
// with the request's time, and not when the client leaves. Once a try, a code or a
// mail was counted, the event, the mail and the alert that belong to it follow whether
// or not anybody waits for the answer.
func (c Count) Begin(ctx context.Context, flow string) (context.Context, run) {
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

// End tells how the run ended, and returns its error.
func (r run) End(err error) error {
	r.count.add(r.flow, outcomeOf(err))
	r.step.End(err)
	r.over()
	return err
}

// As tells an outcome that is no error.
func (r run) As(outcome string) {
	r.count.add(r.flow, outcome)
	r.step.Set("outcome", outcome)
	r.step.End(nil)
	r.over()
}

// End tells how a run ended in which there was nothing to do, and returns its error.
func (c Count) End(flow string, err error) error {
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
	var (
		why     Reason
		refused upstream.Reason
	)
	f := fault.As(err)
	switch {
	case errors.As(err, &why):
		return string(why)
	case errors.As(err, &refused):
		return string(refused)
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
