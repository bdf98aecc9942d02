package page

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
)

// words are the keys of what a page says of a problem: what happened, and what to do. Without a title it
// has one for all.
type words struct{ title, text string }

// problems are the problems that people meet, by their code. For those that are not here the page has the
// fault's own words.
var problems = map[string]words{
	"invalid_credentials":         {"error.invalid_credentials.title", "error.invalid_credentials"},
	"account_disabled":            {"", "error.account_disabled"},
	"password_expired":            {"", "error.password_expired"},
	"password_reset_required":     {"", "error.password_reset_required"},
	"account_locked":              {"error.account_locked.title", "error.account_locked"},
	"too_many_attempts":           {"error.account_locked.title", "error.account_locked"},
	"rate_limited":                {"error.rate_limited.title", "error.rate_limited"},
	"password_changed_too_often":  {"", "error.password_changed_too_often"},
	"busy":                        {"error.busy.title", "error.busy"},
	"database_unavailable":        {"error.unavailable.title", "error.unavailable"},
	"timed_out":                   {"error.unavailable.title", "error.unavailable"},
	"breach_check_unavailable":    {"error.unavailable.title", "error.unavailable"},
	"required":                    {"", "error.required"},
	"invalid_email":               {"", "error.invalid_email"},
	"invalid_name":                {"", "error.invalid_name"},
	"nul_character":               {"", "error.invalid_name"},
	"name_too_long":               {"", "error.name_too_long"},
	"password_too_short":          {"", "error.password_too_short"},
	"password_too_long":           {"", "error.password_too_long"},
	"password_breached":           {"", "error.password_breached"},
	"password_personal":           {"", "error.password_personal"},
	"password_needs_uppercase":    {"", "error.password_needs_uppercase"},
	"password_needs_lowercase":    {"", "error.password_needs_lowercase"},
	"password_needs_digit":        {"", "error.password_needs_digit"},
	"password_needs_symbol":       {"", "error.password_needs_symbol"},
	"password_unchanged":          {"", "error.password_unchanged"},
	"wrong_password":              {"", "error.wrong_password"},
	"password_required":           {"", "error.password_required"},
	"invalid_link":                {"error.invalid_link.title", "error.invalid_link"},
	"invalid_code":                {"", "error.invalid_code"},
	"request_required":            {"", "error.request_required"},
	"too_many_codes":              {"", "error.too_many_codes"},
	"email_of_another":            {"", "error.email_of_another"},
	"address_taken":               {"", "error.address_taken"},
	"registration_closed":         {"", "error.registration_closed"},
	"setup_closed":                {"error.invalid_link.title", "error.setup_closed"},
	"changed_meanwhile":           {"", "error.changed_meanwhile"},
	"cross_origin":                {"error.cross_origin.title", "error.cross_origin"},
	"csrf_token_required":         {"", "error.csrf"},
	"invalid_form":                {"", "error.invalid_form"},
	"internal_error":              {"error.internal.title", "error.internal"},
	"redirect_loop":               {"error.redirect_loop.title", "error.redirect_loop"},
	"sign_in_again":               {"", "error.sign_in_again"},
	"step_up_required":            {"", "error.sign_in_again"},
	"code_used":                   {"", "second.used"},
	"invalid_recovery_code":       {"", "second.wrong-recovery"},
	"factor_locked":               {"error.account_locked.title", "second.locked"},
	"unknown_client":              {"", "error.unknown_client"},
	"redirect_uri_not_registered": {"", "error.redirect"},
	"request_over":                {"", "error.request_over"},
	"application_loop":            {"", "error.app_loop"},
	"sign_in_over":                {"", "second.over"},
	"nothing_pending":             {"", "second.over"},
	"offer_over":                  {"", "enrol.offer"},
	"invalid_mail_code":           {"", "error.invalid_code"},
	"invalid_passkey":             {"", "passkey.refused"},
	"challenge_expired":           {"", "passkey.expired"},
	"passkey_suspended":           {"", "passkey.suspended"},
	"passkey_known":               {"", "passkey.known"},
	"too_many_passkeys":           {"", "passkey.too-many"},
	"passkey_required":            {"", "passkey.required"},
	"last_factor":                 {"", "passkey.last"},
	"agreement_required":          {"", "agree.missing"},
	"document_changed":            {"", "agree.changed"},
	"document_not_found":          {"", "document.none"},
	"too_many_consents":           {"", "consents.too-many"},
	"sign_in_first":               {"", "error.sign_in_first"},
	"passkeys_needed":             {"", "error.passkeys_needed"},
	"passkey_not_alone":           {"", "error.passkey_not_alone"},
	"no_password":                 {"", "error.no_password"},
	"unknown_sign_in":             {"", "provider.over"},
	"link_over":                   {"", "provider.link-over"},
	"identity_taken":              {"", "provider.taken"},
	"provider_required":           {"", "provider.only"},
	"provider_unavailable":        {"error.unavailable.title", "provider.away"},
	"provider_answer_refused":     {"", "provider.refused"},
	"organisation_not_allowed":    {"", "provider.organisation"},
	"provider_denied":             {"", "provider.denied"},
	"provider_not_found":          {"", "provider.none"},
	"last_way_in":                 {"", "identities.last"},
	"invalid_user_code":           {"", "error.invalid_user_code"},
	"device_refused":              {"", "error.device_refused"},
}

// said are the words for a problem at a page.
func said(problem web.Problem, path string) words {
	w, ok := problems[problem.Code]
	switch {
	case problem.Code == "password_breached" && problem.Field == "": // at the sign-in: it is the right one
		w.text = "error.password_known"
	case problem.Code == "invalid_code" && (strings.HasPrefix(path, "/login/") || path == factorsPath): // an app's, and no email's
		w.text = "second.wrong"
	case problem.Code == "wrong_password" && (path == "/undo" || path == "/undo-factor"):
		w.text = "error.wrong_old_password"
	case !ok:
		return words{title: "error.title"}
	}
	if w.title == "" {
		w.title = "error.title"
	}
	return w
}

// blame puts into a page what went wrong, in the person's language, and returns it for the answer.
func (p *Pages) blame(v *ui.View, r *http.Request, err error) web.Problem {
	problem := web.ProblemOf(r, err)
	p.blameProblem(v, r, problem)
	return problem
}

func (p *Pages) blameProblem(v *ui.View, r *http.Request, problem web.Problem) words {
	w := said(problem, r.URL.Path)
	out := &ui.Problem{Level: "bad", Title: v.T(w.title), Field: problem.Field, Text: p.sentence(v, w, problem, again(r))}
	if wait := problem.RetryAfter(); problem.Status == http.StatusTooManyRequests && wait > 0 {
		out.Level, out.Wait = "warn", wait
	}
	v.Problem = out
	return w
}

// sentence is what a problem means, and what to do about it.
// again is where a problem's link to the sign-in leads. Whose sign-in is too old is signed in, and comes back.
func (p *Pages) sentence(v *ui.View, w words, problem web.Problem, again string) ui.Markup {
	if w.text == "" {
		return v.L.Escape(problem.Detail)
	}
	return v.H(w.text, "min", p.least(), "wait", v.Wait(problem.RetryAfter()), "forgot", "/forgot", "login", again, "detail", problem.Detail)
}

// again is the sign-in of who is signed in already, which leads back to this page.
func again(r *http.Request) string {
	if !strings.HasPrefix(r.URL.Path, home) {
		return "/login"
	}
	return "/login?again=1&return_to=" + url.QueryEscape(r.URL.Path)
}

// fail shows a form again with what is wrong, and returns the error for the log.
func (p *Pages) fail(w http.ResponseWriter, v *ui.View, name string, data any, problem web.Problem, err error) error {
	problem.SetHeaders(w.Header())
	if rerr := p.show(w, problem.Status, v, name, data); rerr != nil {
		return rerr
	}
	return err
}
