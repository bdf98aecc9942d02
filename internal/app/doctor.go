package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
)

// Deployment is what the doctor looks at.
type Deployment struct {
	Config *config.Config
	// DB may be nil, with the reason why there is none: what needs it says so.
	DB  *db.DB
	Why error
	Now func() time.Time
	// Outside is where it looks from outside, or nil for nowhere.
	Outside *Outside
	// Names answers what DNS is asked; nil is the system's resolver.
	Names *net.Resolver
	// Version is the program's, and Built when it was made, as far as that is known.
	Version string
	Built   time.Time
}

// Checks returns all that the doctor asks of it.
func (e Deployment) Checks() []doctor.Check {
	from := e.Outside
	if from == nil {
		from = &Outside{}
	}
	if e.Names == nil {
		e.Names = net.DefaultResolver
	}
	return slices.Concat(settingsChecks(e.Config), e.databaseChecks(), e.versionChecks(), e.logChecks(), e.fileChecks(),
		e.backupChecks(), e.keyChecks(), e.sessionChecks(), e.runningChecks(),
		e.documentChecks(), e.privacyChecks(), e.peopleChecks(), e.acceptedChecks(), e.factorChecks(), e.applicationChecks(),
		e.retentionChecks(), e.redisChecks(), e.mailChecks(), e.clockChecks(), from.checks())
}

// OpenExamined opens the database for the doctor, which never migrates it. A schema of another version can't be read.
func OpenExamined(ctx context.Context, c *config.Config) (*db.DB, error) {
	if c.Database.Kind == config.SQLite { // opening would make it
		if _, err := os.Stat(c.Database.Path); err != nil {
			return nil, fmt.Errorf("there is no database yet: %w", err)
		}
	}
	d, err := OpenDatabase(ctx, c, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	if err := d.Serves(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

const mendDatabase = "See why the database does not answer: gatehouse health, and the server's log."

// read answers by what a transaction reads.
func (e Deployment) read(fn func(tx *db.Tx) (doctor.Answer, error)) func(context.Context) doctor.Answer {
	return func(ctx context.Context) (a doctor.Answer) {
		if e.DB == nil {
			return doctor.Skip(mendDatabase, e.Why)
		}
		err := e.DB.Read(ctx, func(tx *db.Tx) (err error) {
			a, err = fn(tx)
			return err
		})
		if err != nil {
			return doctor.Skip(mendDatabase, err)
		}
		return a
	}
}

// posture answers by what the database says of itself.
func (e Deployment) posture(judge func(db.Posture) doctor.Answer) func(context.Context) doctor.Answer {
	return func(ctx context.Context) doctor.Answer {
		if e.DB == nil {
			return doctor.Skip(mendDatabase, e.Why)
		}
		p, err := e.DB.Posture(ctx)
		if err != nil {
			return doctor.Skip(mendDatabase, err)
		}
		return judge(p)
	}
}

// oldKey is how long after its replacement was due a key may sign.
const oldKey = 7 * 24 * time.Hour

func (e Deployment) keyChecks() []doctor.Check {
	return []doctor.Check{{
		ID: "JWT-1", Name: "key-age", Title: "The signing key is replaced in time", Severity: doctor.Medium, Ask: func(ctx context.Context) doctor.Answer {
			switch {
			case e.DB == nil:
				return doctor.Skip(mendDatabase, e.Why)
			case e.Config.JWTKeyRotation == 0:
				return doctor.Fail("Set JWT_KEY_ROTATION_DAYS=90.", "JWT_KEY_ROTATION_DAYS=0: the key that signs access tokens is never replaced")
			}
			var from time.Time
			err := e.DB.Read(ctx, func(tx *db.Tx) (err error) { from, err = keyring.SigningSince(tx, e.Now()); return err })
			if err != nil {
				return doctor.Skip(mendDatabase, err)
			}
			age := e.Now().Sub(from)
			if age > e.Config.JWTKeyRotation+oldKey {
				return doctor.Fail("gatehouse key rotate; and see in the log why the job `keys` does not.", "the key that signs is %d days old, of %d",
					days(age), days(e.Config.JWTKeyRotation))
			}
			return doctor.Pass("the key that signs is %d days old, of %d", days(age), days(e.Config.JWTKeyRotation))
		},
	}}
}

func days(d time.Duration) int { return int(d / (24 * time.Hour)) }

const (
	// lateJob is how long a job may be due.
	lateJob = time.Hour
	// lateMail is how long a mail may wait.
	lateMail = 15 * time.Minute
)

func (e Deployment) runningChecks() []doctor.Check {
	return []doctor.Check{
		{ID: "ENV-1", Name: "ready", Title: "The server on this machine is ready", Severity: doctor.High, Ask: func(ctx context.Context) doctor.Answer {
			h, ready, err := AskHealth(ctx, e.Config, false)
			switch {
			case err != nil:
				return doctor.Skip("Run the doctor on the machine of a server, with its settings.", err)
			case !ready:
				return doctor.Fail("Read the server's log for the reason.", "%s", h)
			case len(wrong(h.Warnings)) > 0:
				return doctor.Fail("Read the server's log for the reason.", "it serves, and warns: %s", strings.Join(wrong(h.Warnings), "; "))
			}
			return doctor.Pass("%s", h)
		}},
		{ID: "LOG-1", Name: "jobs", Title: "The work in the background is done", Severity: doctor.High, Ask: e.read(func(tx *db.Tx) (doctor.Answer, error) {
			rows, err := job.Rows(tx)
			if err != nil {
				return doctor.Answer{}, err
			}
			var bad []string
			for _, r := range rows {
				switch late := e.Now().Sub(r.Due); {
				case r.Error != "":
					bad = append(bad, r.Name+" failed: "+r.Error)
				case !r.Running && !r.Due.IsZero() && late > lateJob:
					bad = append(bad, fmt.Sprintf("%s has been due for %s", r.Name, late.Round(time.Minute)))
				}
			}
			if len(bad) > 0 {
				return doctor.Fail("A server must run for them; why one failed stands in its log.", "%s", strings.Join(bad, "; ")), nil
			}
			return doctor.Pass("%d jobs", len(rows)), nil
		})},
		{ID: "MAIL-4", Name: "queue", Title: "Mails are delivered", Severity: doctor.High, Ask: e.read(func(tx *db.Tx) (doctor.Answer, error) {
			s, err := notice.StateOf(tx)
			switch waits := e.Now().Sub(s.Oldest); {
			case err != nil:
				return doctor.Answer{}, err
			case s.Dead > 0:
				return doctor.Fail("gatehouse mail list --dead says why; gatehouse mail retry sends them again.", "%d mails were given up", s.Dead), nil
			case s.Queued > 0 && waits > lateMail:
				return doctor.Fail("gatehouse mail test says what the mail server answers.", "%d mails wait, the oldest for %s", s.Queued, waits.Round(time.Minute)), nil
			}
			return doctor.Pass("%d mails wait", s.Queued), nil
		})},
	}
}

// wrong are the lines of readyz that say something else than ok.
func wrong(lines map[string]string) (out []string) {
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		if lines[name] != "ok" {
			out = append(out, name+" "+lines[name])
		}
	}
	return out
}

// longAway is after how long nobody misses an administrator's account.
const longAway = 90 * 24 * time.Hour

func (e Deployment) peopleChecks() []doctor.Check {
	return []doctor.Check{
		{ID: "COMP-1", Name: "administrators", Title: "Every administrator is needed", Severity: doctor.Medium, Ask: e.read(func(tx *db.Tx) (doctor.Answer, error) {
			const most = 200
			list, err := account.Administrators(tx, most)
			if err != nil {
				return doctor.Answer{}, err
			}
			var away []string
			for _, a := range list {
				if since := e.Now().Sub(a.SignedInAt); since > longAway {
					away = append(away, fmt.Sprintf("%s (%d days)", a.Email, days(since)))
				}
			}
			switch {
			case len(list) == 0:
				return doctor.Fail("gatehouse user create --admin ADDRESS", "no account has the role admin"), nil
			case len(away) > 0:
				return doctor.Fail("gatehouse user roles ADDRESS, or gatehouse user disable ADDRESS, for each that is no longer needed.",
					"%d of %d administrators have not signed in for 90 days: %s", len(away), len(list), strings.Join(away[:min(5, len(away))], ", ")), nil
			}
			return doctor.Pass("%d administrators, all signed in within 90 days", len(list)), nil
		})},
	}
}
