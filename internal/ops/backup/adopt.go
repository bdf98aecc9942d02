package backup

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/schema"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
)

// Adopt is the second half of a restore alone, for a database that was set back by other means: a point in time, a copied file, a
// virtual machine's snapshot. What was decided since is done again, and a new history begins, in which nobody is signed in.

// Standing reads what the database is of, in a manifest's words, and what the ledger says of since.
func (r *Restore) Standing(ctx context.Context, d *db.DB) (*Manifest, error) {
	m := &Manifest{Format: Format, Dialect: string(d.Dialect())}
	err := d.Read(ctx, func(tx *db.Tx) error {
		h, err := readHistory(tx)
		if err != nil {
			return err
		}
		m.Install, m.Timeline, m.Epoch, m.Log.Size, m.Ledger.Until = h.install, h.timeline, h.epoch, h.head, max(h.leaf, 0)
		var root []byte
		var last int64
		if err := tx.QueryRow(`SELECT root, (SELECT COALESCE(MAX(time), 0) FROM event) FROM event_head WHERE one = 1`).Scan(&root, &last); err != nil {
			return err
		}
		m.Snapshot, m.Log.Root = db.Time(last), base64.StdEncoding.EncodeToString(root)
		err = tx.QueryRow(`SELECT name, verifier FROM event_origin ORDER BY n DESC LIMIT 1`).Scan(&m.Log.Origin, &m.Needs.Verifier)
		if err != nil && !errors.Is(err, db.ErrNoRows) {
			return err
		}
		err = tx.QueryRow(`SELECT note FROM event_checkpoint WHERE origin = (SELECT MAX(n) FROM event_origin) ORDER BY size DESC LIMIT 1`).Scan(&m.Log.Checkpoint)
		if errors.Is(err, db.ErrNoRows) {
			err = nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(r.Identities) == 0 {
		return nil, needIdentity(m)
	}
	return m, r.decided(ctx, m)
}

// Adopt makes the database one to be served. No server may run on it: it waits to see that none does. Killed on the way, it is run
// again.
func (r *Restore) Adopt(ctx context.Context, d *db.DB, m *Manifest, wait func(context.Context, time.Duration) error) (*Restored, error) {
	r.Progress(Progress{Step: "looking for servers"})
	running, err := job.Running(ctx, d, wait)
	if err == nil && running > 0 {
		err = fault.New(fault.Conflict, "replicas_running", fmt.Sprintf("%d servers of this installation run. Stop all of them first.", running))
	}
	if err != nil {
		return nil, err
	}
	out := &Restored{Manifest: m, Timeline: newTimeline(r.Random)}
	out.Log, err = event.Verify(ctx, d, event.VerifyOptions{
		Key: m.Needs.Verifier, Checkpoint: m.Log.Checkpoint,
		Progress: func(read, of int64) { r.Progress(Progress{"verifying the event log", read << 20, of << 20}) },
	})
	if err != nil {
		return nil, fmt.Errorf("verifying the event log: %w", err)
	}
	// Before the new history begins: killed here, the old one still says what to delete.
	for _, t := range slices.Backward(schema.Tables) {
		if err := r.empty(ctx, d, t); err != nil {
			return nil, err
		}
	}
	return out, r.renew(ctx, d, m, out, func(*db.Tx) error { return nil })
}

// emptied is how many rows one transaction deletes.
const emptied = 5000

// empty deletes what a restore would not have loaded. Revocations stay: they only take away.
func (r *Restore) empty(ctx context.Context, d *db.DB, t schema.Table) error {
	if t.Name == "revocation" || t.Restore != schema.Nothing && t.Restore != schema.Part {
		return nil
	}
	unwanted := ""
	if t.Restore == schema.Part {
		unwanted = ` WHERE purpose NOT IN ('undo', 'undo_factor')`
	}
	statement, err := emptying(ctx, d, t.Name, unwanted)
	if err != nil {
		return err
	}
	for {
		var n int64
		err := d.Write(ctx, func(tx *db.Tx) (err error) { n, err = tx.Exec(statement); return err })
		if err != nil {
			return fmt.Errorf("emptying the table %s: %w", t.Name, err)
		}
		if n < emptied {
			return nil
		}
		r.Progress(Progress{Step: "emptying " + t.Name})
	}
}

// emptying is the statement that deletes some of a table's rows, by what names a row in either database. SQLite's tables that have
// no such name are short: they go at once.
func emptying(ctx context.Context, d *db.DB, table, unwanted string) (string, error) {
	row := "ctid"
	if d.Dialect() == db.SQLite {
		var bare bool
		err := d.Read(ctx, func(tx *db.Tx) error {
			return tx.QueryRow(`SELECT wr FROM pragma_table_list($1)`, table).Scan(&bare)
		})
		if err != nil {
			return "", err
		}
		if bare {
			return fmt.Sprintf(`DELETE FROM "%s"%s`, table, unwanted), nil
		}
		row = "rowid"
	}
	return fmt.Sprintf(`DELETE FROM "%[1]s" WHERE %[2]s IN (SELECT %[2]s FROM "%[1]s"%[3]s LIMIT %[4]d)`, table, row, unwanted, emptied), nil
}
