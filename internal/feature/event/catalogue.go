package event

// About describes a kind of event.
type About struct {
	Kind Kind
	// Meaning is a sentence or two; docs/events.md is made from it.
	Meaning string
}

// Catalogue has every kind of event, in the order of the docs. A test
// checks it against kind.go and docs/events.md.
var Catalogue = []About{
	{FailedLogin, "A sign-in failed: a wrong password, an unknown address, a disabled account, or a lockout. `reason` says which, `address_hash` for " +
		"which address, without storing it."},
	{Login, "A person signed in: `amr` says how (RFC 8176)."},
	{PasswordChange, "A password was changed or reset: `amr` says how the person who changed it authenticated."},
	{EmailVerification, "An account's address was verified, or an attempt to verify it failed."},
	{PasswordReset, "A password reset was requested."},
	{AccountLockout, "So many wrong passwords were tried on an account that unknown devices have to wait. Sessions and known devices are not affected."},
	{SuspiciousActivity, "Something that honest clients do not do: `reason` says what, such as `reuse` of a refresh token, or a token that was tampered " +
		"with. What anyone can cause is recorded once per network and minute, with its `count`."},
	{RateLimitExceeded, "A rate limit was exceeded: `reason` is the rule. It is recorded once per network and minute, with its `count`."},
	{TokenRefresh, "A session was refreshed with its refresh token: `amr` says how the person had signed in."},
	{Logout, "A person signed out."},
	{Reauthenticated, "A signed-in person authenticated again, for a change that requires it: `amr` says how."},
	{AccountRegistered, "An account was registered."},
	{AccountDisabled, "An account was disabled; its sessions ended."},
	{AccountEnabled, "A disabled account was enabled."},
	{AccountDisplaced, "An account whose address was never verified lost it to the owner of the mailbox, and was disabled."},
	{ErasureAsked, "An account is to be deleted after a wait: its owner asked for it, or `by` says who did."},
	{ErasureUndone, "An account that was to be deleted is kept: `reason` is `signed_in`, `reset`, `not_me`, `undone`, or `operator`."},
	{AccountDeleted, "An account was deleted, with all that belonged to it. It names nobody; `reason` is `self`, `administrator`, `operator`, " +
		"`inactive`, or `erased_before` where a restore had brought it back."},
	{DataExport, "A copy of all data of an account was taken: by its owner, or `by` says by whom."},
	{AccountUnlocked, "An account's counts of wrong passwords were cleared."},
	{ProfileChange, "The name or the locale of an account changed; `fields` says which."},
	{EmailChange, "A change of an account's address was requested, made, or undone: `reason` says which, `address_hash` is the new " +
		"address's, which is not stored."},
	{RoleChange, "An account's roles changed: `roles` lists all that it has now."},
	{SessionRevoked, "Sessions were ended other than by signing out: `reason` says why."},
	{KeyRotated, "One of the installation's keys was replaced."},
	{AgreementAsked, "A sign-in has shown all that it must, and waits until a new version of a required document is agreed to."},
	{ConsentChange, "A person agreed to a document, or took that back: `document` and `version` say to which, `reason` is `given` or `withdrawn`."},
	{DocumentPublished, "A new version of a document is in force: `document` and `version` say which."},
	{AuthorizationGranted, "A person signed in to an application: `client` says to which. It has a code, and a minute to exchange it."},
	{AuthorizationDenied, "A sign-in to an application was refused: `client` says to which, `reason` is the code that it was told, such as " +
		"`access_denied` where the person said no or does not have a role that it requires."},
	{GrantEnded, "What an application was granted has ended before its time, other than with the session: `client` says which, `reason` is `withdrawn`, " +
		"`revoked`, `code_reuse`, `reuse` or `ahead`."},
	{LogoutNotified, "An application, `client`, was told that a session has ended; or it was not: `reason` is `refused` where it answered 400, as one may that " +
		"has ended its own already, or `gave_up` where it did not listen for a day."},
	{SecondStepAsked, "A sign-in has shown its password and waits for a second factor."},
	{FactorAdded, "An account has another second factor; `factor` says of which kind. All its sessions ended, unless it is a further passkey."},
	{FactorRemoved, "A second factor was removed; `factor` says of which kind."},
	{PasskeyChanged, "A passkey says another thing of itself than before: `reason` is `may_be_copied` or `may_not_be_copied`, to other devices of its owner."},
	{FactorsSuspended, "Second factors that were added since a time, `count` of them, open nothing any more, because of an incident."},
	{FactorsReinstated, "Second factors and recovery codes that an incident had suspended open accounts again, `count` of them."},
	{FactorUndone, "Second factors and recovery codes were taken away again, by the link of a mail and a password of then: `count` of them. A new password is " +
		"demanded."},
	{FactorInvited, "An operator made what stands in for the code by mail when the account adds its first factor: `gatehouse user factor invite`."},
	{FactorsResealed, "JWT_SECRET_KEY was lost, and an operator took the rows of second factors as they are: `count` passkeys, or apps, which are " +
		"suspended since their secrets are gone; `factor` says which. Who had written a passkey into the database has one since."},
	{FactorResetAsked, "Those who run the service asked that an account's second factors be taken away, once the wait is over."},
	{FactorResetStop, "Such a reset was stopped: `reason` is `signed_in` where somebody signed in with a factor, `link` for the mail's link, or `operator`."},
	{FactorResetDone, "Such a reset was done: the account's factors and recovery codes are gone, and a new password is demanded by mail."},
	{PasswordRemoved, "An account has no password any more: passkeys are how its owner signs in. Its other sessions ended; `amr` says how the one had " +
		"signed in."},
	{IdentityLinked, "Somebody can sign in to an account by another `provider`: `reason` is `asked` for who was signed in, `address` where the provider gave " +
		"the account's address out itself, `cleansed` where nobody had verified that before, so that the password, the sessions and all else went first, or " +
		"`registered` for an account that began so."},
	{IdentityUnlinked, "That is over: `reason` is `asked`, or `not_me`, `undone`, `reset` or `cleansed`, with which it went; " +
		"`identity` says which, in a form that does not tell who."},
	{RecoveryCodesMade, "An account has new recovery codes; those before are worth nothing."},
	{RecoveryCodeUsed, "Somebody signed in with a recovery code in the place of a second factor: `count` are left."},
	{AddressBlocked, "An operator or an administrator blocked a `network`, or changed when a block ends. `count` is how many, and `networks` which, if a " +
		"file of them was read. The reason for the block is in `gatehouse block list`."},
	{AddressUnblocked, "An operator or an administrator ended the block of a `network`."},
	{BlockedRequest, "A request from a blocked network was refused. It is recorded once per network and minute, with its `count`."},
	{AccessDenied, "Access was denied: to another's session (404), or for a change without a CSRF token, from another " +
		"site, or too long after the sign-in (403). `reason` is the code of the response. It is recorded once per network and minute, " +
		"with its `count`. Refusals that " +
		"have an event of their own, such as a wrong password, are not counted here again."},
	{MalformedRequest, "A request had a body that none of our clients sends: not JSON, a duplicate or unknown field, a wrong type, too " +
		"large. `reason` is the code " +
		"of the response. It is recorded once per network and minute, with its `count`."},
	{AlertSilenced, "Notifications for a `rule`'s alerts were silenced for a while, or turned on again: `reason` is then `ended`."},
	{MailsReleased, "An operator let mails go to an account's address again that a restore had brought back."},
	{AdminAction, "An administrator or a support agent changed something: `actor` is who, `action` what, `why` the reason they gave, and " +
		"`count` how many objects it affected. The account is the one that was changed, or the actor's own if none was. The change has its own " +
		"event as well."},
	{DeviceKnown, "A browser became a known device of an account: wrong passwords from elsewhere do not make it wait."},
	{PepperRotated, "Stored password hashes were re-encrypted under another pepper, `count` of them."},
	{ClientCreated, "An application was registered."},
	{ClientChanged, "What an application may do was changed, or it was disabled or enabled: `reason` is then `disabled` or `enabled`."},
	{ClientRotated, "An application got a new secret."},
	{ClientDeleted, "An application was deleted."},
	{ResourceCreated, "A resource was registered, which applications may ask tokens for: `resource` is its URI."},
	{ResourceChanged, "The name, the scopes or the openness of a resource was changed."},
	{ResourceDeleted, "A resource was deleted: no more tokens are made for it."},
	{BackupCreated, "A backup was made, encrypted, and read back from where it lies; or that failed: `reason` says why. `backup` is its id."},
	{BackupRestored, "The database was restored from the `backup`; `checkpoint` is the log that it had, `until` the event up to which " +
		"decisions of since, `count` of them, were done again. All else is lost, and everybody has to sign in again. `reason` is `adopted` where the " +
		"database had been set back by other means, and `cloned` where it became another installation."},
	{BackupDrilled, "A `backup` was restored into a scratch database, where a made-up person signed in; or that failed: `reason` says why."},
	{BackupKeyProved, "Somebody showed that they have a key that opens the `backup`."},
	{BackupDeleted, "A `backup` was deleted, as BACKUP_KEEP says."},
	{DatabaseMoved, "The installation was moved to this database, of the kind in `reason`, with all sessions. What it came from takes no changes any more."},
	{AccountsImported, "Accounts of another system were imported, `count` of them in one step of `gatehouse user import`; `reason` is the system. " +
		"Accounts that got roles have a `role_change` as well."},
	{AccountsExported, "`count` accounts were written to an encrypted file for another installation, with the hashes of their passwords and their second " +
		"factors (`gatehouse user export --move`)."},
	{AccountInactive, "Nobody has signed in to an account for RETENTION_INACTIVE_ACCOUNTS, three mails have announced it, and the account is to be erased."},
	{RetentionRun, "What was kept long enough was deleted, `count` rows in all, by kind in `deleted`. A run that found nothing has no event. `reason` is " +
		"`retention_paused` if a pause ended it before its end."},
	{RetentionPaused, "Nothing is deleted for its age, and nobody erased, until `ends`: `why` is the reason."},
	{RetentionResumed, "A pause of retention was ended, or retention was told that the clock is right."},
	{IncidentOpened, "An `incident` was opened: `why` is its title, `rule` the rule whose alert it was opened from."},
	{IncidentAction, "Something was done about an `incident`: `action` says what, `why` the reason; `count` is how many it touched once it is done, with the " +
		"`reason` `done`, `undone` where it was taken back, or `stopped`, which has no `by` where it stopped by itself; `asked`, `approved`, `withdrawn` " +
		"or `expired` where somebody else has to approve it."},
	{IncidentClosed, "An `incident` was closed."},
	{EventsErased, "A person's data was deleted from that person's events, `count` of them."},
	{EventsRetired, "All events before the leaf `until` were deleted because of their age."},
	{LogRestarted, "An operator started a new origin of this log. `checkpoint` is the last one before it."},
}
