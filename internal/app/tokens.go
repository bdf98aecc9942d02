package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/door/api"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// tokens are the sessions, what they issue, what ends that early, and the keys of all.
type tokens struct {
	*base
	issuer   *token.Issuer
	sessions *session.Store
	grants   *grant.Store
	uses     *session.Uses
	revoked  *token.Revocations
	keys     *operate.Keys
}

// newTokens issues and revokes tokens. poll is what else every poll of the revocations
// reads.
func newTokens(b *base, poll func(tx *db.Tx) error) (*tokens, api.Caller, capability, error) {
	c := b.config
	says := token.Config{Issuer: c.JWTIssuer, Audience: c.JWTAudience, ClientID: c.JWTClientID, Life: c.AccessTokenLife}
	issuer, err := token.NewIssuer(says, signingKeys(b.ring, keyring.AccessSign), b.random, idKeys(b.ring)...)
	if err != nil {
		return nil, api.Caller{}, capability{}, err
	}
	t := &tokens{
		base: b, issuer: issuer, uses: session.NewUses(b.db), revoked: token.NewRevocations(b.db, c.AccessTokenLife, c.RevocationStale, b.now),
		sessions: session.NewStore(session.Config{
			Idle: c.RefreshTokenLife, Max: c.SessionMaxLife, Grace: c.RefreshReuseGrace, Retry: c.RefreshRetry, PerAccount: c.SessionsPerAccount,
		}, refreshKeys(b.ring), b.ring.Epoch, b.random),
	}
	t.grants = grant.NewStore(grant.Config{
		Idle: c.RefreshTokenLife, OfflineIdle: c.OfflineIdle, OfflineMax: c.OfflineMax, Grace: c.RefreshReuseGrace, Retry: c.RefreshRetry,
	}, refreshKeys(b.ring), func() []byte { return b.ring.Key(keyring.Request) }, b.ring.Epoch, b.random)
	t.keys = &operate.Keys{Core: b.core(), Ring: b.ring, Revoked: t.revoked, Period: c.JWTKeyRotation, SecondApproves: c.SecondApproves()}
	t.followRing()
	t.revoked.OnPoll(poll)
	return t, newCaller(b, t), capability{
		name: "tokens",
		jobs: []job.Job{
			forgetRevocations(b),
			{Name: "rotate-keys", Every: time.Hour, Lease: 5 * time.Minute, Run: t.keys.Due}, // replaces the key for access tokens when it is due
		},
		loops: []func(context.Context){t.writeUses, t.followRevocations}, metrics: t.metrics(),
		checks: []check{warning("revocations", t.stale), warning("keys", t.behind)},
		poll:   b.ring.Poll, begin: t.begin,
	}, nil
}

// begin has this replica know, before the first request, what was revoked or blocked
// before it started.
func (t *tokens) begin(ctx context.Context) error {
	if err := t.adoptKeys(ctx); err != nil {
		return err
	}
	return t.revoked.Poll(ctx)
}

func (t *tokens) writeUses(ctx context.Context) {
	t.uses.Run(ctx, func(err error) {
		t.log.Warn("When sessions were last used could not be written; the next uses will tell.", "error", err.Error())
	})
}

func (t *tokens) followRevocations(ctx context.Context) {
	t.revoked.Run(ctx, func(err error) {
		t.log.Warn("What has been revoked can't be read; until it can, each token is looked up in the database.", "error", err.Error())
	})
}

func (t *tokens) stale(context.Context) string {
	if t.revoked.Age() > token.FreshFor {
		return "stale"
	}
	return ""
}

func (t *tokens) behind(context.Context) string {
	if t.ring.Behind() {
		return "unreadable"
	}
	return ""
}

func (t *tokens) metrics() []prometheus.Collector {
	return []prometheus.Collector{
		gauge("gatehouse_revocations_live", "Revocations of access tokens that this replica holds in memory.",
			func() float64 { return float64(t.revoked.Live()) }),
		gauge("gatehouse_revocation_slices_collapsed",
			"Slices of sessions, of 256, whose older revocations this replica holds as one cut-off, since they are too many.",
			func() float64 { return float64(t.revoked.Collapsed()) }),
		gauge("gatehouse_revocations_age_seconds",
			"How long ago this replica last asked, and was answered, what has been revoked; over 0.9 it looks each token up.",
			func() float64 { return t.revoked.Age().Seconds() }),
	}
}

// forgetRevocations deletes those that no living token can meet.
func forgetRevocations(b *base) job.Job {
	return sweeping(b.db, "forget-revocations", 10*time.Minute, func() time.Time { return b.now().Add(-token.KeepRows) }, token.Forget)
}
