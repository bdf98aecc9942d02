package retention

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/hold"
	"github.com/gatehouse-auth/gatehouse/internal/feature/incident"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
)

// kindInactive is how accounts that nobody uses are called in a tally.
const kindInactive = "inactive_accounts"

// ahead is how long before the end each of the three mails is sent, and has to have been accepted.
var ahead = [3]time.Duration{60 * day, 30 * day, 7 * day}

// The brakes: so many first mails an hour at most; a day in which more accounts would go than
// mostADay, and than one of a hundred, is stopped; so is a run after a long time without.
const (
	mostFirst = 1000
	mostADay  = 100
	longAgo   = 30 * day
)

// Inactive deletes accounts that nobody has signed in to for long (RET-3). Deletion is erasure, which others do.
type Inactive struct {
	// After is for how long nobody has signed in; zero: no account goes.
	After time.Duration
	// Outbox is where the mails go that announce it; nil where no mail server is set, and
	// then no account goes.
	Outbox *notice.Outbox
}

// told is one of the mails to the owner of an account, as the outbox has it.
type told struct {
	Queued, Accepted time.Time // Accepted is zero until a mail server has
}

// act is what is done about an account.
type act int

const (
	nothingYet act = iota
	sendMail
	erase
)

// decide says what is done about an account that is due at a time, by the mails that its owner
// was sent: the next mail, or the erasure, and when the mail says that it will be. Each mail
// counts from when a mail server accepted it: one that was refused stops all that follows.
func decide(now, end time.Time, mails []told) (act, time.Time) {
	for i, m := range mails {
		if m.Accepted.IsZero() {
			return nothingYet, time.Time{}
		}
		if at := m.Accepted.Add(ahead[i]); at.After(end) {
			end = at
		}
	}
	if len(mails) == len(ahead) {
		if now.Before(end) {
			return nothingYet, time.Time{}
		}
		return erase, time.Time{}
	}
	before := ahead[len(mails)]
	if now.Before(end.Add(-before)) {
		return nothingYet, time.Time{}
	}
	if at := now.Add(before); at.After(end) {
		end = at
	}
	return sendMail, end
}

// idleDue counts the accounts that would be given over to erasure now.
func (k *Keeper) idleDue(ctx context.Context) (Due, error) {
	now := k.Now()
	d := Due{Kind: kindInactive, Line: RET3, Before: now.Add(-k.Inactive.After)}
	r := idleRun{Keeper: k, now: now, dry: true}
	err := r.pass(ctx, k.DB.Read, r.isDue, func(due []account.Idle) {
		for _, one := range due {
			d.add(db.Swept{Due: 1, Oldest: db.Micros(one.Since)})
		}
	})
	return d, err
}

// inactive does a run over the accounts that nobody uses, and returns the tally with those that were given over
// to erasure. What brakes it is kept, for somebody to look at, and is no failure.
func (k *Keeper) inactive(ctx context.Context, deleted []event.Deleted) ([]event.Deleted, error) {
	if k.Inactive.After == 0 || k.Inactive.Outbox == nil {
		return deleted, nil
	}
	r := idleRun{Keeper: k, now: k.Now()}
	if err := k.DB.Read(ctx, func(tx *db.Tx) (err error) { r.state, err = readIdle(tx); return err }); err != nil {
		return deleted, err
	}
	allowed := r.now.Before(r.state.Allowed)
	if late := !r.state.Ran.IsZero() && r.now.Sub(r.state.Ran) > longAgo; late && !allowed {
		r.state.brake(r.now, "late")
	}
	if r.state.Braked.IsZero() {
		if err := r.weigh(ctx, allowed); err != nil {
			return deleted, err
		}
	}
	if !r.state.Braked.IsZero() {
		return deleted, k.DB.Write(ctx, func(tx *db.Tx) error { return r.state.write(tx) })
	}
	err := r.pass(ctx, k.DB.Write, r.do, func(erased []account.Idle) { deleted = plus(deleted, kindInactive, int64(len(erased))) })
	if err != nil {
		return deleted, err
	}
	r.state.Ran = r.now
	return deleted, k.DB.Write(ctx, func(tx *db.Tx) error { return r.state.write(tx) })
}

// idleRun is one run over the accounts that nobody uses.
type idleRun struct {
	*Keeper
	now   time.Time
	dry   bool // nothing is done, so a hold does not matter
	state idleState
	first int64 // how many first mails were sent within the hour
}

// isDue reports whether an account would be given over to erasure now.
func (r *idleRun) isDue(_ *db.Tx, one account.Idle, mails []told) (bool, error) {
	what, _ := decide(r.now, one.Since.Add(r.Inactive.After), mails)
	return what == erase, nil
}

// weigh counts what would go before anything does, and brakes if that is too much for a day.
func (r *idleRun) weigh(ctx context.Context, allowed bool) error {
	var due, all int64
	err := r.pass(ctx, r.DB.Read, r.isDue, func(list []account.Idle) { due += int64(len(list)) })
	if err != nil {
		return err
	}
	err = r.DB.Read(ctx, func(tx *db.Tx) (err error) {
		if r.first, err = firstMails(tx, r.now.Add(-time.Hour)); err != nil {
			return err
		}
		all, err = account.Count(tx)
		return err
	})
	if err != nil {
		return err
	}
	if since := r.now.Sub(r.state.Day); since >= day || since < 0 {
		r.state.Day, r.state.DayN = r.now, 0
	}
	if !allowed && due+r.state.DayN > max(mostADay, all/100) {
		r.state.brake(r.now, "many")
	}
	return nil
}

// pass goes through all accounts that nobody uses, in batches. do says which count; after is called with those once a batch
// is committed. A batch whose transaction is run again begins with the counts that the one before left.
func (r *idleRun) pass(ctx context.Context, transaction func(context.Context, func(*db.Tx) error) error,
	do func(*db.Tx, account.Idle, []told) (bool, error), after func([]account.Idle),
) error {
	at, next := "", ""
	state, first := r.state, r.first
	var counted []account.Idle
	// From when on the first mail may be due.
	since := r.now.Add(ahead[0] - r.Inactive.After)
	return r.Pacer.run(ctx, transaction, func(tx *db.Tx, keys int) (bool, error) {
		r.state, r.first, counted = state, first, nil
		if _, stands, err := hold.Standing(tx, r.Now()); err != nil {
			return false, err
		} else if stands && !r.dry {
			return false, errPaused
		}
		list, last, looked, err := account.IdleAfter(tx, at, since, keys)
		if err != nil {
			return false, err
		}
		next = last
		for _, one := range list {
			if named, err := incident.InOpen(tx, one.ID); err != nil {
				return false, err
			} else if named {
				continue // it stays until the incident is closed
			}
			mails, err := mailsTo(tx, one)
			if err != nil {
				return false, err
			}
			counts, err := do(tx, one, mails)
			if err != nil {
				return false, err
			}
			if counts {
				counted = append(counted, one)
			}
		}
		return looked == keys, nil
	}, func() {
		at, state, first = next, r.state, r.first
		after(counted)
	})
}

// do does what is to be done about one account, and reports whether it was given over to erasure.
func (r *idleRun) do(tx *db.Tx, one account.Idle, mails []told) (bool, error) {
	what, at := decide(r.now, one.Since.Add(r.Inactive.After), mails)
	if len(mails) > 0 { // the outbox forgets a mail 30 days after it was sent
		if _, err := tx.Exec(`UPDATE inactive_notice SET accepted_at = (SELECT o.sent_at FROM outbox AS o WHERE o.id = inactive_notice.mail_id)
			WHERE account_id = $1 AND accepted_at IS NULL`, one.ID); err != nil {
			return false, err
		}
	}
	switch {
	case what == sendMail && (len(mails) > 0 || r.first < mostFirst):
		if len(mails) == 0 {
			r.first++
			if err := Forget(tx, one.ID); err != nil {
				return false, err
			}
		}
		id, err := r.Inactive.Outbox.QueueID(tx, notice.Mail{
			Kind: notice.AccountInactive, Account: one.ID, To: one.Email, Name: one.Name, Locale: one.Locale, At: r.now, Due: at,
		})
		if err != nil {
			return false, err
		}
		return false, noteMail(tx, one.ID, len(mails)+1, id, r.now)
	case what == erase:
		erased, err := account.EraseIdle(tx, one, r.now)
		if err != nil || !erased {
			return false, err
		}
		r.state.DayN++
		if err := r.state.write(tx); err != nil {
			return false, err
		}
		r.Events.Append(tx, event.Event{Kind: event.AccountInactive, Outcome: event.Success, Account: one.ID})
		return true, Forget(tx, one.ID)
	}
	return false, nil
}

// mailsTo returns the mails about an account's end that were sent since somebody last
// signed in.
func mailsTo(tx *db.Tx, one account.Idle) (list []told, err error) {
	rows, err := tx.Query(`SELECT n.queued_at, COALESCE(n.accepted_at, o.sent_at) FROM inactive_notice AS n LEFT JOIN outbox AS o ON o.id = n.mail_id
		WHERE n.account_id = $1 AND n.queued_at > $2 ORDER BY n.step`, one.ID, db.Micros(one.Since))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			queued   int64
			accepted *int64
		)
		if err := rows.Scan(&queued, &accepted); err != nil {
			return nil, err
		}
		list = append(list, told{db.Time(queued), db.TimeOrZero(accepted)})
	}
	return list, errors.Join(rows.Err(), rows.Close())
}

func noteMail(tx *db.Tx, accountID string, step int, mail string, now time.Time) error {
	_, err := tx.Exec(`INSERT INTO inactive_notice (account_id, step, mail_id, queued_at) VALUES ($1, $2, $3, $4)`, accountID, step, mail, db.Micros(now))
	return err
}

// Forget forgets which mails were sent about an account: it is being erased, or somebody has signed in.
func Forget(tx *db.Tx, accountID string) error {
	_, err := tx.Exec(`DELETE FROM inactive_notice WHERE account_id = $1`, accountID)
	return err
}

func firstMails(tx *db.Tx, since time.Time) (n int64, err error) {
	err = tx.QueryRow(`SELECT COUNT(*) FROM inactive_notice WHERE step = 1 AND queued_at > $1`, db.Micros(since)).Scan(&n)
	return n, err
}

// idleState is how the deletion of inactive accounts stands.
type idleState struct {
	Ran time.Time
	// Day is since when DayN accounts were given over.
	Day  time.Time
	DayN int64
	// Braked is since when nothing is done, and Brake why; Allowed until when somebody has said that it may.
	Braked  time.Time
	Brake   string
	Allowed time.Time
}

func (s *idleState) brake(now time.Time, why string) { s.Braked, s.Brake = now, why }

func readIdle(tx *db.Tx) (s idleState, err error) {
	var ran, since, braked, allowed int64
	err = tx.QueryRow(`SELECT ran_at, day_at, day_n, braked_at, brake, allowed_until FROM inactive_run WHERE one = 1`).
		Scan(&ran, &since, &s.DayN, &braked, &s.Brake, &allowed)
	if errors.Is(err, db.ErrNoRows) {
		return s, nil
	}
	s.Ran, s.Day, s.Braked, s.Allowed = known(ran), known(since), known(braked), known(allowed)
	return s, err
}

func (s idleState) write(tx *db.Tx) error {
	_, err := tx.Exec(`INSERT INTO inactive_run (one, ran_at, day_at, day_n, braked_at, brake, allowed_until) VALUES (1, $1, $2, $3, $4, $5, $6)
		ON CONFLICT (one) DO UPDATE SET ran_at = $1, day_at = $2, day_n = $3, braked_at = $4, brake = $5, allowed_until = $6`,
		micros(s.Ran), micros(s.Day), s.DayN, micros(s.Braked), s.Brake, micros(s.Allowed))
	return err
}

// allow has the deletion of inactive accounts go on for a day in spite of its brakes.
func allow(tx *db.Tx, now time.Time) error {
	s, err := readIdle(tx)
	if err != nil || s.Braked.IsZero() {
		return err
	}
	s.Braked, s.Brake, s.Allowed = time.Time{}, "", now.Add(day)
	return s.write(tx)
}
