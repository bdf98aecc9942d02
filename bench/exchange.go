package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/rotation"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/bench"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
)

const (
	// codes are made for an application: as many as are exchanged, and more.
	codes = 120_000
	// hotGrants is how many rows pgbench exchanges in a turn, each once.
	hotGrants = 200_000

	benchRedirect = "https://app.example.org/cb"
	benchVerifier = "a-verifier-of-forty-three-characters-or-more"
)

// codesOf is an application of a filled database, and codes for it that nobody has exchanged yet.
type codesOf struct {
	client, secret string
	list           []string
	next           atomic.Int64
}

// giveCodes registers an application whose ID tokens are signed so, and gives codes for it, straight into the table, all to the first account.
func giveCodes(ctx context.Context, dbURL, algorithm string, n int) (*codesOf, error) {
	d, err := db.Open(ctx, db.Config{URL: dbURL})
	if err != nil {
		return nil, err
	}
	defer d.Close()
	now := time.Now()
	ring, err := keyring.Open(ctx, d, secret.Random{}, now, keyring.Config{Secret: master})
	if err != nil {
		return nil, err
	}
	if err := ring.EnsureIDSign(ctx, d, algorithm, now); err != nil {
		return nil, err
	}
	var (
		c       client.Client
		shown   string
		account string
	)
	err = d.Write(ctx, func(tx *db.Tx) (err error) {
		settings := client.Settings{RedirectURIs: []string{benchRedirect}, FirstParty: true, IDTokenAlg: algorithm}
		if c, shown, err = client.Create(tx, secret.Random{}, "bench-"+strings.ToLower(algorithm), client.Web, settings, now); err != nil {
			return err
		}
		return tx.QueryRow(`SELECT id FROM account ORDER BY id LIMIT 1`).Scan(&account)
	})
	if err != nil {
		return nil, err
	}
	store := grant.NewStore(grant.Config{Idle: 7 * 24 * time.Hour, OfflineIdle: 24 * time.Hour, OfflineMax: 24 * time.Hour},
		rotation.Keys{MAC: ring.Key(keyring.RefreshMAC), Derive: ring.Key(keyring.RefreshDerive)}, func() []byte { return ring.Key(keyring.Request) },
		ring.Epoch, secret.Random{})
	out := &codesOf{client: c.ID, secret: shown}
	asked := grant.Asked{Client: c.ID, Redirect: benchRedirect, Scope: "openid profile email", Challenge: grant.Challenge(benchVerifier), Nonce: "a nonce"}
	conn, err := pgx.Connect(ctx, dbURL)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.CopyFrom(ctx, pgx.Identifier{"client_grant"}, grant.Columns, pgx.CopyFromSlice(n, func(int) ([]any, error) {
		code, row := store.Make(asked, grant.Holder{
			Account: account, SID: secret.Random{}.ID(now), Roles: []string{}, AMR: []string{"pwd"}, AuthAt: now, MaxAt: now.Add(24 * time.Hour),
		}, now.Add(time.Hour), now)
		out.list = append(out.list, code)
		return row, nil
	}))
	return out, err
}

// exchange exchanges the next code.
func (c *codesOf) exchange(_ int, send bench.Send) (int, error) {
	status, _, err := c.take(send)
	return status, err
}

func (c *codesOf) take(send bench.Send) (int, []byte, error) {
	i := int(c.next.Add(1)) - 1
	if i >= len(c.list) {
		return 0, nil, errors.New("there are too few codes for so quick a machine")
	}
	return send(http.MethodPost, "/oauth2/token", []byte(url.Values{
		"grant_type": {"authorization_code"}, "code": {c.list[i]}, "redirect_uri": {benchRedirect}, "code_verifier": {benchVerifier},
		"client_id": {c.client}, "client_secret": {c.secret},
	}.Encode()))
}

// exchange measures a code's exchange, its ID token included, against pgbench running the same statements.
func (r *run) exchange(ctx context.Context) ([]Measure, error) {
	theirURL, _, err := r.postgres(ctx)
	if err != nil {
		return nil, err
	}
	pg, err := newExchanges(ctx, theirURL, r.folder)
	if err != nil {
		return nil, err
	}
	connections, err := pg.bestExchange(ctx)
	if err != nil {
		return nil, err
	}
	var out []Measure
	for _, algorithm := range client.IDAlgorithms() {
		ourURL, _, err := r.postgres(ctx)
		if err != nil {
			return nil, err
		}
		codes, err := giveCodes(ctx, ourURL, algorithm, codes)
		if err != nil {
			return nil, err
		}
		p, err := r.startGatehouse(ctx, ourURL, cheap)
		if err != nil {
			return nil, err
		}
		m := Measure{
			Name: "exchange", What: fmt.Sprintf("exchange of a code with an ID token by %s on PostgreSQL, %d clients : pgbench, the same statements pipelined",
				algorithm, clients),
			Unit: "a second", Note: fmt.Sprintf("pgbench's best of 4, 8, 16 and 32 connections: %d", connections),
		}
		if algorithm == keyring.ES256 { // the arithmetic of RS256 is half a millisecond and more of a core
			m.AtLeast = 0.75
		}
		m, err = r.duel(ctx, m, r.perSecond(p, bench.Load{Scenario: bench.Own, Clients: clients, Own: codes.exchange}),
			func(ctx context.Context) (float64, error) { return pg.exchanges(ctx, connections, r.turn) })
		p.stop()
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// newExchanges prepares pgbench for exchanges.
func newExchanges(ctx context.Context, dbURL, folder string) (*pgbench, error) {
	p, err := newPgbench(ctx, dbURL, folder)
	if err == nil {
		err = os.WriteFile(p.exchangeFile(), []byte(exchangeScript()), 0o600)
	}
	return p, err
}

func (p *pgbench) exchangeFile() string { return filepath.Join(p.folder, "exchange.pgbench") }

// exchangeScript is what each connection does, with a row of its own each time.
func exchangeScript() string {
	return `\set n :n + 1
\set id ` + strconv.Itoa(firstHot) + ` + :client_id * :each + :n
\startpipeline
BEGIN;
` + numbered(grant.ExchangeSQL, "id::text", "hash::bytea", "app::text", "redirect::text", "challenge::text", "now::bigint", "hash::bytea", "salt::bytea",
		"idle::bigint", "offline::bigint") + `;
\endpipeline
\startpipeline
COMMIT;
\endpipeline
`
}

// bestExchange is best for exchanges.
func (p *pgbench) bestExchange(ctx context.Context) (connections int, err error) {
	most := 0.0
	for _, c := range []int{4, 8, 16, 32} {
		rate, err := p.exchanges(ctx, c, 2*time.Second)
		if err != nil {
			return 0, err
		}
		fmt.Fprintf(os.Stderr, "   pgbench, exchanges, %d connections: %.0f a second\n", c, rate)
		if rate > most {
			most, connections = rate, c
		}
	}
	return connections, nil
}

// exchanges returns how many a second the connections made, of grants that have not started.
func (p *pgbench) exchanges(ctx context.Context, connections int, d time.Duration) (float64, error) {
	c, err := pgx.Connect(ctx, p.url)
	if err != nil {
		return 0, err
	}
	defer c.Close(context.WithoutCancel(ctx))
	now := time.Now().UnixMicro()
	hour := time.Hour.Microseconds()
	if _, err := c.Exec(ctx, `TRUNCATE client_grant`); err != nil {
		return 0, err
	}
	_, err = c.Exec(ctx, `INSERT INTO client_grant (id, client_id, account_id, sid, offline, scope, resource, roles, amr, auth_at, nonce, code, code_until,
			redirect_uri, challenge, created_at, gen, minted_at, rotated_at, idle_at, max_at)
		SELECT CAST($1::bigint + n AS TEXT), 'bench', (SELECT id FROM account ORDER BY id LIMIT 1), CAST(n AS TEXT), 0, 'openid profile email', '', '[]', '["pwd"]',
			$2::bigint, 'a nonce', $3::bytea, $4::bigint, $5, $6, $2, 0, 0, 0, $4, $4 FROM generate_series(0, $7::int - 1) AS n`,
		int64(firstHot), now, hotHash(), now+hour, benchRedirect, grant.Challenge(benchVerifier), hotGrants)
	if err == nil {
		_, err = c.Exec(ctx, `VACUUM (ANALYZE) client_grant`)
	}
	if err != nil {
		return 0, err
	}
	bytea := func(b []byte) string { return `\x` + hex.EncodeToString(b) }
	args := []string{
		"-n", "-M", "prepared", "-f", p.exchangeFile(), "-c", strconv.Itoa(connections), "-j", strconv.Itoa(min(connections, 2)),
		"-T", strconv.Itoa(max(int(d.Seconds()), 1)),
	}
	for name, value := range map[string]string{
		"n": "-1", "each": strconv.Itoa(hotGrants / connections), "hash": bytea(hotHash()), "salt": bytea(secret.Random{}.Bytes(16)), "app": "bench",
		"redirect": benchRedirect, "challenge": grant.Challenge(benchVerifier), "now": strconv.FormatInt(now, 10),
		"idle": strconv.FormatInt(now+7*24*hour, 10), "offline": strconv.FormatInt(now+24*hour, 10),
	} {
		args = append(args, "-D", name+"="+value)
	}
	return p.start(ctx, args)
}

// userInfo is held against the bare handler, as /v1/me is.
func (r *run) userInfo(ctx context.Context) ([]Measure, error) {
	bare, err := startBare(ctx)
	if err != nil {
		return nil, err
	}
	defer bare.stop()
	dbURL, _, err := r.postgres(ctx)
	if err != nil {
		return nil, err
	}
	codes, err := giveCodes(ctx, dbURL, keyring.ES256, 1)
	if err != nil {
		return nil, err
	}
	p, err := r.startGatehouse(ctx, dbURL, cheap, "ACCESS_TOKEN_EXPIRE_MINUTES=60")
	if err != nil {
		return nil, err
	}
	defer p.stop()
	var got struct {
		Access string `json:"access_token"`
	}
	_, body, err := codes.take(p.sender(ctx))
	if err == nil {
		err = json.Unmarshal(body, &got)
	}
	if err != nil || got.Access == "" {
		return nil, errors.Join(err, errors.New("no access token was had"))
	}
	m, err := r.duel(ctx, Measure{
		Name: "userinfo", What: fmt.Sprintf("GET /oauth2/userinfo on PostgreSQL, %d clients : a bare handler", clients), Unit: "a second", AtLeast: 0.5,
	}, r.perSecond(p, bench.Load{Scenario: bench.Get, Clients: clients, Path: "/oauth2/userinfo", Bearer: got.Access}),
		r.perSecond(bare, bench.Load{Scenario: bench.Get, Clients: clients, Path: "/v1/me", Bearer: longBearer}))
	return []Measure{m}, err
}

// documents are what applications read to find the rest: discovery and the published keys, from memory.
func (r *run) documents(ctx context.Context) ([]Measure, error) {
	bare, err := startBare(ctx)
	if err != nil {
		return nil, err
	}
	defer bare.stop()
	path, _, err := r.sqlite(ctx, 1000, 0)
	if err != nil {
		return nil, err
	}
	p, err := r.startGatehouse(ctx, "sqlite:"+path, cheap)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	var out []Measure
	for _, at := range []string{"/.well-known/openid-configuration", "/.well-known/jwks.json"} {
		_, text, err := p.sender(ctx)(http.MethodGet, at, nil)
		if err != nil {
			return nil, err
		}
		m, err := r.duel(ctx, Measure{
			Name: "documents", What: fmt.Sprintf("GET %s, %d clients : a bare handler that writes as much", at, clients), Unit: "a second", AtLeast: 0.7,
		}, r.perSecond(p, bench.Load{Scenario: bench.Get, Clients: clients, Path: at}),
			r.perSecond(bare, bench.Load{Scenario: bench.Get, Clients: clients, Path: "/bytes/" + strconv.Itoa(len(text))}))
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}
