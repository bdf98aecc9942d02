package operate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// What an admin_action did.
const (
	ActDisable     = "disable_account"
	ActEnable      = "enable_account"
	ActEndSession  = "end_session"
	ActEndSessions = "end_sessions"
	ActReset       = "demand_new_password"
	ActUnlock      = "unlock_account"
	ActVerify      = "verify_address"
	ActResend      = "resend_verification"
	ActRoles       = "change_roles"
	ActFactorReset = "reset_factors"
	ActFactorKeep  = "keep_factors"
	ActErase       = "erase_account"
	ActKeep        = "keep_account"
	ActExport      = "export_account"
	ActInvite      = "invite"
	ActBlock       = "block_network"
	ActUnblock     = "end_block"
	ActSilence     = "silence_alerts"
	ActRetryMail   = "send_mails_again"
	ActRotateKey   = "rotate_key"
	ActNewClient   = "register_application"
	ActNewSecret   = "rotate_application_secret" //nolint:gosec // the name of an action
	ActNoClient    = "delete_application"
	ActSetClient   = "change_application"
	ActNewResource = "register_resource"
	ActSetResource = "change_resource"
	ActNoResource  = "delete_resource"
	ActPause       = "pause_retention"
	ActResume      = "resume_retention"
	ActRetain      = "run_retention"

	ActOpenIncident  = "open_incident"
	ActNoteIncident  = "note_incident"
	ActContain       = "contain_incident"
	ActUndoContain   = "undo_incident_action"
	ActStopContain   = "stop_incident_action"
	ActApprove       = "approve_incident_action"
	ActCloseIncident = "close_incident"
)

// clientActions are those of the events about applications.
var clientActions = map[event.Kind]string{
	event.ClientCreated: ActNewClient, event.ClientRotated: ActNewSecret, event.ClientDeleted: ActNoClient,
	event.ClientChanged: ActSetClient,
}

// resourceActions are those of the events about resources.
var resourceActions = map[event.Kind]string{
	event.ResourceCreated: ActNewResource, event.ResourceChanged: ActSetResource, event.ResourceDeleted: ActNoResource,
}

// Acting is on whose behalf an [Operator] works, and why: an administrator's. The zero
// value is for the command line.
type Acting struct {
	Who flow.Identity
	// Why is the reason in their words.
	Why string
}

// As returns the operator on an administrator's behalf: each change is an
// admin_action as well, in the same transaction.
func (f *Operator) As(who flow.Identity, why string) *Operator {
	o := *f
	o.acting = Acting{who, why}
	return &o
}

// errShown is for a change of what is another by now than the person was shown.
var errShown = fault.New(fault.Conflict, "changed_meanwhile",
	"Somebody has changed this since you were shown it. Look at what it is now, and do it again if it is still right.")

// Shown names what somebody is shown of what they may replace as a whole: see [Operator.Over].
func Shown(what any) string {
	text, err := json.Marshal(what)
	if err != nil {
		panic(err) // it is a list or a struct of texts
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// Over returns an operator that replaces roles, and an application's settings, only where they are what the actor was shown
// (changed_meanwhile): of two people with the same form before them, the second would undo unseen what the first has done. The
// empty text is for who was shown nothing.
func (f *Operator) Over(shown string) *Operator {
	o := *f
	o.shown = shown
	return &o
}

// over refuses to replace what is not what was shown. Whoever calls it holds the row.
func (f *Operator) over(what any) error {
	if f.shown != "" && f.shown != Shown(what) {
		return errShown
	}
	return nil
}

// by is the By of the events.
func (f *Operator) by() string { return f.acting.Who.By() }

// actor is which administrator; empty for the command line, whose origin says it.
func (f *Operator) actor() string { return f.acting.Who.Account }

// acted records an admin_action, unless the command line did it, whose own event says
// who. It is of the account that it happened to, or of the actor's.
func (f *Operator) acted(tx *db.Tx, action string, e event.Event) {
	if f.acting.Who.Account != "" {
		recordAction(f.Events, tx, action, f.acting, e)
	}
}

// Acted is acted for what is done on other floors: about an incident.
func (f *Operator) Acted(tx *db.Tx, action string, e event.Event) { f.acted(tx, action, e) }

// recordAction writes an admin_action.
func recordAction(log *event.Log, tx *db.Tx, action string, a Acting, e event.Event) {
	e.Kind, e.Outcome = event.AdminAction, event.Success
	if e.Account == "" {
		e.Account = a.Who.Account
	}
	e.Detail.By, e.Detail.Actor, e.Detail.Action, e.Detail.Why = a.Who.By(), a.Who.Account, action, a.Why
	log.Append(tx, e)
}

// actedOn is acted for what took many transactions.
func (f *Operator) actedOn(ctx context.Context, action string, n int64, w Which, from event.Origin) error {
	if f.acting.Who.Account == "" {
		return nil
	}
	d := event.Detail{Count: n}
	if w.Network.IsValid() {
		d.Network = w.Network.String()
	}
	return f.DB.Write(ctx, func(tx *db.Tx) error {
		f.acted(tx, action, event.Event{Account: w.Account, Origin: from, Detail: d})
		return nil
	})
}

// The faults of who may act on whom.
var (
	ErrOneself = fault.New(fault.Conflict, "own_account",
		"This is your own account. Another administrator has to do this, so that nobody shuts themselves out.")
	errFactorsOfAdmin = fault.New(fault.Denied, "not_administrator",
		"The second factors of an administrator are removed on the command line alone: gatehouse user factor reset.")
	errAboveSupport = fault.New(fault.Denied, "not_administrator", "Only administrators act on the accounts of administrators.")
)

// ErrApproval is for what a second person has to approve, where somebody does it by themselves.
var ErrApproval = fault.New(fault.Conflict, "approval_needed",
	"APPROVALS=two: somebody else has to approve this first. Open an incident and order it there (gatehouse incident contain); it waits for the other one.")

// mayAct refuses what would leave nobody who administers, or is above the actor's role.
// The command line may do all of it. roles are those that the account is to have; nil
// if nobody is to sign in.
func (f *Operator) mayAct(tx *db.Tx, a account.Account, roles []string) error {
	if f.acting.Who.Account == "" || !slices.Contains(a.Roles, account.Admin) || slices.Contains(roles, account.Admin) {
		return nil
	}
	if a.ID == f.acting.Who.Account {
		return ErrOneself
	}
	if err := account.HoldAdmins(tx); err != nil {
		return err
	}
	other, err := account.OtherAdmin(tx, a.ID)
	if err == nil && !other {
		err = flow.ErrLastAdmin
	}
	return err
}

// MaySuspend refuses that all second factors of an account are made suspect, where that would leave nobody who administers, or
// shut out the actor. The command line may do it: it needs no account, and can take it back. Whoever calls it for an administrator
// holds the administrators ([account.HoldAdmins]).
func (f *Operator) MaySuspend(tx *db.Tx, id string) error {
	if f.acting.Who.Account == "" {
		return nil
	}
	if id == f.acting.Who.Account {
		return ErrOneself
	}
	a, err := account.ByID(tx, id)
	if err != nil || !slices.Contains(a.Roles, account.Admin) {
		return err
	}
	other, err := account.OtherAdminWhoGetsIn(tx, id)
	if err == nil && !other {
		err = flow.ErrLastAdmin
	}
	return err
}

// mostWhy is the longest reason, in characters.
const mostWhy = 200

// ParseWhy checks the reason of an administrator's change: it is asked for, since it
// is what others understand the log by.
func ParseWhy(s string) (string, error) {
	switch {
	case s == "":
		return "", fault.Field("reason", "required", "Say why: it goes into the event log.")
	case utf8.RuneCountInString(s) > mostWhy:
		return "", fault.Field("reason", "reason_too_long", "A reason has at most %d characters.", mostWhy)
	}
	for _, r := range s {
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
			return "", fault.Field("reason", "invalid_reason", "A reason can't hold control characters or invisible ones.")
		}
	}
	return s, nil
}
