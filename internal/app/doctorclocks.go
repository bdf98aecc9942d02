package app

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/timeserver"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
)

// clockMost is how far another machine's clock may be from this one's: what has an end is judged by both.
const clockMost = 2 * time.Second

// clockChecks compare clocks. Redis's is looked at with Redis.
func (e Deployment) clockChecks() []doctor.Check {
	return []doctor.Check{
		{ID: "LOG-1", Name: "clock", Title: "The clocks agree", Severity: doctor.Medium, Ask: e.clocks},
		{ID: "LOG-1", Name: "time-server", Title: "This machine's clock is right", Severity: doctor.Medium, Ask: e.timeServer},
	}
}

// clocks compares the database's with this machine's, as it was before the question and after the answer: a slow
// answer says nothing of them.
func (e Deployment) clocks(ctx context.Context) doctor.Answer {
	before := e.Now()
	return e.posture(func(p db.Posture) doctor.Answer {
		off := max(before.Sub(p.Clock), p.Clock.Sub(e.Now()), 0)
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

// timeServer measures this machine's clock. A kernel could say whether something sets it, and not by how much it is wrong;
// and to ask it is forbidden to a service that is confined as it should be.
func (e Deployment) timeServer(ctx context.Context) doctor.Answer {
	at := e.Config.Doctor.TimeServer
	if at == "" {
		return doctor.Excuse("NTP_SERVER is not set: no time server is asked")
	}
	off, within, err := timeserver.Ask(ctx, at, e.Now)
	switch {
	case err != nil:
		return doctor.Skip("See that UDP to port 123 of NTP_SERVER is let out, and answered.", err)
	case off-within > clockMost || -off-within > clockMost:
		return doctor.Fail("Have it follow a time server: timedatectl set-ntp true. A minute off refuses the codes of every app.",
			"this machine's clock is %s off", off.Round(100*time.Millisecond))
	case within > clockMost:
		return doctor.Skip("Name a time server that is nearer.", errors.New("its answer took so long that it says nothing"))
	}
	return doctor.Pass("it is %s off, to within %s", off.Round(time.Millisecond), within.Round(time.Millisecond))
}
