package backup

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/schema"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// Progress is how far something is.
type Progress struct {
	// Step says what is done, in two or three words.
	Step string
	// Done and Of are bytes of rows; Of is zero where that is not known.
	Done, Of int64
}

// Maker makes backups.
type Maker struct {
	DB         *db.DB
	Stores     []Store
	Recipients Recipients
	// From opens the server that backups are read from, where that is another than DB's; nil: it is none.
	From func(context.Context) (*db.DB, error)
	// Spool is the folder where parts wait for a store that is slower than the database; empty: the database waits.
	Spool string
	// Ledger is brought up to the backup before the manifest is put; nil: there is none.
	Ledger *Ledger
	// EventKey is what the key that signs manifests is derived from.
	EventKey string
	// Needs returns the fingerprints of the secrets in use.
	Needs   func(install string) Needs
	Version string
	Random  secret.Random
	Now     func() time.Time
	// Most is how long the snapshot may last.
	Most time.Duration
	// Fast leaves out the rests that keep a PostgreSQL server free for others.
	Fast bool
	// Mine says whether this is still the one who may make a backup; it is asked before
	// the manifest is put.
	Mine func(context.Context) error
	// Wait waits between two tries of a put; the tests' does not.
	Wait     func(ctx context.Context, d time.Duration) error
	Progress func(Progress)
}

// Made is a backup that was just made and read back.
type Made struct {
	Manifest *Manifest
	// SHA256 is of the manifest as it is stored, in hex.
	SHA256 string
	// Unportable are the tables with text that PostgreSQL refuses.
	Unportable []string
	// once opens it, as long as this process lives.
	once age.Identity
}

// abandonAfter is how old the leftovers of a backup are that nobody goes on with.
const abandonAfter = 48 * time.Hour

// Make makes a backup in all stores, and reads it back from them.
func (k *Maker) Make(ctx context.Context) (*Made, error) {
	if len(k.Stores) == 0 || len(k.Recipients.Names) == 0 {
		return nil, fault.New(fault.Invalid, "backup_not_set_up",
			"There is nowhere to put a backup, or nobody to encrypt it for: set BACKUP_DIR and BACKUP_RECIPIENTS. `gatehouse backup keygen` makes a key.")
	}
	keys, once, err := k.Recipients.once()
	if err != nil {
		return nil, err
	}
	now := k.Now()
	w := &writing{
		Maker: k, keys: keys, began: now, spool: spool{dir: k.Spool},
		m: &Manifest{
			Format: Format, ID: k.Random.ID(now), Began: now.UTC().Truncate(time.Microsecond), Gatehouse: k.Version,
			Tables: map[string]Table{}, Recipients: k.Recipients.Names, Kept: []Kept{},
		},
	}
	limited, cancel := context.WithTimeoutCause(ctx, k.Most, tooOld(k.Most))
	defer cancel()
	if err := w.snapshot(limited, now, func(s *db.Snapshot) error { return w.read(limited, s) }); err != nil {
		if ctx.Err() == nil && limited.Err() != nil {
			err = context.Cause(limited)
		}
		w.drop(ctx)
		return nil, err
	}
	if err := w.spool.empty(ctx, func(p Part, data []byte) error {
		w.Progress(Progress{Step: "putting what waits"})
		return putAll(ctx, w.Stores, w.folder()+p.Name, data, w.Wait)
	}); err != nil {
		w.drop(ctx)
		return nil, err
	}
	made := &Made{Manifest: w.m, Unportable: w.unportable, once: once}
	if made.SHA256, err = w.finish(ctx, once); err != nil {
		w.drop(ctx)
		return nil, err
	}
	return made, nil
}

func tooOld(most time.Duration) error {
	return fault.New(fault.Unavailable, "snapshot_too_old", fmt.Sprintf(
		"Reading the database took longer than the %d minutes of BACKUP_MAX_MINUTES, so the backup was given up: an old snapshot keeps the database from "+
			"tidying up. Raise BACKUP_MAX_MINUTES, or use --fast.", int(most.Minutes())))
}

// writing is a backup while it is made.
type writing struct {
	*Maker
	m          *Manifest
	keys       []age.Recipient
	began      time.Time
	written    int64 // bytes of rows
	sealable   int64 // the size of the event log once all that the snapshot has is sealed
	expected   int64 // as the newest one had
	unportable []string
	spool      spool
}

func (w *writing) folder() string { return folderOf(w.m.Install, w.m.ID) }

// read reads all tables into the stores.
func (w *writing) read(ctx context.Context, s *db.Snapshot) error {
	if err := w.describe(s); err != nil {
		return err
	}
	if err := w.beside(ctx); err != nil {
		return err
	}
	for _, t := range schema.BackedUp() {
		if err := w.table(ctx, s, t); err != nil {
			return err
		}
	}
	slices.SortFunc(w.m.Parts, func(a, b Part) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// describe reads what the manifest says of the installation and its log.
func (w *writing) describe(s *db.Snapshot) error {
	m := w.m
	m.Snapshot, m.Dialect, m.Schema = s.Time.UTC().Truncate(time.Microsecond), string(s.Dialect), s.Schema
	if err := s.Row(`SELECT id, timeline, epoch FROM install WHERE one = 1`, &m.Install, &m.Timeline, &m.Epoch); err != nil {
		return fmt.Errorf("the installation's row: %w", err)
	}
	var root []byte
	if err := s.Row(`SELECT size, root FROM event_head WHERE one = 1`, &m.Log.Size, &root); err != nil {
		return fmt.Errorf("the head of the event log: %w", err)
	}
	m.Log.Root = base64.StdEncoding.EncodeToString(root)
	err := s.Row(`SELECT name, verifier FROM event_origin ORDER BY n DESC LIMIT 1`, &m.Log.Origin, &m.Needs.Verifier)
	if err != nil && !errors.Is(err, db.ErrNoRows) {
		return err
	}
	verifier := m.Needs.Verifier
	if err := s.Row(`SELECT COUNT(*) FROM event WHERE tx >= (SELECT from_tx FROM event_head WHERE one = 1)
		AND (SELECT n FROM event_leaf WHERE event_id = event.id) IS NULL`, &w.sealable); err != nil { // no anti-join, which reads all leaves
		return fmt.Errorf("the events that are not sealed: %w", err)
	}
	w.sealable += m.Log.Size
	err = s.Row(`SELECT note FROM event_checkpoint WHERE origin = (SELECT MAX(n) FROM event_origin) ORDER BY size DESC LIMIT 1`, &m.Log.Checkpoint)
	if err != nil && !errors.Is(err, db.ErrNoRows) {
		return err
	}
	m.Needs = w.Needs(m.Install)
	m.Needs.Verifier = verifier
	return nil
}

// beside notes the backups that are there already, and clears what nobody goes on with.
func (w *writing) beside(ctx context.Context) error {
	for i, store := range w.Stores {
		found, err := stored(ctx, store, w.m.Install)
		if err != nil {
			return fmt.Errorf("looking through %s: %w", store.Name(), err)
		}
		ids := complete(found)
		for id, objects := range found {
			if !slices.Contains(ids, id) && w.forsaken(objects) {
				for _, o := range objects {
					if err := store.Delete(ctx, folderOf(w.m.Install, id)+o.Name); err != nil && !Keeps(err) {
						return fmt.Errorf("clearing %s: %w", store.Name(), err)
					}
				}
			}
		}
		if i > 0 {
			continue
		}
		for n, id := range ids {
			raw, err := store.Get(ctx, folderOf(w.m.Install, id)+manifest, mostManifest)
			if err != nil {
				return fmt.Errorf("reading the manifest of %s in %s: %w", id, store.Name(), err)
			}
			w.m.Kept = append(w.m.Kept, Kept{id, hexHash(raw)})
			if n == 0 {
				if last, err := (Trust{Unsigned: true}).Read(raw, w.m.Install, id); err == nil {
					for _, p := range last.Parts {
						w.expected += p.Plain
					}
				}
			}
		}
	}
	return nil
}

func (w *writing) forsaken(objects []Object) bool {
	return !slices.ContainsFunc(objects, func(o Object) bool { return o.Time.After(w.began.Add(-abandonAfter)) })
}

// table reads one table.
func (w *writing) table(ctx context.Context, s *db.Snapshot, t schema.Table) error {
	began := time.Now()
	c := &cutter{table: t.Name, recipients: w.keys, full: func(p Part, data []byte) error {
		if err := w.put(ctx, p, data, time.Since(began)); err != nil {
			return err
		}
		w.m.Parts = append(w.m.Parts, p)
		w.written += p.Plain
		w.Progress(Progress{"reading " + t.Name, w.written, max(w.expected, w.written)})
		// As long as the part took the database has a rest: its process is not nicer than
		// others.
		if s.Dialect == db.Postgres && !w.Fast {
			if err := Sleep(ctx, time.Since(began)); err != nil {
				return err
			}
		}
		began = time.Now()
		return s.Room()
	}}
	if err := s.Room(); err != nil {
		return err
	}
	portable, err := s.Copy(t, c)
	if err == nil {
		err = c.end()
	}
	if err != nil {
		return err
	}
	if !portable {
		w.m.SQLiteOnly, w.unportable = true, append(w.unportable, t.Name)
	}
	described := Table{Rows: c.total}
	for _, column := range t.Columns {
		described.Columns, described.Types = append(described.Columns, column.Name), append(described.Types, column.Type)
	}
	w.m.Tables[t.Name] = described
	return nil
}

// put puts a part into the stores, or where it waits for them. read is how long it took to read.
func (w *writing) put(ctx context.Context, p Part, data []byte, read time.Duration) error {
	if w.spool.takes() {
		return w.spool.keep(p, data)
	}
	began := time.Now()
	err := putAll(ctx, w.Stores, w.folder()+p.Name, data, w.Wait)
	w.spool.waited(read, time.Since(began))
	return err
}

// finish reads the parts back from every store and, if they are what was written and this is
// still the one who may, puts the manifest.
func (w *writing) finish(ctx context.Context, once age.Identity) (string, error) {
	done, of := int64(0), w.written*int64(len(w.Stores))
	for _, store := range w.Stores {
		for _, p := range w.m.Parts {
			data, err := store.Get(ctx, w.folder()+p.Name, p.Size)
			if err == nil {
				err = p.intact(data)
			}
			if err == nil {
				err = p.readThrough(data, []age.Identity{once})
			}
			if err != nil {
				return "", fmt.Errorf("reading back %s from %s: %w", p.Name, store.Name(), err)
			}
			done += p.Plain
			w.Progress(Progress{"reading back", done, of})
		}
	}
	if w.Ledger != nil {
		w.Progress(Progress{Step: "bringing up the ledger"})
		until, err := w.Ledger.Flush(ctx, w.m.Log.Size, w.sealable)
		if err != nil {
			return "", err
		}
		w.m.Ledger.Until = until
	}
	if err := w.m.check(); err != nil {
		return "", err
	}
	signer, err := NewSigner(w.EventKey, w.m.Install)
	if err != nil {
		return "", err
	}
	raw, err := signer.sign(w.m)
	if err != nil {
		return "", err
	}
	if err := w.Mine(ctx); err != nil {
		return "", err
	}
	if err := putAll(ctx, w.Stores, w.folder()+manifest, raw, w.Wait); err != nil {
		return "", err
	}
	for _, store := range w.Stores {
		if back, err := store.Get(ctx, w.folder()+manifest, mostManifest); err != nil || string(back) != string(raw) {
			return "", errors.Join(fmt.Errorf("the manifest that %s gives back is another", store.Name()), err)
		}
	}
	return hexHash(raw), nil
}

// readThrough opens an intact part and reads all rows of it.
func (p Part) readThrough(data []byte, identities []age.Identity) error {
	r, err := p.open(data, identities)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	return err
}

// drop deletes what was put of a backup that failed. What can't be deleted goes with a
// later one.
func (w *writing) drop(ctx context.Context) {
	w.spool.drop()
	if w.m.Install == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	for _, store := range w.Stores {
		_ = store.Delete(ctx, w.folder()+manifest)
		for _, p := range w.m.Parts {
			_ = store.Delete(ctx, w.folder()+p.Name)
		}
	}
}
