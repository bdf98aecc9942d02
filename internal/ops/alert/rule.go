// Package alert watches the event log. Its rules count over sliding windows; a rule
// that fires raises one alert, however many replicas there are,
// and resolves it when it is over.
//
// The rules read the sealed log, in its order: an event that is committed late
// is sealed late, and none is skipped. How far they have read, and their state,
// is in one row that is written together with the alerts.
//
// # How it works
//
// The engine is only rules: no clock, no database; week_test.go tests them on
// a simulated week with planted attacks. How far the job has read, and the windows,
// are one row (alert_state), written by compare-and-set together with the alerts. A
// partial unique index allows one open alert per rule, however many replicas
// watch.
package alert

import (
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

// The rules' names.
const (
	FailedLogins    = "failed_logins"
	UnusualLogins   = "failed_logins_unusual"
	Spraying        = "spraying"
	Stuffing        = "stuffing"
	Registrations   = "registrations"
	TokenReuse      = "token_reuse"
	TamperedTokens  = "tampered_tokens"
	Introspection   = "introspection"
	SessionAhead    = "session_ahead"
	DatabaseErrors  = "database_errors"
	Injection       = "injection"
	RateLimits      = "rate_limits"
	AdminNetwork    = "admin_network"
	CanaryTouched   = "canary"
	PasswordsKnown  = "passwords_known"
	FactorResets    = "factor_resets"
	PasskeysDoubted = "passkeys_doubted"
	LogoutsUntold   = "logouts_untold"
	SealingTroubled = "sealing"
	AnchorTroubled  = "anchor"
	BackupTroubled  = "backup"
	RetentionLate   = "retention"
	MailTroubled    = "mail"
	PostureTurned   = "posture"
	ApprovalsWait   = "approvals"
)

// Thresholds says how many it takes for a rule to fire; 0 switches it off. The
// rules that are not here fire at the first.
type Thresholds struct {
	FailedLogins, UnusualLogins, Sprayed, Stuffed, Registrations, Reuses,
	Tampered, Introspections, DatabaseErrors, RateLimits int
}

// Rule is one thing that is watched.
type Rule struct {
	Name string
	// About is half a sentence: what it means when there are too many.
	About string
	// Window is what is counted together.
	Window time.Duration
	// Kinds are the events to look at.
	Kinds []event.Kind
	bound func(Thresholds) int
	// count is how much an event counts, for the rules that only count.
	count func(event.Entry) int64
}

// stuffedNetworks is from how many networks stuffing comes at least, and
// stuffedRatio how many tries fail for each that succeeds.
const (
	stuffedNetworks = 20
	stuffedRatio    = 2
)

// unusualFactor is how many times the worst same hour of the days before counts
// as unusual; unusualDays is how many days it takes to know what is usual.
const (
	unusualFactor = 4
	unusualDays   = 3
)

const (
	quarter = 15 * time.Minute
	hour    = time.Hour
	day     = 24 * time.Hour
)

// passwordsKnown is at how many accounts within an hour a right password without a second factor is an alert; an account
// counts once a day. factorResets is how many resets of factors within a day are one.
const (
	passwordsKnown = 5
	factorResets   = 3
)

func first(Thresholds) int { return 1 }

// times is how often the event says that it happened.
func times(e event.Entry) int64 { return max(1, e.Detail.Count) }

func reasons(list ...string) func(event.Entry) int64 {
	return func(e event.Entry) int64 {
		for _, r := range list {
			if e.Detail.Reason == r {
				return times(e)
			}
		}
		return 0
	}
}

var (
	failed     = []event.Kind{event.FailedLogin}
	suspicious = []event.Kind{event.SuspiciousActivity}
)

// Rules has every rule, in the order of the docs.
var Rules = []Rule{
	{FailedLogins, "sign-ins failed", quarter, failed, func(t Thresholds) int { return t.FailedLogins }, times},
	{UnusualLogins, "sign-ins failed, far more than at this hour of other days", hour, failed, func(t Thresholds) int { return t.UnusualLogins }, nil},
	{Spraying, "addresses were tried from one network", hour, failed, func(t Thresholds) int { return t.Sprayed }, nil},
	{Stuffing, "addresses were tried from many networks, and few succeed", hour, failed, func(t Thresholds) int { return t.Stuffed }, nil},
	{Registrations, "accounts were opened", hour, []event.Kind{event.AccountRegistered}, func(t Thresholds) int { return t.Registrations },
		func(e event.Entry) int64 {
			if e.Detail.By != "" {
				return 0 // an operator's, or the first administrator
			}
			return times(e)
		}},
	{TokenReuse, "replaced refresh tokens were used: they may be stolen", hour, suspicious, func(t Thresholds) int { return t.Reuses },
		reasons("refresh_token_reused")},
	{TamperedTokens, "tokens were not ours, or were tampered with", quarter, suspicious, func(t Thresholds) int { return t.Tampered },
		reasons("access_token_invalid", "refresh_token_forged", "refresh_token_refused", "refresh_token_from_cookie")},
	{Introspection, "calls came with wrong credentials of a client", quarter, suspicious, func(t Thresholds) int { return t.Introspections },
		reasons("client_credentials_wrong")},
	{SessionAhead, "refresh tokens are newer than the database: it went back in time", hour, suspicious, first, reasons("refresh_token_ahead")},
	{DatabaseErrors, "requests failed on the database", quarter, suspicious, func(t Thresholds) int { return t.DatabaseErrors }, reasons("database_error")},
	{Injection, "requests failed on SQL that the database could not parse: possible SQL injection", hour, suspicious, first, reasons("database_error_injection")},
	{RateLimits, "requests met a limit", quarter, []event.Kind{event.FailedLogin, "rate_limit_exceeded"}, func(t Thresholds) int { return t.RateLimits },
		func(e event.Entry) int64 {
			if e.Kind == event.FailedLogin && e.Detail.Reason != "too_many_attempts" {
				return 0
			}
			return times(e)
		}},
	{AdminNetwork, "sign-ins of an administrator came from a network never seen before", hour, []event.Kind{event.Login}, first, nil},
	{CanaryTouched, "events touched a canary account, which nobody has a reason to", hour, nil, first, nil},
	{PasswordsKnown, "accounts had their right password shown and no second factor: somebody has a list that works", hour, suspicious,
		func(Thresholds) int { return passwordsKnown }, reasons("password_known")},
	{FactorResets, "resets of second factors were asked for: somebody may talk operators into them", day, []event.Kind{event.FactorResetAsked},
		func(Thresholds) int { return factorResets }, times},
	{PasskeysDoubted, "passkeys seem to be copied, or their rows were altered: somebody has a device, or writes to the database", hour, suspicious, first,
		reasons("passkey_counter", "passkey_row_altered")},
	{LogoutsUntold, "applications were not told that sessions have ended: they did not listen for a day", hour, []event.Kind{event.LogoutNotified}, first,
		reasons("gave_up")},
	{SealingTroubled, "trouble with sealing the event log: it is behind, or contradicts what it was", 0, nil, first, nil},
	{AnchorTroubled, "checkpoints of the event log can't be sent to EVENT_ANCHOR", 0, nil, first, nil},
	{BackupTroubled, "trouble with backups: the newest is late, or drills fail", 0, nil, first, nil},
	{RetentionLate, "trouble with retention: it is late, fails, or asks before it deletes accounts", 0, nil, first, nil},
	{MailTroubled, "mails can't be sent", 0, nil, first, nil},
	{ApprovalsWait, "orders wait for a second administrator, and expire after four hours", 0, nil, first, nil},
	{PostureTurned, "checks of the doctor have turned: what was well is not any more", 0, nil, first, nil},
}

// ByName returns the rule of that name.
func ByName(name string) (Rule, bool) {
	for _, r := range Rules {
		if r.Name == name {
			return r, true
		}
	}
	return Rule{}, false
}

// Verdict is what a rule says at a moment.
type Verdict struct {
	Rule  Rule
	N     int64
	Bound int64
	At    time.Time
	// Network or Account is where to look, if there is one place.
	Network, Account string
}

// Broken reports whether an alert is to be raised, over whether one is to be
// resolved. In between, nothing changes.
func (v Verdict) Broken() bool { return v.Bound > 0 && v.N >= v.Bound }

func (v Verdict) over() bool { return v.Bound <= 0 || 2*v.N < v.Bound }

// What says it in a sentence.
func (v Verdict) What() string {
	where := ""
	switch {
	case v.Network != "":
		where = ", last from " + v.Network
	case v.Account != "":
		where = ", account " + v.Account
	}
	if v.Rule.Window == 0 {
		return fmt.Sprintf("%d: %s.", v.N, v.Rule.About)
	}
	return fmt.Sprintf("%d %s, within %d minutes%s. The bound is %d.", v.N, v.Rule.About, int(v.Rule.Window.Minutes()), where, v.Bound)
}

// Look is a command that shows more.
func (v Verdict) Look() string {
	switch v.Rule.Name {
	case SealingTroubled:
		return "gatehouse events verify"
	case AnchorTroubled:
		return "gatehouse events origin"
	case BackupTroubled:
		return "gatehouse backup list"
	case RetentionLate:
		return "gatehouse retention status"
	case ApprovalsWait:
		return "gatehouse incident list"
	case PostureTurned:
		return "gatehouse doctor"
	case MailTroubled:
		return "curl -s http://ADMIN_LISTEN_ADDR/metrics | grep gatehouse_alert_open"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "gatehouse events list --since %s --until %s", v.At.Add(-v.Rule.Window).UTC().Format(time.RFC3339),
		v.At.Add(time.Minute).UTC().Format(time.RFC3339))
	for _, k := range v.Rule.Kinds {
		if known(k) {
			b.WriteString(" --event " + string(k))
		}
	}
	if v.Network != "" {
		b.WriteString(" --network " + v.Network)
	}
	if v.Account != "" {
		b.WriteString(" --account " + v.Account)
	}
	return b.String()
}

func known(k event.Kind) bool {
	for _, a := range event.Catalogue {
		if a.Kind == k {
			return true
		}
	}
	return false
}
