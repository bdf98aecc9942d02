package event_test

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

// V16.4.2: what is erased by the rules is what a sealed event names, by number and hash.
// Whoever erases more, other events, or without one, is found, even with the rights to
// insert into event_erased.
func TestASVS_V16_4_2_OnlyWhatASealedEventNamesIsErasedByTheRules(t *testing.T) {
	const take = `INSERT INTO event_erased (event_id, commitment, time, statement)
		SELECT p.event_id, COALESCE((SELECT commitment FROM stolen AS s WHERE s.event_id = p.event_id), ''), 1, `
	for name, attack := range map[string]struct {
		statements []string
		found      bool
	}{
		"nothing":                  {nil, false},
		"no statement":             {[]string{take + `'' FROM event_personal AS p WHERE p.person = 'joe'`}, true},
		"a statement that is none": {[]string{take + `'nobody' FROM event_personal AS p WHERE p.person = 'joe'`}, true},
		"another event for a statement": {[]string{take +
			`(SELECT MIN(id) FROM event WHERE kind = 'successful_login') FROM event_personal AS p WHERE p.person = 'joe'`}, true},
		"a statement of others": {[]string{take +
			`(SELECT MIN(id) FROM event WHERE kind = 'events_erased') FROM event_personal AS p WHERE p.person = 'joe'`}, true},
		"a statement in whose place it is": {[]string{`DELETE FROM event_erased WHERE statement <> ''`,
			take + `(SELECT MIN(id) FROM event WHERE kind = 'events_erased') FROM event_personal AS p WHERE p.person = 'joe'`}, true},
		"the statement loses its own": {[]string{take + `'' FROM event_personal AS p JOIN event AS e ON e.id = p.event_id WHERE e.kind = 'events_erased'`},
			true},
		"a statement is made, and no other": {[]string{`UPDATE event_erased SET statement = (SELECT MIN(id) FROM event WHERE kind = 'successful_login')`}, true},
	} {
		t.Run(name, func(t *testing.T) {
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				s := newSealed(t, d)
				s.many(t, 3)
				jane, joe := full(event.Login), full(event.Login)
				jane.Account, joe.Account = "jane", "joe"
				s.append(t, jane, joe, jane, joe, joe)
				s.seal(t)
				// What a thief with the database can compute of events that they may read.
				s.exec(t, `CREATE TABLE stolen (event_id TEXT, commitment TEXT)`)
				for id, c := range s.commitments(t) {
					s.insert(t, id, c)
				}
				if n := s.erase(t, "jane"); n != 2 {
					t.Errorf("%d events of jane's", n)
				}
				if r := s.verify(t, event.VerifyOptions{}); len(r.Findings) > 0 || r.Erased != 2 {
					t.Fatalf("before the attack: %+v", r)
				}
				s.untie(t)
				if d.Dialect() == db.Postgres {
					s.exec(t, `ALTER TABLE event_erased DISABLE TRIGGER event_erased_append_only`)
				} else {
					s.exec(t, `DROP TRIGGER event_erased_no_update`, `DROP TRIGGER event_erased_no_delete`)
				}
				s.exec(t, attack.statements...)
				s.seal(t)
				r := s.verify(t, event.VerifyOptions{})
				if got := len(r.Findings) > 0; got != attack.found {
					t.Errorf("%+v", r)
				}
			})
		})
	}
}

// erase states an erasure, seals it, and erases.
func (s *sealed) erase(t *testing.T, person string) int {
	t.Helper()
	var e event.Erasure
	err := s.db.Write(ctx, func(tx *db.Tx) (err error) {
		e, err = s.StateErasure(tx, person, 100, "operator", event.Origin{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s.seal(t)
	if err := s.db.Write(ctx, func(tx *db.Tx) error { return s.Erase(tx, e) }); err != nil {
		t.Fatal(err)
	}
	return e.Events()
}

// Nothing is erased before the event that states it is sealed: the database itself refuses.
// A statement that nobody acts on is no finding, one erasure is done once, and of several at
// once each person's events go under one statement.
func TestASVS_V16_4_2_TheStatementIsSealedFirst(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSealed(t, d)
		jane, joe := full(event.Login), full(event.Login)
		jane.Account, joe.Account = "jane", "joe"
		s.append(t, jane, joe, jane)
		s.seal(t)
		state := func(person string) (e event.Erasure) {
			t.Helper()
			err := d.Write(ctx, func(tx *db.Tx) (err error) {
				e, err = s.StateErasure(tx, person, 100, "operator", event.Origin{})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		erase := func(e event.Erasure) error {
			return d.Write(ctx, func(tx *db.Tx) error { return s.Erase(tx, e) })
		}
		first := state("jane")
		if err := erase(first); err == nil {
			t.Fatal("an erasure was done whose statement waits to be sealed")
		}
		both := d.Write(ctx, func(tx *db.Tx) error { // as one transaction would do it
			e, err := s.StateErasure(tx, "joe", 100, "operator", event.Origin{})
			if err != nil {
				return err
			}
			return s.Erase(tx, e)
		})
		if r := s.verify(t, event.VerifyOptions{}); both == nil || len(r.Findings) > 0 || r.Erased != 0 {
			t.Fatalf("%v %+v", both, r)
		}
		second := state("jane") // a command that was killed is given again
		s.seal(t)
		if err := erase(first); err != nil {
			t.Fatal(err)
		}
		for name, e := range map[string]event.Erasure{"the same again": first, "the other statement of the same": second} {
			if err := erase(e); err == nil {
				t.Errorf("%s was done", name)
			}
		}
		s.seal(t)
		if r := s.verify(t, event.VerifyOptions{}); len(r.Findings) > 0 || r.Erased != 2 {
			t.Errorf("%+v", r)
		}
		if n := s.erase(t, "joe"); n != 1 {
			t.Errorf("%d events of joe's", n)
		}
		if e := state("jane"); e.Events() != 0 {
			t.Errorf("%d events of jane's are left", e.Events())
		}
	})
}

// commitments are what the hashes of the events hold of their personal parts.
func (s *sealed) commitments(t *testing.T) map[string]string {
	t.Helper()
	list := map[string]string{}
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		rows, err := tx.Query(`SELECT event_id, salt, data FROM event_personal`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var (
				id, data string
				salt     []byte
			)
			if err := rows.Scan(&id, &salt, &data); err != nil {
				return err
			}
			list[id] = event.CommitmentOf(salt, []byte(data))
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func (s *sealed) insert(t *testing.T, id, commitment string) {
	t.Helper()
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO stolen (event_id, commitment) VALUES ($1, $2)`, id, commitment)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
