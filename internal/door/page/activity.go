package page

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// activityView is what the section shows.
type activityView struct {
	List []happening
	// Older is the id of the last one shown, if there are more.
	Older string
	// Email is the account's. Password says that the current password stands in for a fresh sign-in: there is no second factor.
	Email    string
	Password bool
}

// happening is an event in plain words.
type happening struct {
	Icon, Text string
	Warn       bool
	When       ui.Markup
	With, From string
}

// inWords are the words for an event that went well, and for one that did not; the icon that it has.
type inWords struct{ icon, done, failed string }

// happenings are the kinds of events that people know. Refreshes are left out: there are thousands.
var happenings = map[event.Kind]inWords{
	event.Login:              {"leave", "activity.login", "activity.failed"},
	event.FailedLogin:        {"lock", "activity.failed", "activity.failed"},
	event.Logout:             {"leave", "activity.logout", "activity.logout"},
	event.PasswordChange:     {"key", "activity.password", "activity.password-failed"},
	event.PasswordReset:      {"key", "activity.reset", "activity.reset"},
	event.EmailVerification:  {"mail", "activity.verified", "activity.verify-failed"},
	event.EmailChange:        {"mail", "activity.address", "activity.address"},
	event.AccountLockout:     {"lock", "activity.lockout", "activity.lockout"},
	event.SuspiciousActivity: {"warn", "activity.suspicious", "activity.suspicious"},
	event.AccountRegistered:  {"user", "activity.registered", "activity.registered"},
	event.AccountDisabled:    {"ban", "activity.disabled", "activity.disabled"},
	event.AccountEnabled:     {"check", "activity.enabled", "activity.enabled"},
	event.AccountUnlocked:    {"unlock", "activity.unlocked", "activity.unlocked"},
	event.ProfileChange:      {"pencil", "activity.profile", "activity.profile"},
	event.RoleChange:         {"users", "activity.roles", "activity.roles"},
	event.SessionRevoked:     {"leave", "activity.ended", "activity.ended"},
	event.DeviceKnown:        {"laptop", "activity.device", "activity.device"},
	event.SecondStepAsked:    {"lock", "activity.asked", "activity.asked"},
	event.AgreementAsked:     {"book", "activity.agreement", "activity.agreement"},
	event.ConsentChange:      {"book", "activity.consent", "activity.consent"},
	event.FactorAdded:        {"shield", "activity.factor", "activity.factor"},
	event.FactorRemoved:      {"shield", "activity.factor-removed", "activity.factor-removed"},
	event.PasskeyChanged:     {"passkey", "activity.passkey", "activity.passkey"},
	event.FactorUndone:       {"shield", "activity.factor-undone", "activity.factor-undone"},
	event.PasswordRemoved:    {"key", "activity.password-removed", "activity.password-removed"},
	event.IdentityLinked:     {"net", "activity.linked", "activity.linked"},
	event.IdentityUnlinked:   {"net", "activity.unlinked", "activity.unlinked"},
	event.RecoveryCodesMade:  {"key", "activity.codes", "activity.codes"},
	event.RecoveryCodeUsed:   {"key", "activity.code-used", "activity.code-used"},
	event.FactorInvited:      {"shield", "activity.factor-invited", "activity.factor-invited"},
	event.FactorResetAsked:   {"warn", "activity.factor-reset", "activity.factor-reset"},
	event.FactorResetStop:    {"shield", "activity.factor-kept", "activity.factor-kept"},
	event.FactorResetDone:    {"warn", "activity.factor-gone", "activity.factor-gone"},
	event.ErasureAsked:       {"bin", "activity.erasure", "activity.erasure"},
	event.ErasureUndone:      {"check", "activity.erasure-undone", "activity.erasure-undone"},
	event.DataExport:         {"fetch", "activity.export", "activity.export"},
	event.RateLimitExceeded:  {"clock", "activity.limited", "activity.limited"},
}

// warned are those that a person should look at.
var warned = map[event.Kind]bool{
	event.FailedLogin: true, event.AccountLockout: true, event.SuspiciousActivity: true, event.FactorResetAsked: true,
	event.ErasureAsked: true, event.DataExport: true,
}

// activityLength is how many are shown at once.
const activityLength = 12

// ActivitySection has what happened to the account, in plain words, and what to do about what was somebody else.
func (p *Account) ActivitySection(factors *flow.Factors, notMe *flow.NotMe) Section {
	return Section{
		ID: "activity", Icon: "log", Title: "activity.title",
		Load: func(r *http.Request, s Signed) (any, error) {
			o, err := factors.List(r.Context(), s.Identity)
			if err != nil {
				return nil, err
			}
			v := activityView{Email: s.Account.Email, Password: none(o)}
			before := web.Parameter(r, "before")
			for range 4 { // of a list in which refreshes are left out
				list, more, err := p.Profile.History(r.Context(), s.Identity, before, 2*activityLength)
				if err != nil {
					return nil, err
				}
				for _, e := range list {
					before = e.ID
					if e.Kind != event.TokenRefresh {
						v.List = append(v.List, happened(s, e))
					}
					if len(v.List) == activityLength {
						break
					}
				}
				if len(v.List) == activityLength || !more {
					if len(v.List) == activityLength {
						v.Older = before
					}
					break
				}
			}
			return v, nil
		},
		Actions: map[string]Action{"not-me": p.expelled(notMe)},
	}
}

// happened puts an event into words.
func happened(s Signed, e event.Entry) happening {
	h := happening{
		Icon: "log", Warn: warned[e.Kind], When: s.View.Time(e.Time), From: e.Address,
		Text: s.View.T("activity.other", "kind", string(e.Kind)),
	}
	if e.UserAgent != "" {
		h.With = device(s, session.DeviceName(e.UserAgent))
	}
	known, ok := happenings[e.Kind]
	if !ok {
		return h
	}
	h.Icon, h.Text = known.icon, s.View.T(known.done)
	if e.Kind == event.SecondStepAsked && e.Detail.By == flow.ByMail {
		h.Text = s.View.T("activity.asked-first")
	}
	if e.Outcome != event.Success {
		h.Text = s.View.T(known.failed)
	}
	return h
}
