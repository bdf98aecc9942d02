package app

import (
	"context"
	"net/netip"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
)

const (
	// sampled is how many of the newest sessions are looked at.
	sampled = 500
	// telling is how many sessions it takes before they say anything about where people come from.
	telling = 20
)

// sessionChecks judge by the newest sessions.
func (e Deployment) sessionChecks() []doctor.Check {
	return []doctor.Check{
		{ID: "JWT-3", Name: "stored", Title: "No refresh token can be read from the database", Severity: doctor.Critical, Ask: e.sample(hashesAlone)},
		setting("JWT-5", "at-once", "A token that was revoked is refused at once", doctor.Medium, e.Config.RevocationStale > 0,
			"Unset REVOCATION_STALE_SECONDS.", "while the database is away, revoked tokens are accepted for %s", e.Config.RevocationStale),
		{ID: "RATE-3", Name: "addresses", Title: "People are told apart by their addresses", Severity: doctor.High, Ask: e.sample(OnePlace)},
	}
}

// sample answers by the newest sessions.
func (e Deployment) sample(judge func(session.Sample) doctor.Answer) func(context.Context) doctor.Answer {
	return e.read(func(tx *db.Tx) (doctor.Answer, error) {
		s, err := session.Newest(tx, sampled)
		if err != nil {
			return doctor.Answer{}, err
		}
		return judge(s), nil
	})
}

func hashesAlone(s session.Sample) doctor.Answer {
	if s.Clear > 0 {
		return doctor.Fail("Not Gatehouse wrote them. End all sessions: gatehouse session revoke --all; and find out who may write to the database.",
			"%d of the %d newest sessions keep something else than SHA-256 hashes", s.Clear, s.Sessions)
	}
	return doctor.Pass("the %d newest sessions keep hashes alone", s.Sessions)
}

// OnePlace fails where everybody seems to come from one address of a private network: then a proxy is in front that is
// not trusted, and one person's mistakes use up everybody's limits.
func OnePlace(s session.Sample) doctor.Answer {
	if s.Sessions < telling {
		return doctor.Pass("%d sign-ins, too few to tell by", s.Sessions)
	}
	for address, n := range s.Addresses {
		a, err := netip.ParseAddr(address)
		if err == nil && n == s.Sessions && (a.IsPrivate() || a.IsLoopback()) {
			return doctor.Fail("If a proxy has that address, name it in TRUSTED_PROXIES, and have it send X-Forwarded-For: docs/guides/nginx.md.",
				"the last %d sign-ins all came from %s", n, address)
		}
	}
	return doctor.Pass("the last %d sign-ins came from %d addresses", s.Sessions, len(s.Addresses))
}
