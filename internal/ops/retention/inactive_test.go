package retention

import (
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
)

// RET-3: what is done about an account, by the mails that its owner was sent. Each counts from when it was accepted.
func TestRET3_ThreeMailsAndThenTheEnd(t *testing.T) {
	end := time.Unix(1_800_000_000, 0)
	on := func(days float64) time.Time { return end.Add(time.Duration(days * float64(day))) }
	sent := func(days ...float64) (list []told) {
		for _, d := range days {
			list = append(list, told{on(d), on(d)})
		}
		return list
	}
	refused := func(list []told) []told { list[len(list)-1].Accepted = time.Time{}; return list }
	for name, one := range map[string]struct {
		now   float64
		mails []told
		want  act
		due   float64
	}{
		"61 days before":                          {-61, nil, nothingYet, 0},
		"60 days before":                          {-60, nil, sendMail, 0},
		"long after, and no mail yet":             {400, nil, sendMail, 460},
		"31 days before":                          {-31, sent(-60), nothingYet, 0},
		"30 days before":                          {-30, sent(-60), sendMail, 0},
		"30 days before, the first came late":     {-30, sent(-50), nothingYet, 0},
		"30 days after a late first":              {-20, sent(-50), sendMail, 10},
		"long after the first":                    {100, sent(-60), sendMail, 130},
		"the first was not accepted":              {400, refused(sent(-60)), nothingYet, 0},
		"8 days before":                           {-8, sent(-60, -30), nothingYet, 0},
		"7 days before":                           {-7, sent(-60, -30), sendMail, 0},
		"7 days before, the second came late":     {-7, sent(-60, -20), nothingYet, 0},
		"the second was not accepted":             {400, refused(sent(-60, -30)), nothingYet, 0},
		"the end":                                 {0, sent(-60, -30, -7), erase, 0},
		"just before the end":                     {-0.01, sent(-60, -30, -7), nothingYet, 0},
		"the third came late":                     {0, sent(-60, -30, -6.9), nothingYet, 0},
		"the second came late, the third did not": {0, sent(-60, -29.9, -7), nothingYet, 0},
		"the first came late, the others did not": {0, sent(-59.9, -30, -7), nothingYet, 0},
		"the third was not accepted":              {400, refused(sent(-60, -30, -7)), nothingYet, 0},
	} {
		what, at := decide(on(one.now), end, one.mails)
		if what != one.want || what == sendMail && !at.Equal(on(one.due)) {
			t.Errorf("%s: %d on %s, want %d on %s", name, what, at, one.want, on(one.due))
		}
	}
}

// people makes n accounts that nobody has signed in to for so long.
func (h *house) people(n int, ago time.Duration, set string) (ids []string) {
	h.t.Helper()
	h.write(func(tx *db.Tx) error {
		ids = nil
		made := time.Now().Add(-ago)
		for range n {
			id := secret.Random{}.ID(made)
			if _, err := tx.Exec(`INSERT INTO account (id, email, email_key, name, locale, roles, hash, created_at, signed_in_at)
				VALUES ($1, $1 || '@b.org', $1 || '@b.org', '', 'de', '[]', '', $2, NULL)`, id, db.Micros(made)); err != nil {
				return err
			}
			ids = append(ids, id)
		}
		return nil
	})
	if set != "" {
		h.write(func(tx *db.Tx) error { _, err := tx.Exec(set, ids[0]); return err })
	}
	return ids
}

// accept has a mail server take all mails that wait at the clock's time, but for one account.
func (h *house) accept(but string) (n int64) {
	h.t.Helper()
	h.write(func(tx *db.Tx) (err error) {
		n, err = tx.Exec(`UPDATE outbox SET sent_at = $1, due_at = NULL, sealed = NULL, sent_to = '' WHERE due_at IS NOT NULL AND account_id <> $2`,
			db.Micros(h.Now()), but)
		return err
	})
	return n
}

func (h *house) erased() (n int64) {
	h.t.Helper()
	if err := h.DB.Read(h.t.Context(), func(tx *db.Tx) error {
		return tx.QueryRow(`SELECT COUNT(*) FROM account WHERE erase_at IS NOT NULL AND erase_why = 'inactive'`).Scan(&n)
	}); err != nil {
		h.t.Fatal(err)
	}
	return n
}

// pass lets days go by, with a run at noon and at midnight: after more than a day without one the clock is not believed.
func (h *house) pass(days int) {
	h.t.Helper()
	for range 2 * days {
		h.ahead.Add(int64(day / 2))
		if _, err := h.Run(h.t.Context(), By{Who: "operator"}); err != nil {
			h.t.Fatal(err)
		}
	}
}

func openInactive(t *testing.T, d *db.DB) *house {
	h := open(t, d)
	h.write(func(tx *db.Tx) error { _, err := tx.Exec(`DELETE FROM account WHERE id = 'a'`); return err })
	h.Kinds = Kinds(Lengths{Tokens: 7 * day, Logs: 3650 * day, Sessions: 30 * day}) // the trigger's clock does not go with ours
	h.Inactive = Inactive{After: 730 * day, Outbox: notice.NewOutbox([]byte("0123456789abcdef0123456789abcdef"), secret.Random{}, h.Now)}
	return h
}

// RET-3: an account goes 60 days after the first mail, if all three were accepted, and nobody signed in; those with a
// role, those that are disabled, those that an open incident names, and those whose mail was refused stay.
func TestRET3_OnlyWhoIsInactiveGoes(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := openInactive(t, d)
		h.people(3, 731*day, "")
		h.people(1, 731*day, `UPDATE account SET roles = '["editor"]' WHERE id = $1`)
		h.people(1, 731*day, `UPDATE account SET disabled_at = 1 WHERE id = $1`)
		h.people(1, 600*day, "")
		h.write(func(tx *db.Tx) error {
			_, err := tx.Exec(`INSERT INTO incident (id, n, title, alert, aware_at, opened_at, lessons) VALUES ('i', 1, 'It is open', '', 1, 1, '')`)
			return err
		})
		h.people(1, 731*day, `INSERT INTO incident_person (incident_id, action_id, account_id, added_at) VALUES ('i', '', $1, 1)`)
		back := h.people(1, 731*day, "")[0]
		refused := h.people(1, 731*day, "")[0]
		h.run(nil, 0)
		if n := h.accept(refused); n != 4 {
			t.Errorf("%d first mails", n)
		}
		h.run(nil, 0)
		if n := h.accept(refused); n != 0 {
			t.Errorf("%d more mails the same day", n)
		}
		h.pass(30)
		if n := h.accept(refused); n != 4 {
			t.Errorf("%d second mails", n)
		}
		h.pass(23)
		if n := h.accept(refused); n != 4 {
			t.Errorf("%d third mails", n)
		}
		h.pass(6)
		// At the last moment somebody signs in.
		h.write(func(tx *db.Tx) error {
			_, err := account.SignedIn(tx, back, 0, 0, account.Rehash{}, h.Now())
			return err
		})
		if n := h.erased(); n != 0 {
			t.Errorf("%d accounts went too early", n)
		}
		h.ahead.Add(int64(day / 2))
		h.run(nil, 0)
		h.ahead.Add(int64(day / 2))
		due, err := h.Preview(t.Context())
		if last := due[len(due)-1]; err != nil || last.Kind != kindInactive || last.Count != 3 || last.Line != RET3 {
			t.Errorf("the preview says %+v, %v", last, err)
		}
		h.run(nil, 7) // and the rows of four mails
		h.run(nil, 0)
		h.pass(3)
		if n := h.erased(); n != 3 {
			t.Errorf("%d accounts went, want 3", n)
		}
		// Without a mail server nothing is sent, and nobody goes.
		h.Inactive.Outbox = nil
		h.people(2, 731*day, "")
		h.pass(3)
		if n := h.accept(refused); n > 1 || h.erased() != 3 { // one is of him who was made 600 days ago
			t.Errorf("%d mails without a mail server, %d accounts gone", n, h.erased())
		}
	})
}

// RET-3: sixteen sign-ins meet the run that gives their accounts over: whoever signs in stays, whichever came first.
func TestRET3_WhoSignsInAtTheLastMomentStays(t *testing.T) {
	d := dbtest.Open(t, dbtest.Postgres(t))
	h := openInactive(t, d)
	ids := h.people(16, 731*day, "")
	var idle []account.Idle
	h.write(func(tx *db.Tx) (err error) {
		idle, _, _, err = account.IdleAfter(tx, "", time.Now().Add(-730*day), 100)
		return err
	})
	if len(idle) != 16 {
		t.Fatalf("%d are idle", len(idle))
	}
	var wg sync.WaitGroup
	for i, id := range ids {
		wg.Go(func() {
			if err := d.Write(t.Context(), func(tx *db.Tx) error {
				_, err := account.SignedIn(tx, id, 0, 0, account.Rehash{}, time.Now())
				return err
			}); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if err := d.Write(t.Context(), func(tx *db.Tx) error { _, err := account.EraseIdle(tx, idle[i], time.Now()); return err }); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := h.erased(); n != 0 {
		t.Errorf("%d who signed in are to be erased", n)
	}
}

// RET-3: more than a hundred and than one of a hundred in a day stop it until somebody says so; so does a run after more
// than 30 days; and at most 1,000 first mails go out in an hour.
func TestRET3_TheBrakes(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := openInactive(t, d)
		ids := h.people(101, 800*day, "")
		h.write(func(tx *db.Tx) error {
			for _, id := range ids {
				for step, ago := range []time.Duration{60 * day, 30 * day, 7 * day} {
					at := db.Micros(time.Now().Add(-ago))
					if _, err := tx.Exec(`INSERT INTO inactive_notice (account_id, step, mail_id, queued_at, accepted_at) VALUES ($1, $2, 'x', $3, $3)`,
						id, step+1, at); err != nil {
						return err
					}
				}
			}
			return nil
		})
		braked := func(why string) {
			t.Helper()
			h.run(nil, 0)
			st, err := h.Standing(t.Context())
			if err != nil || st.Brake != why || st.Trouble(h.Now()) != 1 || h.erased() != 0 {
				t.Errorf("the brake is %q, want %q; %d have gone, %v", st.Brake, why, h.erased(), err)
			}
		}
		braked("many")
		h.write(func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE inactive_run SET ran_at = $1, braked_at = 0, brake = ''`, db.Micros(time.Now().Add(-31*day)))
			return err
		})
		braked("late")
		braked("late")
		if err := h.Resume(t.Context(), By{Who: "operator"}); err != nil {
			t.Fatal(err)
		}
		h.run(nil, 101)
		if n := h.erased(); n != 101 {
			t.Errorf("%d have gone once somebody said so", n)
		}
		h.people(1005, 731*day, "")
		h.run(nil, 0)
		h.run(nil, 0)
		if n := h.accept(""); n != mostFirst {
			t.Errorf("%d first mails within an hour", n)
		}
		h.ahead.Add(int64(time.Hour + time.Second))
		h.run(nil, 0)
		if n := h.accept(""); n != 5 {
			t.Errorf("%d first mails in the next", n)
		}
	})
}
