package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
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

// Checks returns all that the doctor asks of the deployment with these settings. The database may be
// nil, with the reason why there is none: what needs it says so. From outside it looks where outside does, or nowhere.
func Checks(c *config.Config, d *db.DB, why error, now func() time.Time, outside ...*Outside) []doctor.Check {
	e := examined{c, d, why, now}
	from := &Outside{}
	if len(outside) > 0 && outside[0] != nil {
		from = outside[0]
	}
	return slices.Concat(settingsChecks(c), e.databaseChecks(), e.backupChecks(), e.keyChecks(), e.sessionChecks(), e.runningChecks(),
		e.documentChecks(), e.privacyChecks(), e.peopleChecks(), e.factorChecks(), e.applicationChecks(),
		e.retentionChecks(), from.checks())
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

// examined is the deployment that checks look at.
type examined struct {
	config *config.Config
	db     *db.DB
	why    error // there is none
	now    func() time.Time
}

const mendDatabase = "See why the database does not answer: gatehouse health, and the server's log."

// read answers by what a transaction reads.
func (e examined) read(fn func(tx *db.Tx) (doctor.Answer, error)) func(context.Context) doctor.Answer {
	return func(ctx context.Context) (a doctor.Answer) {
		if e.db == nil {
			return doctor.Skip(mendDatabase, e.why)
		}
		err := e.db.Read(ctx, func(tx *db.Tx) (err error) {
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
func (e examined) posture(judge func(db.Posture) doctor.Answer) func(context.Context) doctor.Answer {
	return func(ctx context.Context) doctor.Answer {
		if e.db == nil {
			return doctor.Skip(mendDatabase, e.why)
		}
		p, err := e.db.Posture(ctx)
		if err != nil {
			return doctor.Skip(mendDatabase, err)
		}
		return judge(p)
	}
}

// hazard answers by one of the hazards that production refuses or warns of.
func (e examined) hazard(code, good string) func(context.Context) doctor.Answer {
	return func(ctx context.Context) doctor.Answer {
		if e.db == nil {
			return doctor.Skip(mendDatabase, e.why)
		}
		if e.config.Database.Kind == config.SQLite {
			return doctor.Excuse("SQLite has no server and no roles")
		}
		list, err := e.db.Hazards(ctx)
		if err != nil {
			return doctor.Skip(mendDatabase, err)
		}
		for _, h := range list {
			if h.Code == code {
				found, mend, _ := strings.Cut(h.Text, ". ")
				return doctor.Fail(mend, "%s.", found)
			}
		}
		return doctor.Pass("%s", good)
	}
}

// clockMost is how far the database's clock may be from this machine's: what has an end is judged by both.
const clockMost = 2 * time.Second

func (e examined) databaseChecks() []doctor.Check {
	return []doctor.Check{
		{ID: "DB-1", Name: "tls", Title: "The connection to the database is encrypted", Severity: doctor.Critical, Ask: e.posture(func(p db.Posture) doctor.Answer {
			switch {
			case p.Encrypted:
				return doctor.Pass("%s, PostgreSQL %s", p.TLS, p.Version)
			case p.Local:
				return doctor.Excuse("the database is on this machine")
			}
			return doctor.Fail("Put sslmode=verify-full into DATABASE_URL, with sslrootcert for an authority of your own.",
				"PostgreSQL %s answers over a connection without TLS", p.Version)
		})},
		{ID: "DB-2", Name: "superuser", Title: "The serving role is no superuser", Severity: doctor.Critical,
			Ask: e.hazard("superuser", "the role in DATABASE_URL is none")},
		{ID: "DB-2", Name: "owner", Title: "The serving role does not own the tables", Severity: doctor.High,
			Ask: e.hazard("owner", "another role owns them")},
		{ID: "DB-2", Name: "durability", Title: "What the database acknowledges is on the disk", Severity: doctor.High,
			Ask: e.hazard("durability", "synchronous_commit and fsync are on")},
		{ID: "DB-3", Name: "password", Title: "The database's password is hard to guess", Severity: doctor.High, Ask: e.databasePassword},
		{ID: "LOG-1", Name: "clock", Title: "The clocks agree", Severity: doctor.Medium, Ask: e.clocks},
		{ID: "PW-2", Name: "stored", Title: "No stored password hash is weaker than the setting", Severity: doctor.Medium, Ask: e.read(e.weakHashes)},
	}
}

// databasePassword judges the one in DATABASE_URL as production does.
func (e examined) databasePassword(context.Context) doctor.Answer {
	if e.config.Database.Kind == config.SQLite {
		return doctor.Excuse("SQLite has no password: the file's mode guards it")
	}
	if why := e.config.Database.Weakness(); why != "" {
		return doctor.Fail("ALTER ROLE … PASSWORD, with what `gatehouse secret` prints; then write it into DATABASE_URL.", "the password in DATABASE_URL %s", why)
	}
	return doctor.Pass("it is no known, short or regular one, or a certificate or this machine's socket takes its place")
}

// clocks compares the database's with this machine's, as it was before the question and after the answer: a slow
// answer says nothing of them.
func (e examined) clocks(ctx context.Context) doctor.Answer {
	before := e.now()
	return e.posture(func(p db.Posture) doctor.Answer {
		off := max(before.Sub(p.Clock), p.Clock.Sub(e.now()), 0)
		switch {
		case p.Clock.IsZero():
			return doctor.Excuse("SQLite's clock is this machine's")
		case off > clockMost:
			return doctor.Fail("Have both machines follow the same time servers: timedatectl set-ntp true",
				"the database's clock and this machine's are %s apart", off.Round(time.Second))
		}
		return doctor.Pass("the database's clock and this machine's are within %s", clockMost)
	})(ctx)
}

// weakHashes counts the hashes that the next sign-in would make anew.
func (e examined) weakHashes(tx *db.Tx) (doctor.Answer, error) {
	found, err := account.CountHashes(tx)
	if err != nil {
		return doctor.Answer{}, err
	}
	if e.config.PasswordPepper != "" {
		return doctor.Excuse("the hashes are sealed under PASSWORD_PEPPER: whoever signs in with a weak one has it made anew"), nil
	}
	var weak, imported, all int64
	for kind, n := range found {
		all += n
		cost, bcrypt := strings.CutPrefix(kind, "h1:$2a$")
		switch {
		case strings.HasPrefix(kind, "i1:"), strings.HasPrefix(kind, "w1:"):
			imported += n
		case e.config.PasswordHash != "argon2id" && bcrypt && cost < fmt.Sprintf("%02d", e.config.BcryptCost):
			weak += n
		}
	}
	if weak > 0 {
		return doctor.Fail("They are made anew at the next sign-in. For those who don't come: gatehouse user list, and gatehouse user demand-reset.",
			"%d of %d stored hashes have a lower cost than BCRYPT_COST=%d", weak, all, e.config.BcryptCost), nil
	}
	return doctor.Pass("%d hashes, none of ours below BCRYPT_COST=%d; %d of them are another system's, until their owners sign in",
		all, e.config.BcryptCost, imported), nil
}

// oldKey is how long after its replacement was due a key may sign.
const oldKey = 7 * 24 * time.Hour

func (e examined) keyChecks() []doctor.Check {
	return []doctor.Check{{
		ID: "JWT-1", Name: "key-age", Title: "The signing key is replaced in time", Severity: doctor.Medium, Ask: func(ctx context.Context) doctor.Answer {
			switch {
			case e.db == nil:
				return doctor.Skip(mendDatabase, e.why)
			case e.config.JWTKeyRotation == 0:
				return doctor.Fail("Set JWT_KEY_ROTATION_DAYS=90.", "JWT_KEY_ROTATION_DAYS=0: the key that signs access tokens is never replaced")
			}
			var from time.Time
			err := e.db.Read(ctx, func(tx *db.Tx) (err error) { from, err = keyring.SigningSince(tx, e.now()); return err })
			if err != nil {
				return doctor.Skip(mendDatabase, err)
			}
			age := e.now().Sub(from)
			if age > e.config.JWTKeyRotation+oldKey {
				return doctor.Fail("gatehouse key rotate; and see in the log why the job `keys` does not.", "the key that signs is %d days old, of %d",
					days(age), days(e.config.JWTKeyRotation))
			}
			return doctor.Pass("the key that signs is %d days old, of %d", days(age), days(e.config.JWTKeyRotation))
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

func (e examined) runningChecks() []doctor.Check {
	return []doctor.Check{
		{ID: "ENV-1", Name: "ready", Title: "The server on this machine is ready", Severity: doctor.High, Ask: func(ctx context.Context) doctor.Answer {
			h, ready, err := AskHealth(ctx, e.config, false)
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
				switch late := e.now().Sub(r.Due); {
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
			switch waits := e.now().Sub(s.Oldest); {
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

func (e examined) peopleChecks() []doctor.Check {
	return []doctor.Check{
		{ID: "COMP-1", Name: "administrators", Title: "Every administrator is needed", Severity: doctor.Medium, Ask: e.read(func(tx *db.Tx) (doctor.Answer, error) {
			const most = 200
			list, err := account.Administrators(tx, most)
			if err != nil {
				return doctor.Answer{}, err
			}
			var away []string
			for _, a := range list {
				if since := e.now().Sub(a.SignedInAt); since > longAway {
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
