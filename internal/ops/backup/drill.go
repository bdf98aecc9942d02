package backup

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"filippo.io/age"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

// Scratch is where a drill restores a backup for a while.
type Scratch struct {
	// Dir is the folder to make it in; empty for the system's.
	Dir string
	// Into is an empty database to restore into, which stays; empty: a SQLite file in Dir.
	Into string
	// Restore is how a backup is restored; its store, identities and database are the
	// drill's to set.
	Restore Restore
	// Try uses what was restored as a server would: a made-up person registers there and
	// signs in.
	Try func(ctx context.Context, databaseURL string) error
}

// scratchName begins the names of drills' folders: what a process that died has left is
// deleted by the next drill.
const scratchName = "gatehouse-drill-"

// Run restores a backup into a SQLite file that is deleted after, or into another database, and tries it.
func (s Scratch) Run(ctx context.Context, store Store, install, id string, identities []age.Identity, progress func(Progress)) (*Restored, error) {
	url := s.Into
	if url == "" {
		dir, err := s.folder()
		if err != nil {
			return nil, err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		url = "sqlite:" + filepath.Join(dir, "drill.db")
	}
	r := s.Restore
	r.Store, r.Identities, r.Progress, r.Drill, r.Database = store, identities, progress, true, db.Config{URL: url, MaxConns: 2}
	m, err := r.Read(ctx, install, id)
	if err != nil {
		return nil, err
	}
	out, err := r.Run(ctx, m)
	if err != nil {
		return nil, err
	}
	progress(Progress{"signing in", 1, 1})
	return out, s.Try(ctx, url)
}

// folder makes the one that a drill is in.
func (s Scratch) folder() (string, error) {
	parent := s.Dir
	if parent == "" {
		parent = os.TempDir()
	}
	clearFolders(parent, scratchName, s.Restore.Now())
	dir, err := os.MkdirTemp(parent, scratchName) // 0700
	if err != nil {
		return "", fmt.Errorf("a folder for the drill, in BACKUP_SCRATCH_DIR: %w", err)
	}
	return dir, nil
}

// DrillOne drills a backup with somebody's own key, and keeps a record of how that ended.
func (k *Keeper) DrillOne(ctx context.Context, store Store, install, id string, identities []age.Identity, by By, progress func(Progress)) (*Restored, error) {
	began := k.Now()
	out, err := k.Scratch.Run(ctx, store, install, id, identities, progress)
	r := Run{Kind: Drill, Backup: id, Began: began, Error: text(err)}
	e := event.Event{
		Kind: event.BackupDrilled, Outcome: event.Success, Origin: by.Origin, Detail: event.Detail{By: by.Who, Backup: id, Reason: code(err)},
	}
	if err != nil {
		e.Outcome = event.Failure
	} else {
		r.Snapshot = out.Manifest.Snapshot
	}
	if recording := k.record(ctx, r, e); err == nil {
		err = recording
	}
	return out, err
}

// drill drills a backup that was just made, with the key that is in memory alone.
func (k *Keeper) drill(ctx context.Context, made *Made) error {
	m := made.Manifest
	_, err := k.DrillOne(ctx, k.Maker.Stores[0], m.Install, m.ID, []age.Identity{made.once}, By{}, func(Progress) {})
	return err
}
