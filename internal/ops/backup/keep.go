package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
)

// Keep is of how many days, ISO weeks and months (UTC) the newest backup is kept.
type Keep struct{ Days, Weeks, Months int }

// surplus returns those that may go. They come newest first. The two newest never go, nor
// the one that was drilled last, nor any while the newest is older than it should be: when
// backups fail, the old ones are all there is.
func (k Keep) surplus(list []Entry, drilled string, now time.Time, every time.Duration) []Entry {
	if len(list) == 0 || every > 0 && list[0].Snapshot.Before(now.Add(-2*every)) {
		return nil
	}
	if list[0].Snapshot.After(now.Add(time.Hour)) {
		return nil // the clock is behind, or was ahead: who knows which are old
	}
	stay := map[string]bool{drilled: true}
	for i, e := range list {
		stay[e.ID] = stay[e.ID] || i < 2
	}
	for _, rule := range []struct {
		n    int
		name func(time.Time) string
	}{
		{k.Days, func(t time.Time) string { return t.UTC().Format(time.DateOnly) }},
		{k.Weeks, func(t time.Time) string { y, w := t.UTC().ISOWeek(); return fmt.Sprint(y, w) }},
		{k.Months, func(t time.Time) string { return t.UTC().Format("2006-01") }},
	} {
		var seen []string
		for _, e := range list {
			name := rule.name(e.Snapshot)
			if slices.Contains(seen, name) {
				continue
			}
			if seen = append(seen, name); len(seen) > rule.n {
				break
			}
			stay[e.ID] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(list), func(e Entry) bool { return stay[e.ID] })
}

// Surplus returns the backups that BACKUP_KEEP lets go. One whose manifest can't be read
// stays, to be looked at.
func (k *Keeper) Surplus(ctx context.Context, install string) ([]Entry, error) {
	list, err := List(ctx, k.Maker.Stores, k.Trust, install)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(e Entry) bool { return e.Snapshot.IsZero() })
	drilled := ""
	err = k.DB.Read(ctx, func(tx *db.Tx) error {
		runs, err := Runs(tx, 1000)
		for _, r := range runs {
			if r.Kind == Drill && r.Error == "" && drilled == "" {
				drilled = r.Backup
			}
		}
		return err
	})
	return k.Keep.surplus(list, drilled, k.Now(), k.Every), err
}

// Prune deletes the backups that BACKUP_KEEP lets go, and returns them. The manifest goes
// first: what is left without one is no backup. The fault is store_keeps if a store did not
// delete all of them; the others are gone then.
func (k *Keeper) Prune(ctx context.Context, install string, by By) (gone []Entry, err error) {
	err = k.Jobs.Hold(ctx, Lease, func(ctx context.Context, _ func(context.Context) error) error {
		gone, err = k.prune(ctx, install, by)
		return err
	})
	if errors.Is(err, job.ErrHeld) {
		err = errBusy()
	}
	return gone, err
}

func (k *Keeper) prune(ctx context.Context, install string, by By) (gone []Entry, err error) {
	list, err := k.Surplus(ctx, install)
	if err != nil {
		return nil, err
	}
	var keeps error
	for _, e := range list {
		began := k.Now()
		err := remove(ctx, k.Maker.Stores, install, e.ID)
		if Keeps(err) {
			keeps = err
			continue
		}
		if err != nil {
			return gone, err
		}
		gone = append(gone, e)
		err = k.record(ctx, Run{Kind: Prune, Backup: e.ID, Snapshot: e.Snapshot, Began: began},
			event.Event{Kind: event.BackupDeleted, Outcome: event.Success, Origin: by.Origin, Detail: event.Detail{By: by.Who, Backup: e.ID}})
		if err != nil {
			return gone, err
		}
	}
	if err := k.tidy(ctx, install); err != nil {
		return gone, err
	}
	return gone, keeps
}

// tidy tidies the ledger up: see [Ledger.Tidy].
func (k *Keeper) tidy(ctx context.Context, install string) error {
	if k.Maker.Ledger == nil {
		return nil
	}
	list, err := List(ctx, k.Maker.Stores, k.Trust, install)
	if err != nil {
		return err
	}
	for _, e := range list {
		if e.Snapshot.IsZero() { // who knows how old it is
			return nil
		}
	}
	if len(list) == 0 {
		return nil
	}
	oldest := list[len(list)-1].ID
	for _, s := range k.Maker.Stores {
		m, err := readManifest(ctx, s, k.Trust, install, oldest)
		if err == nil {
			return k.Maker.Ledger.Tidy(ctx, m)
		}
	}
	return nil
}

// Keeps says whether an error is that a store keeps what was to be deleted, which is no failure.
func Keeps(err error) bool {
	f := fault.As(err)
	return f != nil && f.Code == "store_keeps"
}

// remove deletes a backup from all stores, and looks whether it is gone: some stores keep
// what is deleted for a while, and say nothing.
func remove(ctx context.Context, stores []Store, install, id string) error {
	for _, s := range stores {
		if err := s.Delete(ctx, folderOf(install, id)+manifest); err != nil {
			return fmt.Errorf("deleting from %s: %w", s.Name(), err)
		}
		all, err := stored(ctx, s, install)
		if err != nil {
			return err
		}
		for _, o := range all[id] {
			if err := s.Delete(ctx, folderOf(install, id)+o.Name); err != nil {
				return fmt.Errorf("deleting from %s: %w", s.Name(), err)
			}
		}
		if all, err = stored(ctx, s, install); err == nil && len(all[id]) > 0 {
			err = storeKeeps(s.Name())
		}
		if err != nil {
			return err
		}
	}
	return nil
}
