package app

import (
	"context"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
)

// oldBuild is after how long a program without a newer version would be a surprise.
const oldBuild = 180 * 24 * time.Hour

// versionChecks judge how old programs are, by the calendar: nobody is asked for the newest version.
func (e Deployment) versionChecks() []doctor.Check {
	return []doctor.Check{
		{ID: "ENV-1", Name: "version", Title: "Gatehouse is kept up to date", Severity: doctor.Low, Ask: func(context.Context) doctor.Answer {
			switch built := e.Built; {
			case built.IsZero():
				return doctor.Excuse("this build does not say when it was made: " + e.Version)
			case e.Now().Sub(built) > oldBuild:
				return doctor.Fail("See on another machine whether there is a newer version, and what it mends: SECURITY.md has the deadlines.",
					"%s is of %s; which version is the newest is not asked: the server asks nobody", e.Version, built.Format(time.DateOnly))
			}
			return doctor.Pass("%s is of %s; which version is the newest is not asked: the server asks nobody", e.Version, e.Built.Format(time.DateOnly))
		}},
		{ID: "ENV-1", Name: "postgresql", Title: "PostgreSQL's version still gets mends", Severity: doctor.Medium, Ask: e.posture(func(p db.Posture) doctor.Answer {
			if e.Config.Database.Kind == config.SQLite {
				return doctor.Excuse("SQLite " + p.Version + " is a part of this program")
			}
			number, _, _ := strings.Cut(p.Version, ".")
			major, err := strconv.Atoi(number)
			if err != nil {
				return doctor.Excuse("PostgreSQL " + p.Version + " is no release")
			}
			if end := lastMend(major); e.Now().After(end) {
				return doctor.Fail("Upgrade PostgreSQL: pg_upgrade, or gatehouse backup move into a newer one.", "PostgreSQL %s has got its last mends on %s",
					p.Version, end.Format(time.DateOnly))
			}
			return doctor.Pass("PostgreSQL %s, until %s", p.Version, lastMend(major).Format(time.DateOnly))
		})},
	}
}

// lastMend is when a major version of PostgreSQL gets its last release: on the second Thursday of November, five years after its first.
func lastMend(major int) time.Time {
	day := time.Date(2012+major, time.November, 8, 0, 0, 0, 0, time.UTC)
	for day.Weekday() != time.Thursday {
		day = day.AddDate(0, 0, 1)
	}
	return day
}

// BuiltAt is when a program was made that says at, or what the Go toolchain knows of it: the time of its commit.
func BuiltAt(at string) time.Time {
	if at == "" {
		if b, ok := debug.ReadBuildInfo(); ok {
			for _, s := range b.Settings {
				if s.Key == "vcs.time" {
					at = s.Value
				}
			}
		}
	}
	t, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return time.Time{}
	}
	return t
}
