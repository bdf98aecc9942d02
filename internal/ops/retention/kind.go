package retention

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
)

// The lines of the guide's checklist.
const (
	RET1 = "RET-1"
	RET2 = "RET-2"
	RET3 = "RET-3"
	RET4 = "RET-4"
)

// What is kept for a time that nobody sets.
const (
	sentKept = 30 * day
	deadKept = 90 * day
	day      = 24 * time.Hour
)

// Lengths says for how long what is over is kept.
type Lengths struct {
	// Tokens is for links and codes, Logs for events, Sessions for sessions.
	Tokens, Logs, Sessions time.Duration
}

// Kind is what goes by one rule.
type Kind struct {
	// Name is a word for it, and Line the guide's, if there is one.
	Name, Line string
	// Kept is how long one stays after its end.
	Kept  time.Duration
	Sweep Sweep
}

// kindEvents is the kind that goes by a statement of its own: see [Keeper.retire].
const kindEvents = "events"

// Kinds returns what retention deletes of the features' tables.
func Kinds(l Lengths) []Kind {
	return []Kind{
		{"links", RET1, l.Tokens, ticket.Forget},
		{"unlock_links", RET1, l.Tokens, lockout.ForgetLinks},
		// A count is over a day after it began.
		{"code_tries", RET1, l.Tokens + day, ticket.ForgetTries},
		{kindEvents, RET2, l.Logs, eventsDue},
		{"sessions", RET4, l.Sessions, session.Forget},
		{"sent_mails", "", sentKept, notice.ForgetSent},
		{"dead_mails", "", deadKept, notice.ForgetDead},
	}
}

// Due is what would be deleted of a kind.
type Due struct {
	Kind, Line string
	// Before is the time before which one has to be over, Count how many are, and Oldest the
	// earliest of them; zero if there is none.
	Before time.Time
	Count  int64
	Oldest time.Time
	// More is set where not all could be looked at: there are as many at least.
	More bool
}

func (d *Due) add(s db.Swept) {
	if s.Due > 0 && (d.Count == 0 || db.Time(s.Oldest).Before(d.Oldest)) {
		d.Oldest = db.Time(s.Oldest)
	}
	d.Count += s.Due
}
