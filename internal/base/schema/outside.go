package schema

// Field is a piece of personal data outside the database: a claim of a token, a field of the log, a mail.
type Field struct {
	Name  string
	Class Class
	Why   string
}

// Claims are those of access tokens and of ID tokens: applications and proxies read them, and they last as long as the token
// (ACCESS_TOKEN_EXPIRE_MINUTES).
var Claims = []Field{
	{"iss", Plain, "who made it"},
	{"sub", Reference, "the account: applications know people by it"},
	{"aud", Plain, "for whom it is"},
	{"exp", Plain, "its end"},
	{"iat", Trace, "when it was made: at the sign-in, or the last refresh"},
	{"jti", Reference, "this token"},
	{"sid", Reference, "the session: it is ended by it"},
	{"roles", Identity, "what the person may do"},
	{"auth_time", Trace, "when they signed in: applications ask for a fresh sign-in"},
	{"amr", Trace, "how they signed in"},
	{"acr", Trace, "how strongly they signed in"},
	{"client_id", Plain, "the application that it was made for"},
	{"scope", Plain, "what the application may do with it"},
	{"nonce", Plain, "ties an ID token to the browser that asked"},
	{"at_hash", Plain, "ties an ID token to its access token"},
	{"name", Identity, "for an application that the person lets know it (scope profile)"},
	{"locale", Trace, "the same: the language"},
	{"preferred_username", Identity, "the same, with the scope email: the address"},
	{"email", Identity, "for an application that the person lets know it (scope email), once it is verified"},
	{"email_verified", Plain, "the same"},
	{"groups", Identity, "the roles, for an application that the person lets know them (scope groups)"},
}

// LogFields are those of the server's log on standard error, and of the events in it: who reads that log sees them, for as
// long as it is kept (rotate it within 30 days).
var LogFields = []Field{
	{"account", Reference, "whose request or event it is"},
	{"session", Reference, "which session"},
	{"address", Trace, "from where a request came: against attacks"},
	{"client", Trace, "from where a request came"},
	{"user_agent", Trace, "with what"},
	{"request_id", Plain, "finds a request again"},
	{"client_request_id", Plain, "the same, as the client calls it"},
	{"trace_id", Plain, "finds it in traces"},
	{"event", Plain, "what happened"},
	{"event_id", Plain, "which event"},
	{"outcome", Plain, "how it ended"},
	{"detail", Trace, "what else an event says: docs/events.md; addresses of mail as keyed hashes"},
	{"method", Plain, "of the request"},
	{"route", Plain, "of the request, without its parameters"},
	{"status", Plain, "of the answer"},
	{"bytes", Plain, "of the answer"},
	{"duration_us", Plain, "of the request"},
	{"code", Plain, "of a refusal"},
	{"error", Plain, "what went wrong"},
	{"stack", Plain, "where it went wrong"},
}

// Mails go to the person's own address, in the person's language, and to nobody else; a mail server keeps them as long as it
// does. Each has what its kind needs: the name, a link or a code, the time, the device and the network of what happened.
var Mails = []Field{
	{"verify_address", Credential, "a code that shows that the address is theirs"},
	{"address_registered", Identity, "that somebody registered an address that has an account"},
	{"reset_password", Credential, "a link for a new password"},
	{"password_changed", Credential, "that it was changed, and a link if it was somebody else"},
	{"confirm_address", Credential, "a code for a new address"},
	{"address_changed", Credential, "that it was changed, and the way back"},
	{"new_sign_in", Trace, "a sign-in from a new device or network"},
	{"roles_changed", Identity, "which roles they have now"},
	{"locked_out", Credential, "that strangers guess, and a link that lets their browser in"},
	{"token_reused", Trace, "that a copied session was ended"},
	{"account_deleted", Identity, "that the account is gone"},
	{"erasure_asked", Identity, "that the account will be deleted, when, and how to keep it"},
	{"erasure_undone", Identity, "that the account stays"},
	{"account_inactive", Identity, "that an account nobody uses will be deleted, when, and how to keep it"},
	{"password_removed", Credential, "that the account has no password any more, and a link if it was somebody else"},
	{"identity_linked", Credential, "that another provider opens the account, and a link if it was somebody else"},
	{"identity_unlinked", Credential, "that it does no more, and a link if it was somebody else"},
	{"provider_code", Credential, "a code that makes an account for who signed in at another provider"},
	{"provider_sign_in", Credential, "that somebody signed in at another provider with their address, and a link if it was somebody else"},
	{"admin_reset", Credential, "that an administrator reset the password"},
	{"account_disabled", Identity, "that the account is disabled"},
	{"account_enabled", Identity, "that it is enabled again"},
	{"data_exported", Trace, "that their data was exported"},
	{"invitation", Credential, "a link that opens their account"},
	{"factor_code", Credential, "a code with which the first factor is added"},
	{"factor_added", Credential, "that a factor was added, and the way back"},
	{"factor_removed", Credential, "that a factor was removed, and the way back"},
	{"recovery_codes_made", Trace, "that there are new ones"},
	{"recovery_code_used", Trace, "that one was used"},
	{"factor_reset_asked", Credential, "that an operator asked for it, and a link that stops it"},
	{"factor_reset_done", Trace, "that their factors are gone"},
	{"passkey_suspect", Trace, "that there may be a copy of a passkey"},
	{"password_known", Trace, "that somebody else has their password"},
	{"factor_locked", Credential, "that strangers guess codes, and a link that lets their browser in"},
	{"incident_notice", Identity, "that a security incident touched their account, and what to do"},
	{"alert_raised", Trace, "to operators alone (ALERT_MAIL_TO): what should be looked at"},
}
