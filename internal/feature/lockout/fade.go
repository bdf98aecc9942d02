package lockout

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

const day = 24 * time.Hour

// dayOf counts the days (UTC) since 1970.
func dayOf(t time.Time) int64 { return db.Micros(t) / day.Microseconds() }

// faded is what is left of strangers' tries that were n on a day: see fadedSQL.
// A clock that was set back lets none fade.
func faded(n, since int64, now time.Time) int64 {
	return max(n-max(dayOf(now)-since, 0), 0)
}

// untilFaded is when the next try of a bucket fades, which lets one more be taken.
func untilFaded(since int64, now time.Time) time.Duration {
	next := db.Time((max(since, dayOf(now)) + 1) * day.Microseconds())
	return (next.Sub(now) + time.Second - 1).Truncate(time.Second)
}

// day is the day by which a try fades; codes don't.
func (t Try) day() int64 {
	if t.codes {
		return 0
	}
	return dayOf(t.at)
}
