package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
)

const (
	// verified is about how many of the newest events are verified: all of a log that is large would take minutes.
	verified = 20_000
	// anchoring is how long checkpoints may fail to be kept elsewhere.
	anchoring = time.Minute
	// mostAnchors is how much of an anchor's file is read, from its end.
	mostAnchors = 1 << 20
)

// logChecks verify the event log, as far as that takes seconds.
func (e Deployment) logChecks() []doctor.Check {
	return []doctor.Check{
		{ID: "LOG-1", Name: "verified", Title: "The newest events are sealed, signed and as they were written", Severity: doctor.Critical, Ask: e.newestVerify},
		{ID: "LOG-1", Name: "anchored", Title: "The log goes on from what was kept elsewhere", Severity: doctor.Critical, Ask: e.anchored},
	}
}

// newestVerify verifies the log from a checkpoint of the near past on.
func (e Deployment) newestVerify(ctx context.Context) doctor.Answer {
	if e.DB == nil {
		return doctor.Skip(mendDatabase, e.Why)
	}
	var from event.Checkpoint
	var found bool
	err := e.DB.Read(ctx, func(tx *db.Tx) error {
		head, err := event.ReadHead(tx)
		if err == nil && head.Size > verified {
			from, found, err = event.CheckpointAt(tx, head.Size-verified)
		}
		return err
	})
	if errors.Is(err, db.ErrNoRows) {
		return doctor.Excuse("nothing is sealed yet")
	}
	if err != nil {
		return doctor.Skip(mendDatabase, err)
	}
	o := event.VerifyOptions{}
	if found {
		o.Checkpoint, o.From = from.Note, true
	}
	return e.verify(ctx, o)
}

// verify judges the log by its key, which is not in the database.
func (e Deployment) verify(ctx context.Context, o event.VerifyOptions) doctor.Answer {
	err := e.DB.Read(ctx, func(tx *db.Tx) error {
		origins, err := event.LogOrigins(tx)
		if err != nil || len(origins) == 0 {
			return err
		}
		key, err := EventKey(e.Config)
		if err != nil {
			return nil // the origin's own is taken
		}
		signer, err := event.NewSigner(key, origins[len(origins)-1].Name)
		if err == nil {
			o.Key = signer.Verifier()
		}
		return err
	})
	if err != nil {
		return doctor.Skip(mendDatabase, err)
	}
	r, err := event.Verify(ctx, e.DB, o)
	if fault.KindOf(err) == fault.Invalid {
		return doctor.Fail("See who has written to what is kept elsewhere; gatehouse events origin prints the key.", "%v", err)
	}
	if err != nil {
		return doctor.Skip("gatehouse events verify", err)
	}
	if len(r.Findings) > 0 {
		f := r.Findings[0]
		return doctor.Fail("gatehouse events verify says where; then gatehouse incident open, and docs/runbooks/README.md: somebody writes to the database.",
			"%s: %s", f.What, f.Text)
	}
	return doctor.Pass("%d events from leaf %d on, %d checkpoints; gatehouse events verify reads them all", r.Leaves, r.From, r.Checkpoints)
}

// anchored holds the log against what EVENT_ANCHOR kept.
func (e Deployment) anchored(ctx context.Context) doctor.Answer {
	at := e.Config.EventAnchor.Reveal()
	switch {
	case at == "":
		return doctor.Excuse("EVENT_ANCHOR is not set")
	case e.DB == nil:
		return doctor.Skip(mendDatabase, e.Why)
	}
	var failing bool
	err := e.DB.Read(ctx, func(tx *db.Tx) (err error) { failing, err = event.AnchorFails(tx, anchoring, e.Now()); return err })
	switch {
	case err != nil:
		return doctor.Skip(mendDatabase, err)
	case failing:
		return doctor.Fail("See the server's log for why EVENT_ANCHOR takes none.", "checkpoints can't be sent to EVENT_ANCHOR")
	}
	path, isFile := strings.CutPrefix(at, "file:")
	if !isFile {
		return doctor.Pass("they arrive; `gatehouse events verify --checkpoint` compares the log with what was kept")
	}
	text, err := tail(strings.TrimPrefix(path, "//"), mostAnchors)
	if errors.Is(err, os.ErrNotExist) {
		return doctor.Fail("See where the file has gone, and who could take it away.", "the file of EVENT_ANCHOR is not there")
	}
	if err != nil {
		return doctor.Skip("Run the doctor as somebody who may read the file of EVENT_ANCHOR.", err)
	}
	last := event.LastCheckpoint(text)
	if !strings.Contains(last, "\n") {
		return doctor.Fail("See who has written to it.", "the file of EVENT_ANCHOR has no checkpoint at its end")
	}
	return e.verify(ctx, event.VerifyOptions{Checkpoint: last, From: true})
}

// tail reads the end of a file.
func tail(path string, most int64) (string, error) {
	f, err := os.Open(path) //nolint:gosec // a setting names it
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	b := make([]byte, min(info.Size(), most))
	if _, err := f.ReadAt(b, info.Size()-int64(len(b))); err != nil {
		return "", err
	}
	return string(b), nil
}

// fileChecks look at who else gets at secrets that are files.
func (e Deployment) fileChecks() []doctor.Check {
	return []doctor.Check{{
		ID: "JWT-1", Name: "files", Title: "Keys that are files are their owner's alone", Severity: doctor.High, Ask: func(context.Context) doctor.Answer {
			dir := e.Config.DataDir()
			var bad []string
			seen := 0
			for _, path := range []string{
				dir, filepath.Join(dir, secretFile), filepath.Join(dir, eventKeyFile), e.Config.TLSKeyFile, e.Config.Redis.ClientKey,
			} {
				if _, err := os.Stat(path); path == "" || err != nil {
					continue
				}
				seen++
				if why, _ := config.Exposed(path); why != "" {
					bad = append(bad, path+" "+why)
				}
			}
			if len(bad) > 0 {
				return doctor.Fail("Give it to the user who runs gatehouse, and to nobody else: chown, and chmod go-rwx.", "%s", strings.Join(bad, "; "))
			}
			return doctor.Pass("%s", fmt.Sprintf("%s looked at", plural(seen, "path")))
		},
	}}
}
