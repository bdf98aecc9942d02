package event

// Kind is what happened. The first nine are the guide's own names (LOG-1).
type Kind string

// The kinds of events.
const (
	FailedLogin        Kind = "failed_login_attempt"
	Login              Kind = "successful_login"
	PasswordChange     Kind = "password_change"
	EmailVerification  Kind = "email_verification"
	PasswordReset      Kind = "password_reset_request"
	AccountLockout     Kind = "account_lockout"
	SuspiciousActivity Kind = "suspicious_activity"
	TokenRefresh       Kind = "token_refresh"
	Logout             Kind = "logout"
	Reauthenticated    Kind = "reauthenticated"

	RateLimitExceeded Kind = "rate_limit_exceeded"

	AccountRegistered Kind = "account_registered"
	AccountDisabled   Kind = "account_disabled"
	AccountEnabled    Kind = "account_enabled"
	AccountDisplaced  Kind = "account_displaced"
	ErasureAsked      Kind = "erasure_asked"
	ErasureUndone     Kind = "erasure_undone"
	AccountDeleted    Kind = "account_deleted"
	DataExport        Kind = "data_export"
	AccountUnlocked   Kind = "account_unlocked"
	PepperRotated     Kind = "pepper_rotated"
	DeviceKnown       Kind = "device_known"
	ProfileChange     Kind = "profile_change"
	EmailChange       Kind = "email_change"
	RoleChange        Kind = "role_change"
	SessionRevoked    Kind = "session_revoked"
	KeyRotated        Kind = "key_rotated"

	AgreementAsked    Kind = "agreement_asked"
	ConsentChange     Kind = "consent_change"
	DocumentPublished Kind = "document_published"

	AuthorizationGranted Kind = "authorization_granted"
	AuthorizationDenied  Kind = "authorization_denied"
	GrantEnded           Kind = "grant_ended"
	LogoutNotified       Kind = "logout_notified"

	SecondStepAsked   Kind = "second_step_asked"
	FactorAdded       Kind = "factor_added"
	FactorRemoved     Kind = "factor_removed"
	FactorUndone      Kind = "factor_undone"
	PasskeyChanged    Kind = "passkey_changed"
	FactorsSuspended  Kind = "factors_suspended"
	FactorsReinstated Kind = "factors_reinstated"
	FactorInvited     Kind = "factor_invited"
	FactorsResealed   Kind = "factors_resealed"
	FactorResetAsked  Kind = "factor_reset_asked"
	FactorResetStop   Kind = "factor_reset_stopped"
	FactorResetDone   Kind = "factor_reset_done"
	PasswordRemoved   Kind = "password_removed"
	IdentityLinked    Kind = "identity_linked"
	IdentityUnlinked  Kind = "identity_unlinked"
	RecoveryCodesMade Kind = "recovery_codes_made"
	RecoveryCodeUsed  Kind = "recovery_code_used"

	AddressBlocked   Kind = "address_blocked"
	AddressUnblocked Kind = "address_unblocked"
	AlertSilenced    Kind = "alert_silenced"
	MailsReleased    Kind = "mails_released"
	AdminAction      Kind = "admin_action"
	BlockedRequest   Kind = "blocked_request"
	AccessDenied     Kind = "access_denied"
	MalformedRequest Kind = "malformed_request"

	ClientCreated Kind = "client_created"
	ClientChanged Kind = "client_changed"
	ClientRotated Kind = "client_rotated"
	ClientDeleted Kind = "client_deleted"

	ResourceCreated Kind = "resource_created"
	ResourceChanged Kind = "resource_changed"
	ResourceDeleted Kind = "resource_deleted"

	BackupCreated   Kind = "backup_created"
	BackupRestored  Kind = "backup_restored"
	BackupDrilled   Kind = "backup_drilled"
	BackupKeyProved Kind = "backup_key_proved"
	BackupDeleted   Kind = "backup_deleted"
	DatabaseMoved   Kind = "database_moved"

	AccountsImported Kind = "accounts_imported"
	AccountsExported Kind = "accounts_exported"

	AccountInactive  Kind = "account_inactive"
	RetentionRun     Kind = "retention_run"
	RetentionPaused  Kind = "retention_paused"
	RetentionResumed Kind = "retention_resumed"

	IncidentOpened Kind = "incident_opened"
	IncidentAction Kind = "incident_action"
	IncidentClosed Kind = "incident_closed"

	EventsErased  Kind = "events_erased"
	EventsRetired Kind = "events_retired"
	LogRestarted  Kind = "event_log_restarted"
)

// Outcome is how it ended.
type Outcome string

// The outcomes.
const (
	Success Outcome = "success"
	Failure Outcome = "failure"
)

// Detail is what else an event says. It is a struct and no map so that what
// gets into the log is decided here; none of it is ever a password, a token or
// a key.
type Detail struct {
	// Reason is a code: why it failed, or what made it happen.
	Reason string `json:"reason,omitempty"`
	// By is who did it, where that is not the person of the event: "operator" for
	// the command line, "administrator" or "support" by the role, "setup" for the first
	// administrator's link, "client" for a registered application.
	By string `json:"by,omitempty"`
	// Client is the id of a registered application that did it, or that it happened to.
	Client string `json:"client,omitempty"`
	// Resource is the URI of a resource that it happened to; at an authorization_granted those that the application may have tokens for, between
	// spaces.
	Resource string `json:"resource,omitempty"`
	// Address is a keyed hash of an e-mail address that was tried, so that tries
	// at one address can be distinguished from tries at many without storing it.
	Address string `json:"address_hash,omitempty"`
	// Roles are the account's roles after a role_change, or at a successful_login.
	Roles []string `json:"roles,omitempty"`
	// Fields are the names of what a profile_change changed.
	Fields []string `json:"fields,omitempty"`
	// Rule is the rule whose alerts are silenced for a while.
	Rule string `json:"rule,omitempty"`
	// Network is what was blocked, or is no longer.
	Network string `json:"network,omitempty"`
	// Networks are several that were blocked at once.
	Networks []string `json:"networks,omitempty"`
	// Factor is the kind of second factor that was added, removed or used.
	Factor string `json:"factor,omitempty"`
	// Provider is the other provider by which somebody signs in, as UPSTREAMS_FILE calls it.
	Provider string `json:"provider,omitempty"`
	// Identity is what an account there is called, where its subject has no place.
	Identity string `json:"identity,omitempty"`
	// Document and Version are what was published, agreed to or withdrawn.
	Document string `json:"document,omitempty"`
	Version  int64  `json:"version,omitempty"`
	// Count is how often it happened, for what is counted and recorded once a
	// minute, or how many things one action touched.
	Count int64 `json:"count,omitempty"`
	// Hash is the SHA-256, in hex, over the lines "event id, space, commitment" of the
	// events whose personal part an events_erased erased, in the order of the ids.
	Hash string `json:"hash,omitempty"`
	// Checkpoint is the size and root of the log that an event_log_restarted
	// leaves behind, or that a restored backup had.
	Checkpoint string `json:"checkpoint,omitempty"`
	// From and Until are the first leaf of a range of the log, and the one after its
	// last.
	From  int64 `json:"from,omitempty"`
	Until int64 `json:"until,omitempty"`
	// Key is what a key of the ring is called, and Purpose what it is for; neither
	// is secret.
	Key     string `json:"key,omitempty"`
	Purpose string `json:"purpose,omitempty"`
	// Backup is the id of a backup.
	Backup string `json:"backup,omitempty"`
	// Generation is the number of the refresh token at hand.
	Generation uint32 `json:"generation,omitempty"`
	// AMR is how the person showed who they are (RFC 8176), where they did.
	AMR []string `json:"amr,omitempty"`
	// Actor is which person did it where By says in what capacity: the system's user
	// and machine for the command line, the id of an administrator's account.
	Actor string `json:"actor,omitempty"`
	// Action is what an admin_action did, and Why what its actor gave as the reason, in
	// their words.
	Action string `json:"action,omitempty"`
	Why    string `json:"why,omitempty"`
	// Deleted is what a retention_run deleted, by kind.
	Deleted []Deleted `json:"deleted,omitempty"`
	// Incident is the name of an incident, such as INC-7.
	Incident string `json:"incident,omitempty"`
	// Ends is when what the event began ends by itself (RFC 3339).
	Ends string `json:"ends,omitempty"`
}

// Deleted is how many of a kind were deleted for their age.
type Deleted struct {
	Kind  string `json:"kind"`
	Count int64  `json:"count"`
}
