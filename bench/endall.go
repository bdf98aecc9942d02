package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse/internal/bench"
)

// endedAccounts is how many accounts have their sessions ended, three each: a million with GATEHOUSE_SOAK=1.
func endedAccounts() int {
	if os.Getenv("GATEHOUSE_SOAK") == "1" {
		return 1_000_000
	}
	return people
}

// cutOff is longer than a cut-off lies ahead of the order.
const cutOff = 4 * time.Second

// endAll ends everybody's sessions on a database that two servers share: how soon it is in force on both, and what refreshes of those who
// have signed in anew take while the rest is tidied up.
func (r *run) endAll(ctx context.Context) ([]Measure, error) {
	accounts := endedAccounts()
	_, dbURL, err := r.database(ctx, "")
	if err != nil {
		return nil, err
	}
	began := time.Now()
	tokens, err := fill(ctx, dbURL, master, accounts, spare)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(os.Stderr, "   %d accounts, filled in %.0f s\n", accounts, time.Since(began).Seconds())
	var servers []*served
	defer func() {
		for _, s := range servers {
			s.stop()
		}
	}()
	for range 2 {
		p, err := r.startGatehouse(ctx, dbURL, cheap)
		if err != nil {
			return nil, err
		}
		servers = append(servers, &served{process: p, database: "PostgreSQL", tokens: tokens[len(servers)*spare/2:]})
	}
	var idle []float64
	for range max(r.rounds/2, 1) {
		s, err := r.lightly(ctx, servers[0], []bench.Scenario{bench.Refresh})
		if err != nil {
			return nil, err
		}
		idle = append(idle, s[0].Latency.P99)
	}
	return r.endEverything(ctx, dbURL, servers, accounts, idle)
}

// endEverything orders it, as an operator does, and measures meanwhile.
func (r *run) endEverything(ctx context.Context, dbURL string, servers []*served, accounts int, idle []float64) ([]Measure, error) {
	env := []string{"DATABASE_URL=" + dbURL, "JWT_SECRET_KEY=" + master, "EVENT_KEY=" + eventKey}
	if _, err := r.command(ctx, env, "incident", "open", "A measure"); err != nil {
		return nil, err
	}
	access, err := accessOf(ctx, servers[0].url, servers[0].take(1)[0])
	if err != nil {
		return nil, err
	}
	ended, ordered := make(chan error, 1), time.Now()
	var took time.Duration
	go func() {
		_, err := r.command(ctx, env, "incident", "contain", "INC-1", "end-sessions", "--all", "--yes", "--reason", "A measure")
		took = time.Since(ordered)
		ended <- err
	}()
	last, err := lastTaken(ctx, servers, access)
	if err != nil {
		return nil, err
	}
	time.Sleep(cutOff) // until then who signs in may have done so before it, and is ended too
	var under []float64
	for done := false; !done; {
		report, err := bench.Run(ctx, bench.Plan{Target: servers[0].url, Accounts: lightClients, Warmup: time.Second, Duration: 3 * r.turn,
			Loads: []bench.Load{{Scenario: bench.Refresh, Clients: lightClients, Rate: lightRate}}})
		if err != nil {
			return nil, err
		}
		if s := report.Streams[0]; s.Lost() > 0 {
			return nil, fmt.Errorf("%d refreshes were lost: %v", s.Lost(), s.Outcomes)
		}
		select {
		case err := <-ended:
			if err != nil {
				return nil, err
			}
			done = true
		default:
		}
		if !done || len(under) == 0 { // the last one saw an idle server too
			under = append(under, report.Streams[0].Latency.P99)
		}
	}
	left, at, err := unended(ctx, dbURL)
	if err != nil {
		return nil, err
	}
	if left > 0 {
		return nil, fmt.Errorf("%d sessions of before live still", left)
	}
	note := fmt.Sprintf("all ended %.0f s after the order; load %s", took.Seconds(), loadAverage())
	m := floodMeasure("end-all", fmt.Sprintf("p99 of refresh at %d/s on PostgreSQL while %d sessions are ended : idle", lightRate, accounts*sessionsEach), note,
		[]float64{median(idle)}, []float64{median(under)})
	force := max(0, last.Sub(at).Seconds())
	return []Measure{m, {
		Name: "end-all", What: "end everything: the last old token that one of two servers took : a second after the order", Unit: "s", Ours: force, Theirs: 1,
		Ratio: force, AtMost: 1, Note: note,
	}}, nil
}

// lastTaken asks both servers with an access token of before, until both refuse it, and returns when the last request was sent that one took.
func lastTaken(ctx context.Context, servers []*served, access string) (last time.Time, err error) {
	for refused := 0; refused < len(servers); {
		refused = 0
		for _, s := range servers {
			sent := time.Now()
			status, _, err := ask(ctx, http.MethodGet, s.url, "/v1/me", access, nil)
			switch {
			case err != nil:
				return last, err
			case status == http.StatusOK:
				last = sent
			case status == http.StatusUnauthorized:
				refused++
			default:
				return last, fmt.Errorf("GET /v1/me: %d", status)
			}
		}
		if time.Sleep(5 * time.Millisecond); !last.IsZero() && time.Since(last) > 5*time.Minute {
			return last, errors.New("nothing was ended")
		}
	}
	return last, nil
}

// accessOf is an access token for a refresh token.
func accessOf(ctx context.Context, to *url.URL, token string) (string, error) {
	body, err := json.Marshal(map[string]string{"refresh_token": token})
	if err != nil {
		return "", err
	}
	status, text, err := ask(ctx, http.MethodPost, to, "/v1/token/refresh", "", body)
	if err != nil || status != http.StatusOK {
		return "", fmt.Errorf("POST /v1/token/refresh: %d %w", status, err)
	}
	var out struct {
		AccessToken string `json:"access_token"`
	}
	err = json.Unmarshal(text, &out)
	return out.AccessToken, err
}

func ask(ctx context.Context, method string, to *url.URL, path, bearer string, body []byte) (status int, text []byte, err error) {
	q, err := http.NewRequestWithContext(ctx, method, to.String()+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if bearer != "" {
		q.Header.Set("Authorization", "Bearer "+bearer)
	}
	if body != nil {
		q.Header.Set("Content-Type", "application/json")
	}
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		return 0, nil, err
	}
	defer a.Body.Close()
	text, err = io.ReadAll(io.LimitReader(a.Body, 1<<16))
	return a.StatusCode, text, err
}

// unended is how many sessions of before the order live, and when it was given.
func unended(ctx context.Context, dbURL string) (left int64, at time.Time, err error) {
	c, err := pgx.Connect(ctx, dbURL)
	if err != nil {
		return 0, at, err
	}
	defer c.Close(ctx)
	var began int64
	if err := c.QueryRow(ctx, `SELECT began_at FROM incident_action`).Scan(&began); err != nil {
		return 0, at, err
	}
	err = c.QueryRow(ctx, `SELECT COUNT(*) FROM session WHERE ended_at IS NULL AND auth_at <= $1`, began).Scan(&left)
	return left, time.UnixMicro(began), err
}

// loadAverage is how busy the machine was in the last minute.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}
