package backup_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/schema"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
)

// targets are empty databases of both kinds.
var targets = map[string]func(testing.TB) string{
	"into sqlite":   func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "new", "restored.db") },
	"into postgres": dbtest.EmptyPostgres,
}

// restoring returns a restore of the fixture's backups into a database.
func (f *fixture) restoring(url string) *backup.Restore {
	return &backup.Restore{
		Store: f.keeper.Maker.Stores[0], Trust: f.keeper.Trust, Identities: []age.Identity{f.id}, Database: db.Config{URL: url, MaxConns: 2},
		EventKey: eventKey, Secret: master, By: backup.By{Who: "operator"}, Random: secret.Random{}, Now: time.Now,
		Events: event.NewLog(slog.New(slog.DiscardHandler), secret.Random{}, time.Now, nil), Progress: func(backup.Progress) {},
	}
}

func restore(ctx context.Context, r *backup.Restore, install, id string) (*backup.Restored, error) {
	m, err := r.Read(ctx, install, id)
	if err != nil {
		return nil, err
	}
	return r.Run(ctx, m)
}

// contents are all rows of the tables that a restore loads whole, less what it changes.
func contents(t *testing.T, d *db.DB) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	changed := []string{"install", "ring_key", "ring_wrap", "event", "event_personal", "event_origin", "event_head", "backup_run", "alert_state"}
	err := d.Snapshot(t.Context(), time.Now(), func(s *db.Snapshot) error {
		for _, table := range schema.BackedUp() {
			var b strings.Builder
			if table.Restore != schema.Whole || strings.Contains(strings.Join(changed, " "), table.Name+" ") {
				continue
			}
			if _, err := s.Copy(table, &b); err != nil {
				return err
			}
			lines := strings.Split(b.String(), "\n")
			out[table.Name] = sorted(lines)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func sorted(lines []string) []string {
	set := map[string]int{}
	for _, l := range lines {
		set[l]++
	}
	out := make([]string, 0, len(lines))
	for l, n := range set {
		out = append(out, fmt.Sprint(n, " ", l))
	}
	// The order of a map is none: sort by hand, which is what cmp needs.
	for i := range out {
		for j := i + 1; j < len(out); j++ {
			if out[j] < out[i] {
				out[i], out[j] = out[j], out[i]
			}
		}
	}
	return out
}

func one[T any](t *testing.T, d *db.DB, query string) (v T) {
	t.Helper()
	if err := d.Read(t.Context(), func(tx *db.Tx) error { return tx.QueryRow(query).Scan(&v) }); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

// From either kind of database into either: the same rows, and nobody is signed in.
func TestABackupIsRestoredIntoEitherDatabase(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, url string) {
		f := newFixture(t, url)
		err := f.d.Write(t.Context(), func(tx *db.Tx) error {
			for _, q := range []string{
				`INSERT INTO session (id, account_id, roles, amr, user_agent, address, auth_at, max_at, idle_at, gen, cur, salt, minted_at, rotated_at)
					VALUES ('s', 'a1', '[]', '[]', '', '', 1, 2, 3, 1, $1, $1, 1, 1)`,
				`INSERT INTO outbox (id, kind, account_id, sent_to, sealed, created_at, due_at, tries, error) VALUES ('m', 'k', 'a1', 'x@y', $1, 1, 1, 0, '')`,
				`INSERT INTO ticket (id, account_id, purpose, address, address_key, password_n, hash, code_until, tries, old_hash, expires_at)
					VALUES ('t1', 'a1', 'reset', '', '', 0, $1, 0, 0, '', 9)`,
			} {
				if _, err := tx.Exec(q, []byte{1}); err != nil {
					return err
				}
			}
			_, err := tx.Exec(`INSERT INTO ticket (id, account_id, purpose, address, address_key, password_n, hash, code_until, tries, old_hash, expires_at)
					VALUES ('t2', 'a1', 'undo', '', '', 0, $1, 0, 0, '', 9)`, []byte{2})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		signsID(t, f)
		m := f.create(t).Manifest
		want := contents(t, f.d)
		for name, target := range targets {
			t.Run(name, func(t *testing.T) {
				url := target(t)
				out, err := restore(t.Context(), f.restoring(url), f.install, m.ID)
				if err != nil {
					t.Fatal(err)
				}
				d := dbtest.Open(t, url)
				if len(out.Log.Findings) > 0 {
					t.Errorf("%+v", out.Log.Findings)
				}
				got := contents(t, d)
				delete(got, "outbox")
				w := map[string][]string{}
				for k, v := range want {
					if k != "outbox" {
						w[k] = v
					}
				}
				if diff := cmp.Diff(w, got); diff != "" {
					t.Errorf("-before +restored:\n%s", diff)
				}
				if n := one[int](t, d, `SELECT (SELECT COUNT(*) FROM session) + (SELECT COUNT(*) FROM known_device)`); n != 0 {
					t.Errorf("%d sessions and devices", n)
				}
				if p := one[string](t, d, `SELECT purpose FROM ticket`); p != "undo" {
					t.Errorf("a link for %s", p)
				}
				if n := one[int](t, d, `SELECT COUNT(*) FROM outbox WHERE sealed IS NULL AND due_at IS NULL AND error = 'restored'`); n != 1 {
					t.Error("a mail that waited may be sent")
				}
				if e := one[int64](t, d, `SELECT epoch FROM install`); e != out.Epoch || e < time.Now().Unix()-60 {
					t.Errorf("epoch %d", e)
				}
				if tl := one[string](t, d, `SELECT timeline FROM install`); tl == m.Timeline || tl != out.Timeline {
					t.Errorf("timeline %s", tl)
				}
				if n := one[int](t, d, `SELECT COUNT(*) FROM revocation WHERE kind = 'before'`); n != 1 {
					t.Errorf("%d cut-offs", n)
				}
				restoredKeys(t, f, d)
				restoredLog(t, d, m)
			})
		}
	})
}

// signsID makes the keys for ID tokens, which come with the first application that wants each.
func signsID(t *testing.T, f *fixture) {
	t.Helper()
	ring, err := keyring.Open(t.Context(), f.d, secret.Random{}, time.Now(), keyring.Config{Secret: master})
	if err == nil {
		err = ring.EnsureIDSign(t.Context(), f.d, keyring.RS256, time.Now())
	}
	if err == nil {
		err = ring.EnsureIDSign(t.Context(), f.d, keyring.ES256, time.Now())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// restoredKeys: what lets somebody in is new, what opens what is kept is as it was.
func restoredKeys(t *testing.T, f *fixture, d *db.DB) {
	t.Helper()
	before, err := keyring.Open(t.Context(), f.d, secret.Random{}, time.Now(), keyring.Config{Secret: master})
	if err != nil {
		t.Fatal(err)
	}
	after, err := keyring.Open(t.Context(), d, secret.Random{}, time.Now(), keyring.Config{Secret: master})
	if err != nil {
		t.Fatal(err)
	}
	anew := map[keyring.Purpose]bool{
		keyring.AccessSign: true, keyring.RefreshMAC: true, keyring.RefreshDerive: true, keyring.CSRF: true, keyring.Ticket: true,
		keyring.Request: true, keyring.IDSign: true, keyring.IDSignES256: true,
	}
	for _, p := range keyring.Purposes() {
		if len(before.Keys(p)) == 0 {
			continue // made when it is first wanted
		}
		if p == keyring.AccessSign {
			signs, _ := keyring.InForce(after.Keys(p), time.Now())
			old, _ := keyring.InForce(before.Keys(p), time.Now())
			if signs.ID == old.ID || signs.ID == "" {
				t.Error("access tokens are signed by the old key")
			}
			continue
		}
		if same := secret.Equal(before.Key(p), after.Key(p)); same == anew[p] {
			t.Errorf("the key for %s: is the old one: %v", p, same)
		}
	}
	if first := after.Keys(keyring.RefreshMAC)[0]; !first.RevokedAt.IsZero() {
		t.Error("tokens from before can't be recognised")
	}
}

// restoredLog: the log goes on under a new origin, which begins with the restore.
func restoredLog(t *testing.T, d *db.DB, m *backup.Manifest) {
	t.Helper()
	sealer := event.NewSealer(d, eventKey, time.Now)
	for try := 0; one[int64](t, d, `SELECT size FROM event_head`) <= m.Log.Size; try++ {
		if _, err := sealer.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
		if try > 100 {
			t.Fatal("the restore is not sealed")
		}
		time.Sleep(30 * time.Millisecond)
	}
	last := one[string](t, d, `SELECT note FROM event_checkpoint ORDER BY origin DESC, size DESC LIMIT 1`)
	r, err := event.Verify(t.Context(), d, event.VerifyOptions{Checkpoint: last})
	if err != nil || len(r.Findings) > 0 || !strings.HasSuffix(r.Origin, "/2") {
		t.Errorf("%+v %v", r, err)
	}
	kind := one[string](t, d, `SELECT e.kind FROM event AS e JOIN event_leaf AS l ON l.event_id = e.id ORDER BY l.n DESC LIMIT 1`)
	if kind != "backup_restored" {
		t.Errorf("the last event is %s", kind)
	}
}

func TestWhatIsNotRestored(t *testing.T) {
	f := newFixture(t, dbtest.SQLite(t))
	id := f.create(t).Manifest.ID
	stranger, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for name, target := range targets {
		t.Run(name, func(t *testing.T) {
			for what, c := range map[string]struct {
				change func(r *backup.Restore)
				code   string
			}{
				"no identity":      {func(r *backup.Restore) { r.Identities = nil }, "no_identity"},
				"the wrong one":    {func(r *backup.Restore) { r.Identities = []age.Identity{stranger} }, "no_identity"},
				"another's key":    {func(r *backup.Restore) { r.Trust.EventKey += "x" }, "backup_not_ours"},
				"the wrong secret": {func(r *backup.Restore) { r.Secret += "x" }, "wrong_secret"},
			} {
				url := target(t)
				r := f.restoring(url)
				c.change(r)
				if _, err := restore(t.Context(), r, f.install, id); codeOf(err) != c.code {
					t.Errorf("%s: %v", what, err)
				}
				if what != "the wrong secret" {
					continue // nothing was made
				}
				// Broken off, it is refused by everybody else, and goes on.
				if d, err := db.Open(t.Context(), db.Config{URL: url}); err == nil {
					_, err := d.Migrate(t.Context())
					if codeOf(err) != "restore_unfinished" || codeOf(d.Serves(t.Context())) != "restore_unfinished" {
						t.Errorf("a half-loaded database is migrated or served: %v", err)
					}
					_ = d.Close()
				} else if codeOf(err) != "restore_unfinished" {
					t.Error(err)
				}
				if _, err := restore(t.Context(), f.restoring(url), f.install, id); err != nil {
					t.Errorf("it does not go on: %v", err)
				}
				if _, err := restore(t.Context(), f.restoring(url), f.install, id); codeOf(err) != "target_not_empty" {
					t.Errorf("over what is there: %v", err)
				}
			}
		})
	}
}

// A backup from after the point where an earlier restore went back is refused: it may have
// what that was to undo.
func TestAnAbandonedHistoryIsRefused(t *testing.T) {
	f := newFixture(t, dbtest.SQLite(t))
	old := f.create(t).Manifest.ID
	f.seal(t)
	poisoned := f.create(t).Manifest.ID
	if _, err := restore(t.Context(), f.restoring(targets["into sqlite"](t)), f.install, old); err != nil {
		t.Fatal(err)
	}
	r := f.restoring(targets["into sqlite"](t))
	if _, err := restore(t.Context(), r, f.install, poisoned); codeOf(err) != "backup_abandoned" {
		t.Error(err)
	}
	if r.Abandoned = true; true {
		if _, err := restore(t.Context(), r, f.install, poisoned); err != nil {
			t.Error(err)
		}
	}
	// The one that it went back to may be restored again, under another epoch.
	if _, err := restore(t.Context(), f.restoring(targets["into sqlite"](t)), f.install, old); err != nil {
		t.Error(err)
	}
}

// dying is a store that stops answering at a call.
type dying struct {
	backup.Store
	left int
}

var errDead = errors.New("dead")

func (s *dying) Get(ctx context.Context, name string, most int64) ([]byte, error) {
	if s.left--; s.left < 0 {
		return nil, errDead
	}
	return s.Store.Get(ctx, name, most)
}

// Broken off at any step and run again, a restore ends as if it had not been: samples, and all
// of them with GATEHOUSE_SOAK.
func TestARestoreThatIsBrokenOffGoesOn(t *testing.T) {
	f := newFixture(t, dbtest.SQLite(t))
	id := f.create(t).Manifest.ID
	want := contents(t, f.d)
	step := 9
	if os.Getenv("GATEHOUSE_SOAK") != "" {
		step = 1
	}
	for name, target := range targets {
		t.Run(name, func(t *testing.T) {
			for at := 3; ; at += step {
				url := target(t)
				r := f.restoring(url)
				s := &dying{f.keeper.Maker.Stores[0], at}
				r.Store = s
				_, err := restore(t.Context(), r, f.install, id)
				if err == nil {
					break
				}
				if !errors.Is(err, errDead) {
					t.Fatalf("at %d: %v", at, err)
				}
				if _, err := restore(t.Context(), f.restoring(url), f.install, id); err != nil {
					t.Fatalf("at %d, again: %v", at, err)
				}
				d := dbtest.Open(t, url)
				if diff := cmp.Diff(want, contents(t, d)); diff != "" {
					t.Errorf("at %d:\n%s", at, diff)
				}
			}
		})
	}
}

// indexes are the definitions of all indexes and constraints of a PostgreSQL database.
func indexes(t *testing.T, d *db.DB) string {
	t.Helper()
	return one[string](t, d, `SELECT string_agg(line, chr(10) ORDER BY line) FROM (
		SELECT pg_get_indexdef(indexrelid) AS line FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE relnamespace = to_regnamespace(current_schema())
		UNION ALL SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(c.oid) || ' ' || convalidated FROM pg_constraint AS c
			WHERE connamespace = to_regnamespace(current_schema())) AS x`)
}

// A restore into PostgreSQL drops indexes and foreign keys while it loads, and makes each of them again, wherever it was broken off.
func TestDB4_ARestoreMakesEveryIndexAgain(t *testing.T) {
	f := newFixture(t, dbtest.SQLite(t))
	id := f.create(t).Manifest.ID
	want := indexes(t, dbtest.Open(t, dbtest.Postgres(t)))
	url := dbtest.EmptyPostgres(t)
	for at := 3; ; at += 25 {
		r := f.restoring(url)
		r.Store = &dying{f.keeper.Maker.Stores[0], at}
		if _, err := restore(t.Context(), r, f.install, id); err == nil {
			break
		} else if !errors.Is(err, errDead) {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, indexes(t, dbtest.Open(t, url))); diff != "" {
		t.Error(diff)
	}
}
