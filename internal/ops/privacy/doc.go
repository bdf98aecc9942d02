// Package privacy does what a person may ask of what is kept about them: it erases accounts (GDPR-3), and writes
// the copy of all their data (GDPR-4).
//
// An erasure has begun when [flow.Erasures.Begin] has taken the account's row; it is gone on with from its row in
// the table erasure, by whichever replica holds the job's lease. Each step is done in batches and can be done again: the
// events first, each batch stated by an event that is sealed before anything is gone, then the rows that point at the
// account, then the account with the event that says so, and 15 seconds later, when no transaction can be under way any
// more that began before, all of it once more.
package privacy
