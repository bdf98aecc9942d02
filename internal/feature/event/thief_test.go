package event_test

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

// One who has the database, and signs it all anew with a key of theirs, is found by
// whoever kept the public key, and by the checkpoint that was kept.
func TestLOG1_AReplacedKeyIsFoundAndNamed(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSealed(t, d)
		s.many(t, 10)
		kept := s.seal(t)
		key := s.State().Origin.Verifier
		s.untie(t)
		if d.Dialect() == db.SQLite {
			s.exec(t, `DROP TRIGGER event_origin_no_delete`)
		}
		s.exec(t, `DELETE FROM event_checkpoint`, `DELETE FROM event_origin`)
		const theirs = "a key of a thief's, which is long enough as well"
		err := d.Write(ctx, func(tx *db.Tx) error { _, err := event.Restart(tx, theirs, s.now()); return err })
		if err != nil {
			t.Fatal(err)
		}
		s.many(t, 1)
		if _, err := event.NewSealer(d, theirs, s.now).Seal(ctx); err != nil {
			t.Fatal(err)
		}
		if r := s.verify(t, event.VerifyOptions{}); len(r.Findings) > 0 {
			t.Errorf("the forged log contradicts itself: %+v", r.Findings)
		}
		if r := s.verify(t, event.VerifyOptions{Key: key}); len(r.Findings) == 0 || r.Findings[0].What != "key" {
			t.Errorf("held against the key: %+v", r.Findings)
		}
		// The checkpoint can't be held against a log that another key signs, which is said.
		if r, err := event.Verify(ctx, d, event.VerifyOptions{Checkpoint: kept.Note}); len(r.Findings) == 0 && fault.KindOf(err) != fault.Invalid {
			t.Errorf("held against the checkpoint: %+v, %v", r, err)
		}
		if c := s.State(); c.Origin.Verifier == key {
			if got, err := s.Seal(ctx); err == nil && got.Note != "" {
				t.Errorf("the server signs for the thief: %s", got.Note)
			}
		}
	})
}

// A database that is set back to a backup of before is found by the checkpoint that
// was kept, and by every server that has seen more, also once it has grown again.
func TestLOG1_ARestoredBackupIsFoundAndNamed(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSealed(t, d)
		s.many(t, 10)
		s.seal(t)
		s.exec(t, `CREATE TABLE saved_head AS SELECT * FROM event_head`)
		s.many(t, 10)
		kept := s.seal(t)
		s.untie(t)
		s.exec(t, `DELETE FROM event_personal WHERE event_id IN (SELECT event_id FROM event_leaf WHERE n >= 10)`,
			`DELETE FROM event WHERE id IN (SELECT event_id FROM event_leaf WHERE n >= 10)`, `DELETE FROM event_leaf WHERE n >= 10`,
			`DELETE FROM event_checkpoint WHERE size > 10`, `DELETE FROM event_head`, `INSERT INTO event_head SELECT * FROM saved_head`)
		if r := s.verify(t, event.VerifyOptions{}); len(r.Findings) > 0 {
			t.Errorf("a backup is a good log of its own: %+v", r.Findings)
		}
		if r := s.verify(t, event.VerifyOptions{Checkpoint: kept.Note}); len(r.Findings) == 0 || r.Findings[0].What != "cut" {
			t.Errorf("held against the checkpoint: %+v", r.Findings)
		}
		if _, err := s.Seal(ctx); fault.KindOf(err) != fault.Conflict {
			t.Errorf("the server goes on: %v", err)
		}
		s.many(t, 15)
		if _, err := event.NewSealer(d, logKey, s.now).Seal(ctx); err != nil { // a server that was started after it, and has no anchor
			t.Fatal(err)
		}
		if r := s.verify(t, event.VerifyOptions{Checkpoint: kept.Note}); len(r.Findings) == 0 {
			t.Error("it has grown again, and nothing is found")
		}
		informed := event.NewSealer(d, logKey, s.now)
		if err := informed.Know(ctx, kept.Note); err != nil {
			t.Fatal(err)
		}
		if _, err := informed.Seal(ctx); fault.KindOf(err) != fault.Conflict {
			t.Errorf("a server that knows the anchor goes on: %v", err)
		}
	})
}
