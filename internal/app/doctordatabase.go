package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
)

// hazard answers by one of the hazards that production refuses or warns of.
func (e Deployment) hazard(code, good string) func(context.Context) doctor.Answer {
	return func(ctx context.Context) doctor.Answer {
		if e.DB == nil {
			return doctor.Skip(mendDatabase, e.Why)
		}
		if e.Config.Database.Kind == config.SQLite {
			return doctor.Excuse("SQLite has no server and no roles")
		}
		list, err := e.DB.Hazards(ctx)
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

func (e Deployment) databaseChecks() []doctor.Check {
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
		{ID: "DB-2", Name: "rights", Title: "The serving role is let do what it must, and no more", Severity: doctor.High, Ask: e.rights},
		{ID: "DB-2", Name: "usable", Title: "The database is the server's, and keeps what is put there", Severity: doctor.Critical, Ask: e.usable},
		{ID: "DB-3", Name: "password", Title: "The database's password is hard to guess", Severity: doctor.High, Ask: e.databasePassword},
		{ID: "PW-2", Name: "stored", Title: "No stored password hash is weaker than the setting", Severity: doctor.Medium, Ask: e.read(e.weakHashes)},
	}
}

// databasePassword judges the one in DATABASE_URL as production does.
func (e Deployment) databasePassword(context.Context) doctor.Answer {
	if e.Config.Database.Kind == config.SQLite {
		return doctor.Excuse("SQLite has no password: the file's mode guards it")
	}
	if why := e.Config.Database.Weakness(); why != "" {
		return doctor.Fail("ALTER ROLE … PASSWORD, with what `gatehouse secret` prints; then write it into DATABASE_URL.", "the password in DATABASE_URL %s", why)
	}
	return doctor.Pass("it is no known, short or regular one, or a certificate or this machine's socket takes its place")
}

// weakHashes counts the hashes that the next sign-in would make anew.
func (e Deployment) weakHashes(tx *db.Tx) (doctor.Answer, error) {
	found, err := account.CountHashes(tx)
	if err != nil {
		return doctor.Answer{}, err
	}
	if e.Config.PasswordPepper != "" {
		return doctor.Excuse("the hashes are sealed under PASSWORD_PEPPER: whoever signs in with a weak one has it made anew"), nil
	}
	var weak, imported, all int64
	for kind, n := range found {
		all += n
		cost, bcrypt := strings.CutPrefix(kind, "h1:$2a$")
		switch {
		case strings.HasPrefix(kind, "i1:"), strings.HasPrefix(kind, "w1:"):
			imported += n
		case e.Config.PasswordHash != "argon2id" && bcrypt && cost < fmt.Sprintf("%02d", e.Config.BcryptCost):
			weak += n
		}
	}
	if weak > 0 {
		return doctor.Fail("They are made anew at the next sign-in. For those who don't come: gatehouse user list, and gatehouse user demand-reset.",
			"%d of %d stored hashes have a lower cost than BCRYPT_COST=%d", weak, all, e.Config.BcryptCost), nil
	}
	return doctor.Pass("%d hashes, none of ours below BCRYPT_COST=%d; %d of them are another system's, until their owners sign in",
		all, e.Config.BcryptCost, imported), nil
}

// rights really tries what the serving role must not be let do.
func (e Deployment) rights(ctx context.Context) doctor.Answer {
	switch {
	case e.DB == nil:
		return doctor.Skip(mendDatabase, e.Why)
	case e.Config.Database.Kind == config.SQLite:
		return doctor.Excuse("SQLite has no roles")
	}
	list, err := e.DB.Hazards(ctx)
	if err != nil {
		return doctor.Skip(mendDatabase, err)
	}
	for _, h := range list {
		if h.Code == "superuser" || h.Code == "owner" {
			return doctor.Excuse("it may do everything: see DB-2/" + h.Code)
		}
	}
	did, err := e.DB.Excess(ctx)
	switch {
	case err != nil:
		return doctor.Skip(mendDatabase, err)
	case len(did) > 0:
		return doctor.Fail("gatehouse migrate --roles shows the roles as they should be; REVOKE what is too much.",
			"it was let %s, in a transaction that was rolled back", strings.Join(did, ", and "))
	}
	return doctor.Pass("it was refused what it must not do: to change the event log, to delete accounts, to make tables and roles, to read files")
}

// judged are faults of a database that was found, and can't be served from as it is.
var judged = []string{
	"schema_behind", "schema_newer", "rights_missing", "wrong_encoding", "database_standby", "database_read_only", "moved", "fenced", "another_database",
}

// usable says why the server would not take the database.
func (e Deployment) usable(ctx context.Context) doctor.Answer {
	if e.DB != nil {
		return e.posture(func(p db.Posture) doctor.Answer {
			return doctor.Pass("%s, with the schema of this version and the rights that it takes", p.Encoding)
		})(ctx)
	}
	var f *fault.Error
	if errors.As(e.Why, &f) && slices.Contains(judged, f.Code) {
		found, mend, _ := strings.Cut(f.Message, ". ")
		return doctor.Fail(mend, "%s.", found)
	}
	return doctor.Skip(mendDatabase, e.Why)
}
