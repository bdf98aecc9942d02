package app

import "time"

// waitTold is how long a migration takes that nobody needs to hear of.
const waitTold = 1500 * time.Millisecond

// tellOfWaiting says that the start waits for a migration, if it does for long.
func (b *base) tellOfWaiting() (stop func()) {
	t := time.AfterFunc(waitTold, func() {
		b.log.Info("The database is being migrated, by this replica or by another. Requests are served when that is done.")
	})
	return func() { t.Stop() }
}
