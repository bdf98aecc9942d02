package event_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

const logKey = "a key for the tests of the event log, long enough"

// sealed is a testLog that is sealed.
type sealed struct {
	*testLog
	*event.Sealer
}

func newSealed(t testing.TB, d *db.DB) *sealed {
	t.Helper()
	if err := keyring.Install(ctx, d, secret.Random{}, start); err != nil {
		t.Fatal(err)
	}
	k := newTestLog(d, secret.Random{})
	return &sealed{k, event.NewSealer(d, logKey, k.now)}
}

func (s *sealed) seal(t testing.TB) event.Checkpoint {
	t.Helper()
	c, err := s.Seal(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (s *sealed) many(t testing.TB, n int) {
	t.Helper()
	for range n {
		s.append(t, full(event.Login))
	}
}

func (s *sealed) verify(t testing.TB, o event.VerifyOptions) event.Report {
	t.Helper()
	r, err := event.Verify(ctx, s.db, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (s *sealed) exec(t testing.TB, statements ...string) {
	t.Helper()
	for _, q := range statements {
		if err := s.db.Write(ctx, func(tx *db.Tx) error { _, err := tx.Exec(q); return err }); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}

// untie takes the triggers away, as the database's owner can.
func (s *sealed) untie(t testing.TB) {
	t.Helper()
	if s.db.Dialect() == db.Postgres {
		s.exec(t, `ALTER TABLE event DISABLE TRIGGER ALL`, `ALTER TABLE event_leaf DISABLE TRIGGER ALL`, `ALTER TABLE event_personal DISABLE TRIGGER ALL`,
			`ALTER TABLE event_origin DISABLE TRIGGER ALL`)
		return
	}
	s.exec(t, `DROP TRIGGER event_no_update`, `DROP TRIGGER event_no_delete`, `DROP TRIGGER event_personal_no_update`,
		`DROP TRIGGER event_leaf_no_update`, `DROP TRIGGER event_leaf_no_delete`, `DROP TRIGGER event_origin_no_update`)
}

// The prototype's test (mechanisms.md): many writers that dawdle and roll back,
// two sealers at once. A cursor over ids, which begin with the time, loses some.
func TestLOG1_EveryCommittedEventIsSealedOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSealed(t, d)
		other := event.NewSealer(d, logKey, s.now)
		var (
			writers, sealers sync.WaitGroup
			committed        atomic.Int64
			done             = make(chan struct{})
			naive            = newCursor(d)
		)
		each := 20
		if soaking() {
			each = 500
		}
		for range 32 {
			writers.Go(func() {
				for range each {
					fail := rand.IntN(5) == 0
					err := d.Write(ctx, func(tx *db.Tx) error {
						s.Append(tx, full(event.TokenRefresh))
						if d.Dialect() == db.Postgres {
							if _, err := tx.Exec(`SELECT pg_sleep($1::float8 / 1000)`, rand.IntN(20)); err != nil {
								return err
							}
						}
						if fail {
							return errRolledBack
						}
						return nil
					})
					if err == nil {
						committed.Add(1)
					} else if !errors.Is(err, errRolledBack) {
						t.Error(err)
					}
				}
			})
		}
		for _, one := range []*event.Sealer{s.Sealer, other} {
			sealers.Go(func() {
				for {
					if _, err := one.Seal(ctx); err != nil {
						t.Error(err)
						return
					}
					naive.read(t)
					select {
					case <-done:
						return
					default:
						time.Sleep(time.Millisecond)
					}
				}
			})
		}
		writers.Wait()
		close(done)
		sealers.Wait()
		s.seal(t)
		r := s.verify(t, event.VerifyOptions{})
		if len(r.Findings) > 0 || r.Leaves != committed.Load() || r.Until != r.Leaves || r.Checkpoints < 2 {
			t.Errorf("%d were committed: %+v", committed.Load(), r)
		}
		naive.read(t)
		t.Logf("%d events, %d checkpoints; a cursor over ids has seen %d", r.Leaves, r.Checkpoints, naive.seen.Load())
		if d.Dialect() == db.Postgres && naive.seen.Load() == committed.Load() {
			t.Error("the naive cursor lost nothing: this test is too tame to show anything")
		}
	})
}

var errRolledBack = errors.New("rolled back on purpose")

// cursor is what one would write first, and is wrong.
type cursor struct {
	db   *db.DB
	mu   sync.Mutex
	last string
	seen atomic.Int64
}

func newCursor(d *db.DB) *cursor { return &cursor{db: d} }

func (c *cursor) read(t testing.TB) {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.db.Read(ctx, func(tx *db.Tx) error {
		rows, err := tx.Query(`SELECT id FROM event WHERE id > $1 ORDER BY id`, c.last)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if err := rows.Scan(&c.last); err != nil {
				return err
			}
			c.seen.Add(1)
		}
		return rows.Err()
	})
	if err != nil {
		t.Error(err)
	}
}

// What the tree says is what RFC 6962 says of its leaves, and each event can be
// proved to be in it.
func TestLOG1_TheTreeIsThatOfItsLeaves(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSealed(t, d)
		total := 0
		for _, n := range []int{1, 2, 5, 248, 1, 300} {
			s.many(t, n)
			total += n
			c := s.seal(t)
			if c.Size != int64(total) {
				t.Fatalf("%d of %d are sealed", c.Size, total)
			}
			var ids []string
			var hashes []tlog.Hash
			err := d.Read(ctx, func(tx *db.Tx) error {
				rows, err := tx.Query(`SELECT event_id, hash FROM event_leaf ORDER BY n`)
				if err != nil {
					return err
				}
				defer rows.Close()
				for rows.Next() {
					var id string
					var h []byte
					if err := rows.Scan(&id, &h); err != nil {
						return err
					}
					ids, hashes = append(ids, id), append(hashes, tlog.Hash(h))
				}
				return rows.Err()
			})
			if err != nil {
				t.Fatal(err)
			}
			if root := treeOf(hashes); root != c.Root {
				t.Fatalf("the root of %d leaves is %s, want %s", c.Size, c.Root, root)
			}
			for _, i := range []int{0, total / 2, total - 1} {
				err := d.Read(ctx, func(tx *db.Tx) error {
					e, err := s.Show(tx, ids[i])
					if err == nil {
						err = tlog.CheckRecord(e.Proof, e.Head.Size, e.Head.Root, e.Leaf, e.Hash)
					}
					return err
				})
				if err != nil {
					t.Errorf("the proof of leaf %d of %d: %v", i, total, err)
				}
			}
		}
	})
}

// treeOf is the definition: RFC 6962, section 2.1.
func treeOf(leaves []tlog.Hash) tlog.Hash {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	return tlog.NodeHash(treeOf(leaves[:k]), treeOf(leaves[k:]))
}

func TestLOG1_EachTamperingIsFoundAndNamed(t *testing.T) {
	everything := map[string]struct {
		what       string
		leaf       int64
		statements []string
	}{
		"an outcome is changed": {"changed", 3, []string{`UPDATE event SET outcome = 'failure' WHERE id = (SELECT event_id FROM event_leaf WHERE n = 3)`}},
		"a time is changed":     {"changed", 7, []string{`UPDATE event SET time = time + 1 WHERE id = (SELECT event_id FROM event_leaf WHERE n = 7)`}},
		"a personal field is changed": {"changed", 9,
			[]string{`UPDATE event_personal SET data = REPLACE(data, 'account-1', 'account-2') WHERE event_id = (SELECT event_id FROM event_leaf WHERE n = 9)`}},
		"a leaf is changed": {"changed", 2, []string{`UPDATE event_leaf SET hash = (SELECT hash FROM event_leaf WHERE n = 1) WHERE n = 2`}},
		"an event is removed": {"removed", 4,
			[]string{`DELETE FROM event_personal WHERE event_id = (SELECT event_id FROM event_leaf WHERE n = 4)`,
				`DELETE FROM event WHERE id = (SELECT event_id FROM event_leaf WHERE n = 4)`}},
		"its leaf too": {"removed", 4,
			[]string{`DELETE FROM event WHERE id = (SELECT event_id FROM event_leaf WHERE n = 4)`, `DELETE FROM event_leaf WHERE n = 4`}},
		"a personal part is removed": {"removed", 5, []string{`DELETE FROM event_personal WHERE event_id = (SELECT event_id FROM event_leaf WHERE n = 5)`}},
		"two leaves are swapped": {"reordered", 10,
			[]string{`UPDATE event_leaf SET n = 100000 WHERE n = 10`, `UPDATE event_leaf SET n = 10 WHERE n = 11`, `UPDATE event_leaf SET n = 11 WHERE n = 100000`}},
		"the end is cut": {"cut", 24,
			[]string{`DELETE FROM event WHERE id IN (SELECT event_id FROM event_leaf WHERE n >= 24)`, `DELETE FROM event_leaf WHERE n >= 24`,
				`UPDATE event_head SET size = 24`}},
		"an event is put into the past": {"added", -1,
			[]string{`INSERT INTO event (tx, id, time, kind, outcome, hash)
				SELECT -1, '00000000-0000-7000-8000-000000000000', time, kind, outcome, hash FROM event
				WHERE id = (SELECT event_id FROM event_leaf WHERE n = 3)`}},
		"a leaf behind the end":   {"added", 30, []string{`INSERT INTO event_leaf (n, event_id, hash) SELECT 31, 'nobody', hash FROM event_leaf WHERE n = 1`}},
		"a checkpoint is changed": {"unsigned", 19, []string{`UPDATE event_checkpoint SET note = REPLACE(note, 'gatehouse', 'gatehause') WHERE size = 20`}},
		"a checkpoint is another's size": {"unsigned", 19,
			[]string{`UPDATE event_checkpoint SET note = (SELECT note FROM event_checkpoint WHERE size = 30) WHERE size = 20`}},
	}
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for name, c := range everything {
			t.Run(name, func(t *testing.T) {
				s := newSealed(t, dbtest.Open(t, another(t, d)))
				for range 3 {
					s.many(t, 10)
					s.seal(t)
				}
				s.exec(t, `UPDATE event_head SET from_tx = 1 WHERE from_tx < 1`)
				if r := s.verify(t, event.VerifyOptions{}); len(r.Findings) > 0 {
					t.Fatalf("before: %+v", r.Findings)
				}
				s.untie(t)
				s.exec(t, c.statements...)
				r := s.verify(t, event.VerifyOptions{})
				if len(r.Findings) == 0 || r.Findings[0].What != c.what || r.Findings[0].Leaf != c.leaf {
					t.Errorf("found %+v, want %s at %d", r.Findings, c.what, c.leaf)
				}
			})
		}
	})
}

func another(t *testing.T, d *db.DB) string {
	if d.Dialect() == db.SQLite {
		return dbtest.SQLite(t)
	}
	return dbtest.Postgres(t)
}

// One who rewrites all of it, head and tree included, is found by a checkpoint
// that was kept elsewhere, and by every sealer that has seen the log before.
func TestLOG1_AForgedLogContradictsWhatWasSigned(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSealed(t, d)
		s.many(t, 40)
		kept := s.seal(t)
		s.untie(t)
		s.exec(t, `DELETE FROM event_personal WHERE event_id IN (SELECT event_id FROM event_leaf WHERE n = 11)`,
			`DELETE FROM event WHERE id = (SELECT event_id FROM event_leaf WHERE n = 11)`, `DELETE FROM event_leaf`, `DELETE FROM event_node`,
			`DELETE FROM event_checkpoint`,
			`UPDATE event_head SET size = 0, from_tx = 0`)
		forger := event.NewSealer(d, "", s.now) // has the database, and not the key
		nothing := sha256.Sum256(nil)
		if err := d.Write(ctx, func(tx *db.Tx) error { _, err := tx.Exec(`UPDATE event_head SET root = $1`, nothing[:]); return err }); err != nil {
			t.Fatal(err)
		}
		if _, err := forger.Seal(ctx); err != nil {
			t.Fatal(err)
		}
		if r := s.verify(t, event.VerifyOptions{}); len(r.Findings) > 0 {
			t.Errorf("nothing in the database contradicts the forged log, and yet: %+v", r.Findings)
		}
		if r := s.verify(t, event.VerifyOptions{Checkpoint: kept.Note}); len(r.Findings) == 0 || r.Findings[0].What != "cut" {
			t.Errorf("held against a checkpoint of 40: %+v", r.Findings)
		}
		s.many(t, 5)
		if _, err := s.Seal(ctx); fault.KindOf(err) != fault.Conflict || s.State().Contradicted == nil {
			t.Errorf("the sealer goes on: %v", err)
		}
		if _, err := forger.Seal(ctx); err != nil {
			t.Fatal(err)
		}
		if r := s.verify(t, event.VerifyOptions{Checkpoint: kept.Note}); len(r.Findings) == 0 || r.Findings[0].What != "reordered" {
			t.Errorf("held against a checkpoint of 40 among 44: %+v", r.Findings)
		}
		fresh := event.NewSealer(d, logKey, s.now)
		if err := fresh.Know(ctx, kept.Note); err != nil {
			t.Fatal(err)
		}
		if _, err := fresh.Seal(ctx); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "gatehouse events verify") {
			t.Errorf("a sealer that knows the checkpoint goes on: %v", err)
		}
		if r := s.verify(t, event.VerifyOptions{Key: "x+00000000+AAAA"}); len(r.Findings) == 0 || r.Findings[0].What != "key" {
			t.Errorf("held against another key: %+v", r.Findings)
		}
	})
}

// GDPR-3, RET-2: what points at a person goes, old events go, and the log
// verifies.
func TestGDPR3_ErasureAndRetentionLeaveTheLogVerifying(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSealed(t, d)
		old := time.Now().Add(-100 * 24 * time.Hour)
		s.Log = event.NewLog(discard, secret.Random{}, func() time.Time { return old }, nil)
		s.many(t, 700)
		s.seal(t)
		s.Log = event.NewLog(discard, secret.Random{}, time.Now, nil)
		s.many(t, 20)
		jane := full(event.Login)
		jane.Account = "jane"
		s.append(t, jane, jane)
		s.seal(t)
		write := func(fn func(tx *db.Tx) error) {
			t.Helper()
			if err := d.Write(ctx, fn); err != nil {
				t.Fatal(err)
			}
		}
		if n := s.erase(t, "jane"); n != 2 {
			t.Errorf("%d events of jane's", n)
		}
		var (
			until     int64
			statement string
		)
		write(func(tx *db.Tx) (err error) {
			until, _, err = event.Retirable(tx, time.Now().Add(-90*24*time.Hour))
			if until != 700 {
				t.Errorf("up to %d, want 700", until)
			}
			statement = s.StateRetirement(tx, until, "retention")
			return err
		})
		// Nothing goes before the statement is sealed, nor more than it states, nor by another event.
		for name, one := range map[string]struct {
			id    string
			until int64
		}{"not sealed": {statement, until}, "no such event": {"x", until}} {
			err := d.Write(ctx, func(tx *db.Tx) error { _, err := s.Retire(tx, one.id, one.until, 300); return err })
			if err == nil || !strings.Contains(err.Error(), "no sealed event states this") {
				t.Errorf("%s: %v", name, err)
			}
		}
		s.seal(t)
		if err := d.Write(ctx, func(tx *db.Tx) error { _, err := s.Retire(tx, statement, until+1, 9999); return err }); err == nil {
			t.Error("more goes than was stated")
		}
		for more := true; more; {
			write(func(tx *db.Tx) error {
				n, err := s.Retire(tx, statement, until, 300)
				more = n > 0
				return err
			})
		}
		s.seal(t)
		var left, parts int
		write(func(tx *db.Tx) error {
			if err := tx.QueryRow(`SELECT COUNT(*) FROM event`).Scan(&left); err != nil {
				return err
			}
			return tx.QueryRow(`SELECT COUNT(*) FROM event_personal WHERE person = 'jane'`).Scan(&parts)
		})
		r := s.verify(t, event.VerifyOptions{})
		if len(r.Findings) > 0 || left != 24 || parts != 0 || r.Retired != 700 || r.Erased != 2 || r.Leaves != 724 {
			t.Errorf("%d events left, %d parts of jane's: %+v", left, parts, r)
		}
		// Nothing younger than 30 days goes by this way, and no range is left out.
		write(func(tx *db.Tx) error {
			statement = s.StateRetirement(tx, 720, "a thief")
			return nil
		})
		s.seal(t)
		for _, n := range []int64{650, 710} {
			err := d.Write(ctx, func(tx *db.Tx) error {
				_, err := tx.Exec(`INSERT INTO event_retired (n, until, event_id, time) VALUES ($1, 720, $2, 0)`, n, statement)
				return err
			})
			if err == nil || !strings.Contains(err.Error(), "touch") {
				t.Errorf("a range from %d on: %v", n, err)
			}
		}
		err := d.Write(ctx, func(tx *db.Tx) error {
			_, err := s.Retire(tx, statement, 720, 100)
			return err
		})
		if err == nil || !strings.Contains(err.Error(), "30 days") {
			t.Errorf("young events can be retired: %v", err)
		}
	})
}

// After an operator began a new origin, the log goes on from what is there.
func TestLOG1_AnOperatorCanBeginANewOrigin(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSealed(t, d)
		s.many(t, 300)
		s.seal(t)
		s.untie(t)
		s.exec(t, `DELETE FROM event WHERE id IN (SELECT event_id FROM event_leaf WHERE n >= 280)`, `DELETE FROM event_leaf WHERE n >= 280`,
			`UPDATE event_head SET size = 280`)
		if _, err := s.Seal(ctx); fault.KindOf(err) != fault.Conflict {
			t.Fatalf("the sealer goes on: %v", err)
		}
		err := d.Write(ctx, func(tx *db.Tx) error {
			o, err := event.Restart(tx, logKey, s.now())
			if o.N != 2 || o.Size != 280 || !strings.HasSuffix(o.Name, "/2") {
				t.Errorf("the new origin is %+v", o)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		s.many(t, 3)
		if c := s.seal(t); c.Size != 283 || !strings.Contains(c.Note, "/2\n283\n") {
			t.Errorf("sealed %+v", c)
		}
		if r := s.verify(t, event.VerifyOptions{}); len(r.Findings) > 0 || r.Leaves != 283 {
			t.Errorf("%+v", r)
		}
	})
}

// A replica without the log's key seals and does not sign.
func TestLOG1_OnlyTheLogsKeySigns(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSealed(t, d)
		s.many(t, 2)
		first := s.seal(t)
		if _, err := event.ParseCheckpoint(first.Note, s.State().Origin.Verifier); err != nil {
			t.Error(err)
		}
		stranger := event.NewSealer(d, "another key, which is long enough as well, and wrong", s.now)
		s.many(t, 2)
		c, err := stranger.Seal(ctx)
		if state := stranger.State(); err != nil || c.Note != "" || state.Signs || state.Size != 4 {
			t.Errorf("a stranger's: %+v, %+v, %v", c, state, err)
		}
		if c := s.seal(t); c.Size != 4 {
			t.Errorf("the key's owner signs %+v", c)
		}
	})
}

// A database that is away, and comes back, costs nothing but time.
func TestLOG1_SealingGoesOnAfterAnOutage(t *testing.T) {
	d := dbtest.Open(t, dbtest.SQLite(t))
	s := newSealed(t, d)
	s.many(t, 3)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Seal(gone); err == nil {
		t.Error("sealed without a database")
	}
	if c := s.seal(t); c.Size != 3 {
		t.Errorf("%+v", c)
	}
}

func FuzzParseCheckpoint(f *testing.F) {
	signer, err := event.NewSigner(logKey, "gatehouse/test")
	if err != nil {
		f.Fatal(err)
	}
	f.Add("gatehouse/test\n1\nAAAA\n")
	f.Add("gatehouse/test\n3\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n— gatehouse/test AAAA\n")
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := event.ParseCheckpoint(text, signer.Verifier()); err == nil {
			t.Fatalf("accepted %+v, which nobody signed", c)
		} else if fault.KindOf(err) != fault.Invalid {
			t.Fatalf("refused by %v", err)
		}
	})
}

var discard = slog.New(slog.DiscardHandler)

func soaking() bool { return os.Getenv("GATEHOUSE_SOAK") == "1" }
