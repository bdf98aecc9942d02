package app

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/incident"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
)

// Before stands for the newest backup from before an incident.
const Before = "before"

// CompareWithBackup restores a backup into a scratch file, which is deleted after, and says how what gives access differs from it now.
// id is the backup's, or [Before]; identity is the text of the file with the key that opens it.
func CompareWithBackup(ctx context.Context, d *respond.Desk, k *backup.Keeper, install, id string, i incident.Incident, identity []byte,
	progress func(backup.Progress),
) (*respond.Comparison, error) {
	identities, err := backup.ParseIdentities(identity)
	if err != nil {
		return nil, err
	}
	list, err := backup.List(ctx, k.Maker.Stores, k.Trust, install)
	if err != nil {
		return nil, err
	}
	taken := time.Time{}
	for _, e := range list { // the newest first
		if e.ID == id || id == Before && e.Problem == "" && e.Snapshot.Before(began(i)) {
			id, taken = e.ID, e.Snapshot
			break
		}
	}
	if taken.IsZero() {
		return nil, fault.New(fault.NotFound, "backup_not_found",
			"There is no such backup: gatehouse backup list has them all. One from before the incident says most.")
	}
	s := k.Scratch
	var out respond.Comparison
	s.Try = func(ctx context.Context, url string) (err error) {
		then, err := db.Open(ctx, db.Config{URL: url, MaxConns: 2})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, then.Close()) }()
		out, err = d.Compare(ctx, then, respond.Comparison{Backup: id, Taken: taken})
		return err
	}
	for _, store := range k.Maker.Stores {
		if _, err = s.Run(ctx, store, install, id, identities, progress); err == nil {
			return &out, nil
		}
	}
	return nil, err
}

// began is when an incident began, as far as that is known.
func began(i incident.Incident) time.Time {
	if i.BeganAt.IsZero() {
		return i.AwareAt
	}
	return i.BeganAt
}
