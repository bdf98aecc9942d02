package notice

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Kind is what a mail is about.
type Kind string

// The kinds of mails. What each says is in texts/, one file per kind and
// language.
const (
	// VerifyAddress asks the person who registered to show that the address is theirs.
	VerifyAddress Kind = "verify_address"
	// AddressRegistered notifies an owner that somebody registered their address.
	AddressRegistered Kind = "address_registered"
	// ResetPassword is the way to a new password for a person who forgot theirs.
	ResetPassword Kind = "reset_password"
	// PasswordChanged says that the password was changed or reset.
	PasswordChanged Kind = "password_changed"
	// ConfirmAddress asks at the new address whether it is to be the account's.
	ConfirmAddress Kind = "confirm_address"
	// AddressChanged notifies the old address of the new one, with a way back.
	AddressChanged Kind = "address_changed"
	// NewSignIn reports a sign-in from a device or a network never seen before.
	NewSignIn Kind = "new_sign_in"
	// RolesChanged says what the account may do from now on.
	RolesChanged Kind = "roles_changed"
	// LockedOut says that somebody is guessing passwords; its link lets the owner's
	// browser in.
	LockedOut Kind = "locked_out"
	// TokenReused says that a session was ended because a replaced token was used.
	TokenReused Kind = "token_reused"
	// AccountDeleted says that the account is gone.
	AccountDeleted Kind = "account_deleted"
	// ErasureAsked says that the account will be deleted, when, and how it is kept; ErasureUndone that it is kept.
	ErasureAsked  Kind = "erasure_asked"
	ErasureUndone Kind = "erasure_undone"
	// AdminReset says that those who run the service have reset the account.
	AdminReset Kind = "admin_reset"
	// AccountDisabled and AccountEnabled say that nobody can sign in any more, and
	// that one can again.
	AccountDisabled Kind = "account_disabled"
	AccountEnabled  Kind = "account_enabled"
	// DataExported says that a copy of the account's data was fetched.
	DataExported Kind = "data_exported"
	// Invitation asks somebody for whom an account was opened to choose a password.
	Invitation Kind = "invitation"
	// FactorCode has the code with which a first second factor is added.
	FactorCode Kind = "factor_code"
	// FactorAdded and FactorRemoved say that the account has another second factor, or one less;
	// RecoveryCodesMade and RecoveryCodeUsed report what stands in for one.
	FactorAdded       Kind = "factor_added"
	FactorRemoved     Kind = "factor_removed"
	RecoveryCodesMade Kind = "recovery_codes_made"
	RecoveryCodeUsed  Kind = "recovery_code_used"
	// PasswordRemoved says that the account has no password any more.
	PasswordRemoved Kind = "password_removed"
	// FactorResetAsked says that those who run the service take the account's second factors away, and when;
	// its link stops that. FactorResetDone says that it was done, and leads to a new password.
	FactorResetAsked Kind = "factor_reset_asked"
	FactorResetDone  Kind = "factor_reset_done"
	// PasskeySuspect says that there seems to be a copy of a passkey, which opens nothing since.
	PasskeySuspect Kind = "passkey_suspect"
	// PasswordKnown says that somebody has shown the right password, and not the second factor.
	PasswordKnown Kind = "password_known"
	// FactorLocked says that somebody guesses an app's codes; its link lets the owner's browser in.
	FactorLocked Kind = "factor_locked"
	// AccountInactive announces that the account will be deleted because nobody uses it.
	AccountInactive Kind = "account_inactive"
	// IncidentNotice tells somebody of an incident that touched their account, in the words of those who run the service.
	IncidentNotice Kind = "incident_notice"
	// IdentityLinked and IdentityUnlinked say that somebody can sign in to the account by another provider, or no longer.
	IdentityLinked   Kind = "identity_linked"
	IdentityUnlinked Kind = "identity_unlinked"
	// ProviderCode has the code that makes an account for somebody who has signed in at another provider; ProviderSignIn tells an
	// owner that somebody has who has the account's address there.
	ProviderCode   Kind = "provider_code"
	ProviderSignIn Kind = "provider_sign_in"
	// AlertRaised notifies those who run the service of what a rule over the event log found.
	AlertRaised Kind = "alert_raised"
)

// Mail is what a flow has to say to somebody. Which of its facts a kind needs,
// and which others it can have, is in Facts.
type Mail struct {
	Kind Kind
	// Account is the id of the account it is about; empty if there is none.
	Account string
	// To is the address as its owner typed it, Name the account's name, and Locale
	// its language (BCP 47). The last two may be empty.
	To, Name, Locale string

	// At is when it happened; the time of the queueing if zero. Address and
	// UserAgent are from where; they may be empty. A mail shows what browser and
	// system a user agent names and never its words, which may be a stranger's.
	At        time.Time
	Address   netip.Addr
	UserAgent string

	// Link is the one thing to do, and LinkLife how long it can be done. Code is
	// the same for typing, with its own life. Both are secrets.
	Link     string
	LinkLife time.Duration
	Code     string
	CodeLife time.Duration
	// NotMe is the link of "this wasn't me", Undo the one that takes a change back.
	// Both are secrets. UndoLife is how long the latter works.
	NotMe    string
	Undo     string
	UndoLife time.Duration

	// NewAddress is the account's new e-mail address. A mail shows its domain and
	// the first letter.
	NewAddress string
	// Roles are the account's roles from now on; none is a fact too.
	Roles []string
	// Factor is the kind of second factor that it is about: totp or passkey.
	Factor string
	// Providers are the names of those by which people sign in that it is about.
	Providers []string
	// Due is when it will be done that the mail announces.
	Due time.Time
	// Left is how many recovery codes are unused.
	Left int
	// Alert is what a rule found.
	Alert Alert
	// Message is what those who run the service have to say, in their language: paragraphs with an empty line between.
	Message string
	// ByOperator is set where those who run the service did it.
	ByOperator bool
	// Why is what is unusual about a sign-in.
	Why Why
}

// Why is what is unusual about a sign-in; empty for a new device or network.
type Why string

// The reasons.
const (
	// AfterGuesses is for one that followed wrong passwords in a row, AfterLong for the
	// first in a long time.
	AfterGuesses Why = "after_guesses"
	AfterLong    Why = "after_long"
)

// Alert is what a rule over the event log found: its name, how many of how many, a
// sentence in English, and a command that shows more.
type Alert struct {
	Rule     string
	N, Bound int64
	What     string
	Look     string
}

// Fact is a piece of a mail that not every kind has.
type Fact string

// The facts.
const (
	Link       Fact = "link"
	Code       Fact = "code"
	NotMe      Fact = "not_me"
	Undo       Fact = "undo"
	NewAddress Fact = "new_address"
	Roles      Fact = "roles"
	Finding    Fact = "alert"
	Words      Fact = "message"
)

// Needs is what a kind must be given, and what else it can contain.
type Needs struct{ Must, May []Fact }

// Facts is the table of the kinds.
var Facts = map[Kind]Needs{
	VerifyAddress:     {Must: []Fact{Link}, May: []Fact{Code}},
	AddressRegistered: {May: []Fact{NotMe}},
	ResetPassword:     {Must: []Fact{Link, Code}, May: []Fact{NotMe}},
	PasswordChanged:   {May: []Fact{NotMe}},
	ConfirmAddress:    {Must: []Fact{Link, Code}},
	AddressChanged:    {Must: []Fact{NewAddress}, May: []Fact{Undo, NotMe}},
	NewSignIn:         {May: []Fact{NotMe}},
	RolesChanged:      {May: []Fact{NotMe, Roles}},
	LockedOut:         {May: []Fact{Link, NotMe}},
	TokenReused:       {May: []Fact{NotMe}},
	AccountDeleted:    {},
	ErasureAsked:      {May: []Fact{NotMe}},
	ErasureUndone:     {May: []Fact{NotMe}},
	AdminReset:        {May: []Fact{Link, Code, NotMe}},
	AccountDisabled:   {May: []Fact{NotMe}},
	AccountEnabled:    {May: []Fact{NotMe}},
	DataExported:      {May: []Fact{NotMe}},
	Invitation:        {Must: []Fact{Link}},
	FactorCode:        {Must: []Fact{Code}, May: []Fact{NotMe}},
	FactorAdded:       {May: []Fact{Undo, NotMe}},
	FactorRemoved:     {May: []Fact{NotMe}},
	RecoveryCodesMade: {May: []Fact{Undo, NotMe}},
	RecoveryCodeUsed:  {May: []Fact{NotMe}},
	PasswordRemoved:   {May: []Fact{NotMe}},
	FactorResetAsked:  {Must: []Fact{Link}, May: []Fact{NewAddress}},
	FactorResetDone:   {Must: []Fact{Link}},
	PasskeySuspect:    {May: []Fact{NotMe}},
	PasswordKnown:     {May: []Fact{NotMe}},
	FactorLocked:      {May: []Fact{Link, NotMe}},
	AccountInactive:   {},
	IncidentNotice:    {Must: []Fact{Words}},
	IdentityLinked:    {May: []Fact{NotMe}},
	IdentityUnlinked:  {May: []Fact{NotMe}},
	ProviderCode:      {Must: []Fact{Code}},
	ProviderSignIn:    {May: []Fact{NotMe}},
	AlertRaised:       {Must: []Fact{Finding}},
}

// Kinds returns all kinds, sorted.
func Kinds() []Kind {
	var list []Kind
	for k := range Facts {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

// Takes reports whether a mail of the kind can contain the fact.
func (k Kind) Takes(f Fact) bool {
	n := Facts[k]
	return slices.Contains(n.Must, f) || slices.Contains(n.May, f)
}

// facts returns those that the mail has.
func (m Mail) facts() (has []Fact) {
	for _, f := range []struct {
		fact Fact
		here bool
	}{
		{Link, m.Link != ""}, {Code, m.Code != ""}, {NotMe, m.NotMe != ""}, {Undo, m.Undo != ""},
		{NewAddress, m.NewAddress != ""}, {Roles, len(m.Roles) > 0}, {Finding, m.Alert.Rule != ""}, {Words, m.Message != ""},
	} {
		if f.here {
			has = append(has, f.fact)
		}
	}
	return has
}

// check refuses a mail that its kind can't be made of: a mistake in a flow, and
// never a person's.
func (m Mail) check() error {
	needs, known := Facts[m.Kind]
	if !known {
		return fmt.Errorf("notice: %q is no kind of mail", m.Kind)
	}
	var wrong []error
	has := m.facts()
	for _, f := range needs.Must {
		if !slices.Contains(has, f) {
			wrong = append(wrong, fmt.Errorf("notice: a mail of kind %s lacks the fact %s", m.Kind, f))
		}
	}
	for _, f := range has {
		if !m.Kind.Takes(f) {
			wrong = append(wrong, fmt.Errorf("notice: a mail of kind %s can't contain the fact %s", m.Kind, f))
		}
	}
	for _, l := range []struct {
		fact Fact
		here bool
		life time.Duration
	}{{Link, m.Link != "", m.LinkLife}, {Code, m.Code != "", m.CodeLife}, {Undo, m.Undo != "", m.UndoLife}} {
		if l.here && l.life <= 0 {
			wrong = append(wrong, fmt.Errorf("notice: a mail of kind %s does not say how long its %s works", m.Kind, l.fact))
		}
	}
	if m.To == "" || strings.ContainsAny(m.To, "\r\n\x00") {
		wrong = append(wrong, fmt.Errorf("notice: a mail of kind %s has no address that it can go to", m.Kind))
	}
	return errors.Join(wrong...)
}

// expires is when the mail is of no use any more: its only purpose is a link, or
// a code, and both have expired. It is zero if the mail is of use anyway.
func (m Mail) expires() time.Time {
	if !slices.Contains(Facts[m.Kind].Must, Link) {
		return time.Time{}
	}
	return m.At.Add(max(m.LinkLife, m.CodeLife))
}
