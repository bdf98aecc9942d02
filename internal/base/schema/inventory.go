package schema

import (
	"slices"
	"strings"
)

// Class says how much harm it does if somebody gets hold of a value, and so how it is protected: see [Classes].
type Class string

// The classes, the most sensitive first. Plain is what tells nothing about a person.
const (
	Credential Class = "credential"
	Identity   Class = "identity"
	Trace      Class = "trace"
	Reference  Class = "reference"
	Plain      Class = "plain"
)

// ClassRule is how the values of a class are protected, wherever they are.
type ClassRule struct {
	Class                            Class
	What, Stored, Seen, Logged, Kept string
}

// Classes are the rules of all classes (ASVS 14.1.2).
var Classes = []ClassRule{
	{
		Credential, "what signs somebody in, or would",
		"as a slow or keyed hash where it is only compared, else sealed under a key of the ring (AES-256-GCM); never as it is",
		"nobody; a new one is shown once, to its owner", "never: a test reads every line for them",
		"until it is used or replaced, or its account goes",
	},
	{
		Identity, "who somebody is, and what reaches them",
		"as it is, in the database alone: its roles and TLS guard it, backups are encrypted",
		"the person; administrators and support", "never: events have a keyed hash of an address where they need one",
		"as long as the account",
	},
	{
		Trace, "where, when and with what somebody was here",
		"as it is, in the database; in the log's personal part, which can be erased without breaking the log's seal",
		"the person; administrators and support; whom EVENT_FORWARD sends the log to", "addresses of networks and user agents, in the server's log and the events",
		"for the time below, and at most as long as the account",
	},
	{
		Reference, "a number or a keyed hash that points at a person, and tells nothing by itself",
		"as it is", "as what it stands beside", "yes", "as what it stands beside",
	},
}

// Personal says of a table what it has of people: why it is kept and for how long. Each of its columns is in one class.
type Personal struct {
	Table string
	// Person is the column that says whose a row is: an erasure goes by it. It is empty where that is not one column, and
	// Erased says what becomes of the rows then.
	Person, Erased string
	Why, Until     string
	Columns        map[Class][]string
}

// Inventory has every table that knows anything of a person; Impersonal has all others. A column of the database that is in
// neither fails a test.
var Inventory = []Personal{
	about("account", "id", "to tell people apart, to let them in, and to reach them", "until it is erased; 2 years after the last sign-in",
		"identity: email email_key name locale", "credential: hash",
		"trace: created_at disabled_at erase_at factor_asked_at password_at password_told_at reset_at signed_in_at verified_at",
		"reference: id handle", "plain: address_n erase_why factor_n factors password_n reset_n roles roles_n words"),
	about("account_word", "account_id", "administrators find people by it", "as long as the account", "identity: word", "reference: account_id", "plain: kind"),
	about("alert_canary", "account_id", "an alert if somebody signs in to an account that nobody should use", "until it is taken away",
		"reference: account_id", "plain: made_at"),
	about("totp", "account_id", "checks the codes of an app", "until it is removed", "credential: sealed", "trace: made_at suspect_at used_at",
		"reference: account_id", "plain: id last_step"),
	about("totp_offer", "account_id", "an app that is being added", "10 minutes, and a day",
		"credential: sealed", "reference: account_id holder", "plain: expires_at id tries"),
	about("recovery_code", "account_id", "lets somebody in who has lost the app", "until it is used, and new ones are made", "credential: hash",
		"trace: made_at suspect_at used_at", "reference: account_id"),
	about("passkey", "account_id", "checks what a passkey signs", "until it is removed", "credential: credential public_key mac",
		"identity: name", "trace: aaguid made_at used_at suspect_at transports backed_up eligible", "reference: account_id id",
		"plain: counter discoverable rp_id verifies"),
	about("pending", "account_id", "a sign-in that waits for its second step or an agreement", "10 minutes, and a minute", "credential: hash",
		"trace: auth_at device made_at network", "reference: account_id",
		"plain: amr expires_at factor_n id password_n proof tries want"),
	about("factor_reset", "account_id", "an operator's reset of factors that waits", "until it is done or stopped", "identity: address address_key",
		"trace: asked_at due_at reason", "reference: account_id asked_by"),
	about("former_password", "account_id", "the way back after a break-in", "7 days after it was replaced", "credential: hash", "reference: account_id",
		"plain: from_n id to_n until_at"),
	about("consent", "account_id", "to show who agreed to what, and when", "as long as the account", "trace: given_at withdrawn_at language how",
		"reference: account_id", "plain: document hash id version"),
	about("erasure", "account_id", "an account that is being erased: so that it goes on where it stopped", "until it is done, 15 s after the account is gone",
		"trace: moved_at", "reference: account_id", "plain: state why"),
	about("erasure_step", "account_id", "a step of that; it never has a row", "it has none", "trace: time", "reference: account_id", "plain: step"),
	about("inactive_notice", "account_id", "that its owner was warned before an unused account goes", "until they sign in, or it is gone",
		"trace: accepted_at queued_at", "reference: account_id mail_id", "plain: step"),
	about("ticket", "account_id", "links and codes in mails", "7 days after their end", "credential: code hash old_hash", "identity: address address_key",
		"trace: used_at", "reference: account_id", "plain: code_until expires_at holds id password_n purpose request seq tries"),
	about("outbox", "account_id", "mails that wait, and that they were sent", "sent ones 30 days, failed ones 90", "credential: sealed", "identity: sent_to",
		"trace: created_at sent_at dead_at", "reference: account_id", "plain: due_at error id kind tries until_at"),
	about("session", "account_id", "keeps somebody signed in; shows them where; tells new devices", "30 days after its end", "credential: cur prev salt",
		"trace: address amr auth_at device ended_at ended_why last_address minted_at network rotated_at used_at user_agent", "reference: account_id id sid",
		"plain: gen idle_at max_at roles"),
	about("client_grant", "account_id", "keeps somebody signed in to an application", "7 days after its end", "credential: code cur prev salt challenge nonce",
		"trace: amr auth_at created_at ended_at ended_why minted_at rotated_at started_at", "reference: account_id id sid client_id",
		"plain: code_until gen idle_at max_at offline redirect_uri resource roles scope"),
	about("session_client", "account_id", "which applications to tell that a session has ended", "until they are told, at its end", "trace: since",
		"reference: account_id client_id sid", "plain: look_at"),
	shared("logout_notice", "a row ends by itself: it goes once the application is told, and within about a day in any case",
		"a message to an application that a session has ended", "until it is told, a day at most", "trace: created_at", "reference: account_id client_id sid",
		"plain: due_at error tries until_at"),
	about("client_consent", "account_id", "who said yes to which application, so that they are not asked again", "until they take it back", "trace: given_at",
		"reference: account_id client_id", "plain: resource scope"),
	about("identity", "account_id", "lets somebody in who signs in at another provider", "until it is unlinked", "identity: email subject",
		"trace: linked_at used_at", "reference: account_id", "plain: provider"),
	about("known_device", "account_id", "browsers that are let in although strangers guess", "90 days after the last use", "credential: id",
		"trace: created_at seen_at", "reference: account account_id"),
	about("unlock_link", "account_id", "a mail's link that makes a browser known", "7 days after its end", "credential: cookie hash", "trace: used_at",
		"reference: account account_id", "plain: expires_at"),
	shared("guess", "keyed hashes; a row ends by itself within 90 days of its last try", "counts wrong passwords", "90 days after the last",
		"reference: account k", "trace: seen_at", "plain: day locked_day n next_at"),
	shared("device_request", "a device's network and program; a row ends by itself", "a device that waits for somebody to let it in", "20 minutes",
		"credential: hash user_code", "trace: address user_agent polled_at", "reference: client_id grant_id",
		"plain: answer expires_at pause resource scope slow"),
	shared("pushed_request", "sealed; a row ends by itself", "what an application asks for, and whom it expects to sign in", "two hours",
		"credential: hash", "identity: sealed", "reference: client_id", "trace: used_at", "plain: expires_at"),
	shared("code_try", "keyed hashes of addresses; a row ends by itself", "counts wrong codes", "a day", "reference: k", "plain: n since"),
	about("mail_hold", "account_id", "keeps mails from an address that a restore has brought back", "until an operator releases it", "reference: account_id",
		"plain: since"),
	shared("mail_share", "keyed hashes of addresses; a row ends by itself", "counts mails that strangers cause", "a day", "reference: k", "plain: at due sent"),
	about("event_personal", "person", "what happened to an account: for its owner, and against attacks", "90 days (12 months for PCI DSS)", "trace: data",
		"reference: person", "plain: event_id salt"),
	shared("alert", "alerts that name the account are rewritten without it", "what somebody should look at", "a year after it was resolved", "trace: look what",
		"plain: bound id n raised_at resolved_at rule"),
	shared("alert_state", "ids of accounts in it end within a day", "counts behind alerts", "a day", "trace: state", "plain: n one"),
	shared("revocation", "a subject's row ends within 2 hours of the tokens it ends", "ends tokens before their time", "2 hours after", "reference: subject",
		"plain: expires_at kind n roles tx"),
	shared("block", "a network is no person's; a reason should name nobody", "networks that are refused", "an hour after its end", "trace: network reason",
		"plain: added_at expires_at id n removed_at"),
	shared("client", "a name is an application's", "registered applications", "until it is deleted", "credential: hash old_hash",
		"plain: created_at disabled_at id name old_until rotated_at settings sid source type"),
	shared("hold", "an administrator's id in it goes with the hold", "keeps what is about to be deleted, for a lawsuit or an incident", "until its end",
		"trace: reason", "reference: set_by", "plain: one set_at until_at"),
	about("incident_person", "account_id", "whom an incident touches: to act, to notify, and to answer for it (GDPR, article 33(5))", "as long as the account",
		"trace: added_at done_at", "reference: account_id", "plain: action_id incident_id"),
	shared("incident", "a title and lessons should name nobody", "what happened, when, and what was learned (GDPR, article 33(5))", "it stays",
		"trace: title lessons", "plain: alert aware_at began_at closed_at contained_at id n opened_at recovered_at"),
	shared("incident_action", "an administrator's id in it is taken out", "what was done to contain an incident", "as the incident", "trace: why wants",
		"reference: actor approved_by", "plain: action began_at ended_at expires_at id incident_id place state touched"),
	shared("incident_entry", "an administrator's id in it is taken out; a note should name nobody", "the timeline of an incident", "as the incident",
		"trace: text", "reference: actor", "plain: action_id id incident_id kind time"),
	shared("incident_step", "an administrator's id in it is taken out", "the checklist of an incident", "as the incident", "reference: actor",
		"plain: done_at incident_id step"),
	shared("setup_link", "nobody's yet", "makes the first administrator", "a day", "credential: hash", "plain: created_at expires_at"),
}

// Impersonal are the tables that know nothing of anybody.
var Impersonal = strings.Fields(`install ring_key ring_wrap challenge_spent document acme_secret acme_try event event_leaf event_node event_head
	event_checkpoint event_origin event_erasure event_erased event_retired event_forward event_anchor event_figure alert_mail alert_silence job replica
	alert_delivery client_assertion resource backup_run doctor_check import_run inactive_run ledger_reach retention schema_version schema_lock`)

// about is a row of the inventory whose rows are one person's. Columns are words "class: column column".
func about(table, person, why, until string, columns ...string) Personal {
	p := Personal{Table: table, Person: person, Why: why, Until: until, Columns: map[Class][]string{}}
	for _, list := range columns {
		class, names, _ := strings.Cut(list, ": ")
		p.Columns[Class(class)] = strings.Fields(names)
	}
	return p
}

// shared is one whose rows no column gives to a person.
func shared(table, erased, why, until string, columns ...string) Personal {
	p := about(table, "", why, until, columns...)
	p.Erased = erased
	return p
}

// Unlisted returns what a database has and the inventory does not: tables, and columns of tables that are in it.
func Unlisted(columns map[string][]string) (names []string) {
	for table, has := range columns {
		if slices.Contains(Impersonal, table) {
			continue
		}
		i := slices.IndexFunc(Inventory, func(p Personal) bool { return p.Table == table })
		if i < 0 {
			names = append(names, table)
			continue
		}
		for _, column := range has {
			if !Inventory[i].has(column) {
				names = append(names, table+"."+column)
			}
		}
	}
	slices.Sort(names)
	return names
}

func (p Personal) has(column string) bool {
	for _, names := range p.Columns {
		if slices.Contains(names, column) {
			return true
		}
	}
	return false
}
