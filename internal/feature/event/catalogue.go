package event

// About says what a kind of event tells.
type About struct {
	Kind Kind
	// Meaning is a sentence or two; docs/events.md is made from it.
	Meaning string
}

// Catalogue has every kind of event there is, in the order of the docs. A test
// holds it against kind.go and against docs/events.md.
var Catalogue = []About{
	{FailedLogin, "Somebody could not sign in: a wrong password, an unknown address, a disabled account, or a lock. `reason` says which, `address_hash` at " +
		"which address, without keeping it."},
	{Login, "Somebody signed in: `amr` says how (RFC 8176)."},
	{PasswordChange, "A password was changed or reset: `amr` says how whoever changed it showed who they are."},
	{EmailVerification, "An address was shown to be its account's own, or somebody failed to show it."},
	{PasswordReset, "A reset of a password was asked for."},
	{AccountLockout, "So many wrong passwords were tried at an account that strangers have to wait. Sessions and known devices are not touched."},
	{SuspiciousActivity, "Something that honest clients do not do: `reason` says what, such as `reuse` of a refresh token, or a token that was tampered " +
		"with. What anybody can cause is recorded once a network and minute, with its `count`."},
	{RateLimitExceeded, "Somebody asked too often: `reason` is the rule. It is recorded once a network and minute, with its `count`."},
	{TokenRefresh, "A session was continued with its refresh token: `amr` says how its person had signed in."},
	{Logout, "Somebody signed out."},
	{AccountRegistered, "An account was opened."},
	{AccountDisabled, "An account was disabled; its sessions ended."},
	{AccountEnabled, "A disabled account was enabled."},
	{AccountDisplaced, "An account whose address was never verified lost it to whoever showed that the mailbox is theirs, and was disabled."},
	{AccountUnlocked, "The counts of wrong passwords of an account were cleared."},
	{ProfileChange, "The name or the locale of an account changed; `fields` says which."},
	{EmailChange, "A change of an account's address was asked for, done, or taken back: `reason` says which, `address_hash` the new address, without keeping it."},
	{RoleChange, "An account has other roles: `roles` has all it has now."},
	{SessionRevoked, "Sessions were ended by somebody else than by signing out: `reason` says why."},
	{KeyRotated, "A key of the installation was replaced."},
	{AddressBlocked, "An operator or an administrator blocked a `network`, or gave a block another end. `count` is how many there were, where a file of " +
		"them was read. `reason` of the block stands in `gatehouse block list`."},
	{AddressUnblocked, "An operator or an administrator ended the block of a `network`."},
	{BlockedRequest, "A request from a blocked network was refused. It is recorded once a network and minute, with its `count`."},
	{AccessDenied, "Somebody was refused what they may not have: another's session (404), a change without its token against forged requests, from another " +
		"site, or after too old a sign-in (403). `reason` is the code of the answer. It is recorded once a network and minute, with its `count`. Refusals that " +
		"have an event of their own, such as a wrong password, are not counted here again."},
	{MalformedRequest, "A request had a body that no client of ours sends: no JSON, a field twice or unknown, another type, too large. `reason` is the code " +
		"of the answer. It is recorded once a network and minute, with its `count`."},
	{AlertSilenced, "The alerts of a `rule` are told to nobody for a while, or are told again: `reason` is `ended` then."},
	{DeviceKnown, "A browser became a known device of an account: strangers' wrong passwords do not make it wait."},
	{PepperRotated, "Stored password hashes were sealed under another pepper, `count` of them."},
	{ClientCreated, "An application was registered."},
	{ClientRotated, "An application got a new secret."},
	{ClientDeleted, "An application was taken away."},
	{EventsErased, "What pointed at a person was deleted from that person's events, `count` of them."},
	{EventsRetired, "All events before the leaf `until` were deleted for their age."},
	{LogRestarted, "An operator began a new origin of this log. `checkpoint` is the last one before it."},
}
