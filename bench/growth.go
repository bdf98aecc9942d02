package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/bench"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
)

// Sessions that a turn of the growth measures goes over, spread over the whole
// database.
const (
	refreshSessions = 3000
	meSessions      = 300
	// lookUpSample is how many addresses, evenly spread, are looked up.
	lookUpSample = 1000
)

// grown is a server on a database of one size.
type grown struct {
	served
	accounts int
	db       *db.DB // in the same process, for the lookup
}

// growth compares the cost of the calls on databases of different sizes.
func (r *run) growth(ctx context.Context) ([]Measure, error) {
	var out []Measure
	for _, dialect := range []string{"SQLite", "PostgreSQL"} {
		ms, err := r.growthOn(ctx, dialect)
		if err != nil {
			return nil, err
		}
		out = append(out, ms...)
	}
	return out, nil
}

func (r *run) growthOn(ctx context.Context, dialect string) (out []Measure, err error) {
	var all []*grown
	defer func() {
		for _, g := range all {
			g.stop()
			_ = g.db.Close()
		}
	}()
	for _, n := range r.sizes {
		g, err := r.grow(ctx, dialect, n)
		if err != nil {
			return nil, err
		}
		all = append(all, g)
	}
	for _, call := range []struct {
		what, unit string
		do         func(context.Context, *grown) (float64, error)
	}{
		{"refresh, 8 clients", "a second", func(ctx context.Context, g *grown) (float64, error) {
			return r.perSecond(g.process, bench.Load{Scenario: bench.Refresh, Clients: 8, Sessions: g.take(r.perTurn(g, refreshSessions))})(ctx)
		}},
		{"GET /v1/me, 8 clients", "a second", func(ctx context.Context, g *grown) (float64, error) {
			return r.perSecond(g.process, bench.Load{Scenario: bench.Me, Clients: 8, Sessions: g.take(r.perTurn(g, meSessions))})(ctx)
		}},
		{"sign-in's lookup", "a second", func(ctx context.Context, g *grown) (float64, error) { return g.lookUps(ctx, r.turn/4) }},
	} {
		for _, large := range all[1:] {
			m, err := r.duel(ctx, Measure{
				Name: "growth", What: fmt.Sprintf("%s on %s, %d accounts : %d accounts", call.what, dialect, large.accounts, all[0].accounts),
				Unit: call.unit, AtLeast: 0.8,
			}, func(ctx context.Context) (float64, error) { return call.do(ctx, large) },
				func(ctx context.Context) (float64, error) { return call.do(ctx, all[0]) })
			if err != nil {
				return nil, err
			}
			out = append(out, m)
		}
	}
	return out, nil
}

// perTurn is how many of a database's tokens one turn uses: as many as wanted,
// if all turns together leave enough.
func (r *run) perTurn(g *grown, wanted int) int {
	turns := r.rounds * max(len(r.sizes)-1, 1)
	have := g.accounts * sessionsEach * wanted / (refreshSessions + meSessions) / turns
	return min(wanted, have)
}

func (r *run) grow(ctx context.Context, dialect string, accounts int) (*grown, error) {
	began := time.Now()
	g := &grown{accounts: accounts}
	keep := min(accounts*sessionsEach, r.rounds*max(len(r.sizes)-1, 1)*(refreshSessions+meSessions))
	var dbURL string
	var err error
	if dialect == "SQLite" {
		var path string
		path, g.tokens, err = r.sqlite(ctx, accounts, keep)
		dbURL = "sqlite:" + path
	} else {
		if _, dbURL, err = r.database(ctx, ""); err == nil {
			g.tokens, err = fill(ctx, dbURL, master, accounts, keep)
		}
	}
	if err != nil {
		return nil, err
	}
	// The sample came in the order of the rows; clients do not.
	rand.Shuffle(len(g.tokens), func(i, j int) { g.tokens[i], g.tokens[j] = g.tokens[j], g.tokens[i] }) //nolint:gosec // no secret
	fmt.Fprintf(os.Stderr, "   %s with %d accounts, filled in %.0f s\n", dialect, accounts, time.Since(began).Seconds())
	if g.process, err = r.startGatehouse(ctx, dbURL, cheap); err != nil {
		return nil, err
	}
	if g.db, err = db.Open(ctx, db.Config{URL: dbURL}); err == nil {
		err = g.warm(ctx)
	}
	if err != nil {
		g.stop()
	}
	return g, err
}

// warm reads once what will be read: else the largest database would be measured
// on a cold disk, and the smallest in memory.
func (g *grown) warm(ctx context.Context) error {
	for _, t := range g.tokens {
		id, err := sessionOf(t)
		if err != nil {
			return err
		}
		if err := g.db.Read(ctx, func(tx *db.Tx) error {
			var owner string
			if err := tx.QueryRow(`SELECT account_id FROM session WHERE id = $1`, id).Scan(&owner); err != nil {
				return err
			}
			_, err := account.ByID(tx, owner)
			return err
		}); err != nil {
			return err
		}
	}
	for n := range lookUpSample {
		if err := g.lookUp(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// sessionOf returns the id of a refresh token's session: see internal/feature/session/token.go.
func sessionOf(token string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, session.TokenPrefix))
	if err != nil || len(b) < 20 {
		return "", errors.New("the generator made an invalid refresh token")
	}
	id, err := uuid.FromBytes(b[4:20])
	return id.String(), err
}

// lookUp looks the nth address of the sample up.
func (g *grown) lookUp(ctx context.Context, n int) error {
	a, err := account.ParseAddress("email", address(n*(g.accounts/lookUpSample)))
	if err != nil {
		return err
	}
	return g.db.Read(ctx, func(tx *db.Tx) error { _, err := account.ByAddress(tx, a); return err })
}

// lookUps returns how many addresses a second can be looked up, one at a time.
func (g *grown) lookUps(ctx context.Context, d time.Duration) (float64, error) {
	n, began := 0, time.Now()
	for ; time.Since(began) < d; n++ {
		if err := g.lookUp(ctx, rand.IntN(lookUpSample)); err != nil { //nolint:gosec // no secret
			return 0, err
		}
	}
	return float64(n) / time.Since(began).Seconds(), nil
}
