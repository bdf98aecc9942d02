// Package schema is the one list of the database's tables: their columns, of which
// type each is, and what a backup and a restore do with them. Backups are made and
// loaded from it. A test holds it against both databases, so a migration that makes a
// table or a column has to say here what becomes of it.
package schema

import (
	"strings"
)

// Restore says what a restore does with the rows of a table.
type Restore string

// What may become of a table's rows.
const (
	// Whole: all rows are loaded.
	Whole Restore = "whole"
	// Part: some rows are loaded; package backup says which.
	Part Restore = "part"
	// Nothing: the rows are in a backup, to be looked at, and no restore loads them.
	Nothing Restore = "nothing"
	// Absent: the rows are in no backup.
	Absent Restore = "absent"
)

// Type is how a column's values are written in a backup.
type Type string

// The types. There are no others: no time, no floating point, no JSON type.
const (
	Integer Type = "i"
	Text    Type = "t"
	Bytes   Type = "b"
)

// Column is one column, as it stands in a backup.
type Column struct {
	Name string
	Type Type
}

// Table is one table, with its columns in the order of their names.
type Table struct {
	Name    string
	Columns []Column
	Restore Restore
	// Why says why it is restored so.
	Why string
}

// Open stands in a backup in place of the column tx of the table event, which counts the
// transactions of one server: it is 0 for an event that is sealed for certain, and
// 1 for one that may not be.
const Open = "open"

// Tables are all tables, in the order in which they are loaded: what others point at
// comes first.
var Tables = []Table{
	table("install", Whole, "its epoch and its timeline are new after a restore",
		"admin_at:i block_n:i created_at:i epoch:i fenced_at:i id:t incident_n:i ledger_key:b moved_to:t one:i ring_n:i shut_changes:i "+
			"shut_registration:i shut_sign_in:i timeline:t"),
	table("ring_key", Whole, "keys that open what is kept stay; those that let somebody in are made anew: see keyring.Restored",
		"algorithm:t created_at:i from_at:i id:t life:i n:i purpose:t revoked_at:i"),
	table("ring_wrap", Whole, "as ring_key",
		"kek:t key_id:t made_at:i sealed:b"),
	table("account", Whole, "who has one",
		"address_n:i created_at:i disabled_at:i email:t email_key:t erase_at:i erase_why:t factor_asked_at:i factor_n:i factors:i handle:b hash:t "+
			"id:t locale:t name:t password_at:i password_n:i password_told_at:i reset_at:i reset_n:i roles:t roles_n:i signed_in_at:i verified_at:i words:i"),
	table("erasure", Whole, "what was being erased goes on",
		"account_id:t moved_at:i state:t why:t"),
	table("erasure_step", Absent, "it never has a row",
		"account_id:t step:t time:i"),
	table("account_word", Whole, "what accounts are found by",
		"account_id:t kind:t word:t"),
	table("alert_canary", Whole, "accounts that nobody should touch",
		"account_id:t made_at:i"),
	table("totp", Whole, "apps that show codes; the ring's key for them stays", "account_id:t id:t last_step:i made_at:i sealed:b suspect_at:i used_at:i"),
	table("recovery_code", Whole, "recovery codes", "account_id:t hash:b made_at:i suspect_at:i used_at:i"),
	table("passkey", Whole, "public keys; their rows' MAC is under the ring's key, which stays",
		"aaguid:t account_id:t backed_up:i counter:i credential:b discoverable:i eligible:i id:t mac:b made_at:i name:t public_key:b rp_id:t suspect_at:i "+
			"transports:t used_at:i verifies:i"),
	table("challenge_spent", Nothing, "the challenges' key is made anew", "hash:b until:i"),
	table("totp_offer", Nothing, "an app that is being added is added again", "account_id:t expires_at:i holder:t id:t sealed:b tries:i"),
	table("pending", Nothing, "a sign-in that has begun begins again",
		"account_id:t amr:t auth_at:i device:t expires_at:i factor_n:i hash:b id:t made_at:i network:t password_n:i proof:t tries:i want:t"),
	table("factor_reset", Nothing, "an operator asks for it again: its mail may not have been sent",
		"account_id:t address:t address_key:t asked_at:i asked_by:t due_at:i reason:t"),
	table("document", Whole, "what was agreed to can be shown", "hash:b made_at:i name:t texts:t version:i"),
	table("consent", Whole, "who agreed to what",
		"account_id:t document:t given_at:i hash:b how:t id:t language:t version:i withdrawn_at:i"),
	table("former_password", Whole, "opens an undo",
		"account_id:t from_n:i hash:t id:t to_n:i until_at:i"),
	table("ticket", Part, "undos alone: every other link that was used since would work again",
		"account_id:t address:t address_key:t code:b code_until:i expires_at:i hash:b holds:i id:t old_hash:t password_n:i "+
			"purpose:t request:b seq:i tries:i used_at:i"),
	table("client", Whole, "registered applications",
		"created_at:i disabled_at:i hash:b id:t name:t old_hash:b old_until:i rotated_at:i settings:t sid:t source:t type:t"),
	table("resource", Whole, "what applications ask tokens for", "created_at:i disabled_at:i name:t open:i scopes:t source:t uri:t"),
	table("client_assertion", Nothing, "good for ten minutes", "client_id:t expires_at:i jti:b"),
	table("client_grant", Nothing, "applications have people sign in again",
		"account_id:t amr:t auth_at:i challenge:t client_id:t code:b code_until:i created_at:i cur:b ended_at:i ended_why:t gen:i id:t idle_at:i max_at:i "+
			"minted_at:i nonce:t offline:i prev:b redirect_uri:t resource:t roles:t rotated_at:i salt:b scope:t sid:t started_at:i"),
	table("session_client", Nothing, "no session is loaded", "account_id:t client_id:t look_at:i sid:t since:i"),
	table("logout_notice", Nothing, "it was about sessions of then",
		"account_id:t client_id:t created_at:i due_at:i error:t sid:t tries:i until_at:i"),
	table("device_request", Nothing, "the device begins again",
		"address:t answer:t client_id:t expires_at:i grant_id:t hash:b pause:i polled_at:i resource:t scope:t slow:i user_agent:t user_code:b"),
	table("pushed_request", Nothing, "applications send people again", "client_id:t expires_at:i hash:b sealed:t used_at:i"),
	table("identity", Whole, "who signs in by which provider", "account_id:t email:t linked_at:i provider:t subject:t used_at:i"),
	table("client_consent", Whole, "who said yes to which application", "account_id:t client_id:t given_at:i resource:t scope:t"),
	table("block", Whole, "networks that are refused",
		"added_at:i expires_at:i id:t n:i network:t reason:t removed_at:i"),
	table("guess", Whole, "tries at passwords",
		"account:t day:i k:t locked_day:i n:i next_at:i seen_at:i"),
	table("code_try", Whole, "tries at codes",
		"k:t n:i since:i"),
	table("mail_share", Whole, "mails that strangers caused",
		"at:i due:i k:t sent:i"),
	table("outbox", Whole, "what waits is given up: it may have been sent, and its links are void",
		"account_id:t created_at:i dead_at:i due_at:i error:t id:t kind:t sealed:b sent_at:i sent_to:t tries:i until_at:i"),
	table("acme_secret", Whole, "the certificate of the public listener",
		"n:i name:t sealed:b until:i"),
	table("acme_try", Whole, "when the next certificate may be tried",
		"at:i failures:i name:t trouble:t"),
	table("event", Whole, "the log",
		"hash:b id:t kind:t open:i outcome:t time:i"),
	table("event_personal", Whole, "the log",
		"data:t event_id:t person:t salt:b"),
	table("event_leaf", Whole, "the log",
		"event_id:t hash:b n:i"),
	table("event_node", Whole, "the log",
		"hash:b level:i n:i"),
	table("event_head", Whole, "the log",
		"from_tx:i one:i root:b size:i"),
	table("event_checkpoint", Whole, "the log",
		"note:t origin:i size:i time:i"),
	table("event_origin", Whole, "the log; a new origin begins behind it",
		"n:i name:t size:i time:i verifier:t"),
	table("event_erasure", Whole, "the log",
		"parts:t statement:t time:i"),
	table("event_erased", Whole, "the log",
		"commitment:t event_id:t statement:t time:i"),
	table("event_retired", Whole, "the log",
		"event_id:t n:i time:i until:i"),
	table("event_forward", Whole, "how far the log was forwarded",
		"n:i name:t"),
	table("event_anchor", Whole, "since when the anchor fails",
		"failing_since:i one:i"),
	table("event_figure", Whole, "what was counted of the log",
		"hour:i n:i name:t"),
	table("alert", Whole, "open ones are resolved",
		"bound:i id:t look:t n:i raised_at:i resolved_at:i rule:t what:t"),
	table("alert_mail", Whole, "when alerts were last mailed",
		"mailed_at:i rule:t"),
	table("alert_silence", Whole, "rules that are silent",
		"rule:t until_at:i"),
	table("alert_state", Whole, "goes on behind the log",
		"n:i one:i state:t"),
	table("session", Nothing, "cookies that were taken away would count again",
		"account_id:t address:t amr:t auth_at:i cur:b device:t ended_at:i ended_why:t gen:i id:t idle_at:i last_address:t "+
			"max_at:i minted_at:i network:t prev:b roles:t rotated_at:i salt:b sid:t used_at:i user_agent:t"),
	table("known_device", Nothing, "a device that was forgotten would be known again",
		"account:t account_id:t created_at:i id:t seen_at:i"),
	table("setup_link", Nothing, "a link that was used would work again",
		"created_at:i expires_at:i hash:b"),
	table("unlock_link", Nothing, "a link that was used would work again",
		"account:t account_id:t cookie:t expires_at:i hash:b used_at:i"),
	table("revocation", Nothing, "one row ends all that began before the restore",
		"expires_at:i kind:t n:i roles:t subject:t"),
	table("job", Absent, "leases and timetables of replicas that are gone",
		"due_at:i error:t finished_at:i holder:t leased_to:i name:t started_at:i"),
	table("replica", Absent, "replicas that are gone",
		"id:t n:i seen_at:i"),
	table("alert_delivery", Absent, "what may have been sent",
		"about:t alert_id:t channel:t due_at:i error:t id:t sent_at:i tries:i"),
	table("ledger_reach", Whole, "of the histories that are over; the new one has none", "leaf:i put_at:i timeline:t"),
	table("mail_hold", Whole, "addresses that may be a stranger's", "account_id:t since:i"),
	table("backup_run", Whole, "which backups were made, tried and restored",
		"backup:t began_at:i bytes:i ended_at:i error:t id:t kind:t manifest:t snapshot_at:i"),
	table("inactive_notice", Whole, "mails that announce the end of an account; each counts from when it was accepted",
		"accepted_at:i account_id:t mail_id:t queued_at:i step:i"),
	table("inactive_run", Whole, "when it last ran: longer ago than 30 days, it asks",
		"allowed_until:i brake:t braked_at:i day_at:i day_n:i one:i ran_at:i"),
	table("incident", Whole, "what happened, and what was done about it; newer ones are in the bundles that were frozen",
		"alert:t aware_at:i began_at:i closed_at:i contained_at:i id:t lessons:t n:i opened_at:i recovered_at:i title:t"),
	table("incident_action", Whole, "what was not done to its end goes on",
		"action:t actor:t approved_by:t began_at:i ended_at:i expires_at:i id:t incident_id:t place:t state:t touched:t wants:t why:t"),
	table("incident_entry", Whole, "as incident", "action_id:t actor:t id:t incident_id:t kind:t text:t time:i"),
	table("incident_person", Whole, "as incident_action", "account_id:t action_id:t added_at:i done_at:i incident_id:t"),
	table("incident_step", Whole, "as incident", "actor:t done_at:i incident_id:t step:t"),
	table("hold", Whole, "what is held stays so",
		"one:i reason:t set_at:i set_by:t until_at:i"),
	table("retention", Whole, "when it last ran, so that it waits a day after a restore",
		"began_at:i deleted:t deleting:t error:t failures:i looked_at:i one:i ran_at:i wait_until:i"),
	table("import_run", Whole, "an import that was broken off goes on: the accounts that it had made are as it says",
		"began_at:i done:i ended_at:i file:t had:i made:i options:t passwordless:i refused:i report_bytes:i twice:i"),
	table("doctor_check", Absent, "the doctor looks anew", ""),
	table("schema_version", Absent, "the migrating library's; the manifest names the version", ""),
	table("schema_lock", Absent, "the migrating library's", ""),
}

// table reads a row of the list: columns are words NAME:TYPE.
func table(name string, restore Restore, why, columns string) Table {
	t := Table{Name: name, Restore: restore, Why: why}
	for word := range strings.FieldsSeq(columns) {
		column, kind, _ := strings.Cut(word, ":")
		t.Columns = append(t.Columns, Column{column, Type(kind)})
	}
	return t
}

// Find returns the table of this name.
func Find(name string) (Table, bool) {
	for _, t := range Tables {
		if t.Name == name {
			return t, true
		}
	}
	return Table{}, false
}

// BackedUp returns the tables that are in a backup.
func BackedUp() []Table {
	out := make([]Table, 0, len(Tables))
	for _, t := range Tables {
		if t.Restore != Absent {
			out = append(out, t)
		}
	}
	return out
}

// Stored returns the columns as they stand in the database.
func (t Table) Stored() []string {
	out := make([]string, 0, len(t.Columns))
	for _, c := range t.Columns {
		if t.Name == "event" && c.Name == Open {
			c.Name = "tx"
		}
		out = append(out, c.Name)
	}
	return out
}

// Expression returns the SQL that reads a column for a backup. What counts one
// server's transactions never leaves it.
func (t Table) Expression(c Column) string {
	switch {
	case t.Name == "event" && c.Name == Open:
		return `CASE WHEN tx < (SELECT from_tx FROM event_head WHERE one = 1) THEN 0 ELSE 1 END`
	case t.Name == "event_head" && c.Name == "from_tx":
		return `0`
	}
	return `"` + c.Name + `"`
}
