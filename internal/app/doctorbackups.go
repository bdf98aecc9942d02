package app

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
)

// longUnproved is after how long nobody knows any more that somebody's own key opens the backups.
const longUnproved = 90 * 24 * time.Hour

// backupChecks judge the backups: made, encrypted, kept apart, and known to restore.
func (e examined) backupChecks() []doctor.Check {
	b := e.config.Backups
	return []doctor.Check{
		setting("DB-4", "schedule", "Backups are made by themselves", doctor.High, len(b.Dirs) == 0 || b.Every == 0,
			"Set BACKUP_DIR to a bucket, or to a folder on another disk or machine, and leave BACKUP_EVERY_HOURS at 24: docs/guides/backups.md.",
			"%d places, every %s", len(b.Dirs), b.Every),
		e.ofBackups("encrypted", "Backups are encrypted", doctor.High, func(context.Context) doctor.Answer {
			if b.Recipients == "" {
				return doctor.Fail("gatehouse backup keygen makes a key; put its public half into BACKUP_RECIPIENTS, and the other into a safe.",
					"BACKUP_RECIPIENTS is not set")
			}
			return doctor.Pass("BACKUP_RECIPIENTS is set")
		}),
		e.ofBackups("places", "Backups lie in more than one place", doctor.Low, func(context.Context) doctor.Answer {
			if len(b.Dirs) < 2 {
				return doctor.Fail("Name a second place in BACKUP_DIR, such as a bucket at another provider.", "all of them lie in one place")
			}
			return doctor.Pass("%d places", len(b.Dirs))
		}),
		e.ofBackups("disk", "Backups do not lie on the database's disk", doctor.High, e.backupsDisk),
		e.standing("newest", "The newest backup is young enough", doctor.High, func(s backup.Standing) doctor.Answer {
			const mend = "See why in `gatehouse backup list` and the server's log, then: gatehouse backup create"
			switch age := e.now().Sub(s.Good); {
			case s.Good.IsZero() && s.Failures > 0:
				return doctor.Fail(mend, "none was made: %s", s.Error)
			case s.Good.IsZero():
				return doctor.Fail("gatehouse backup create", "none was made yet")
			case age > 2*b.Every:
				return doctor.Fail(mend, "it is of %s ago, and one is due every %s", age.Round(time.Hour), b.Every)
			default:
				return doctor.Pass("it is of %s ago", age.Round(time.Minute))
			}
		}),
		e.ofLedger(),
		e.standing("drilled", "A backup was restored on trial", doctor.Medium, func(s backup.Standing) doctor.Answer {
			switch age := e.now().Sub(s.Drilled); {
			case s.Undrilled >= 2:
				return doctor.Fail("See why in the server's log, and try: gatehouse backup drill", "the last %d drills failed", s.Undrilled)
			case s.Drilled.IsZero():
				return doctor.Fail("gatehouse backup drill", "none was drilled yet")
			case age > 2*backup.DrillEvery:
				return doctor.Fail("gatehouse backup drill", "the last drill that went well was %d days ago", days(age))
			default:
				return doctor.Pass("%d days ago", days(age))
			}
		}),
		e.standing("key", "Somebody's own key opens the backups", doctor.Medium, func(s backup.Standing) doctor.Answer {
			const mend = "Fetch the key from where it is kept: gatehouse backup prove-key --identity FILE. A backup for a lost key is none."
			switch age := e.now().Sub(s.Proved); {
			case s.Proved.IsZero():
				return doctor.Fail(mend, "nobody has tried")
			case age > longUnproved:
				return doctor.Fail(mend, "last tried %d days ago", days(age))
			default:
				return doctor.Pass("tried %d days ago", days(age))
			}
		}),
	}
}

// ofLedger looks whether a restore would know what was decided since the backup.
func (e examined) ofLedger() doctor.Check {
	return e.ofBackups("ledger", "What a restore must not undo stands beside the backups", doctor.High, e.read(func(tx *db.Tx) (doctor.Answer, error) {
		lag, err := backup.Behind(tx, e.now())
		switch {
		case err != nil:
			return doctor.Answer{}, err
		case e.config.Backups.Recipients == "":
			return doctor.Excuse("no backups are made"), nil
		case lag > backup.LedgerLate:
			return doctor.Fail("See in the server's log which place of BACKUP_DIR is away.", "the ledger is behind the event log since %s", lag.Round(time.Minute)), nil
		}
		return doctor.Pass("the ledger is not behind"), nil
	}))
}

// ofBackups is a check that means nothing where there are no backups: that is another's finding.
func (e examined) ofBackups(name, title string, s doctor.Severity, ask func(context.Context) doctor.Answer) doctor.Check {
	return doctor.Check{ID: "DB-4", Name: name, Title: title, Severity: s, Ask: func(ctx context.Context) doctor.Answer {
		if len(e.config.Backups.Dirs) == 0 {
			return doctor.Excuse("BACKUP_DIR is not set")
		}
		return ask(ctx)
	}}
}

// standing is a check of what was done with the backups, as the database has recorded it.
func (e examined) standing(name, title string, s doctor.Severity, judge func(backup.Standing) doctor.Answer) doctor.Check {
	return e.ofBackups(name, title, s, e.read(func(tx *db.Tx) (doctor.Answer, error) {
		st, err := backup.Stand(tx)
		if err != nil {
			return doctor.Answer{}, err
		}
		return judge(st), nil
	}))
}

// backupsDisk looks whether one disk that breaks takes the database and a backup with it.
func (e examined) backupsDisk(context.Context) doctor.Answer {
	if e.config.Database.Kind != config.SQLite {
		return doctor.Excuse("where the database's files lie is PostgreSQL's to know")
	}
	for _, dir := range e.config.Backups.Dirs {
		if config.IsBucket(dir) {
			continue
		}
		switch same, known := backup.SameDevice(filepath.Dir(e.config.Database.Path), dir); {
		case !known:
			return doctor.Skip("Run the doctor as the user who runs gatehouse, where the folders of BACKUP_DIR are mounted.",
				fmt.Errorf("the disk of %s can't be looked at", dir))
		case same:
			return doctor.Fail("Set BACKUP_DIR to a folder on another disk, better on another machine.", "%s is on the same disk as the database", dir)
		}
	}
	return doctor.Pass("they are elsewhere")
}
