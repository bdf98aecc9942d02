package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/bench"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
)

const (
	// refreshRate is how many refreshes a second go on meanwhile, by as many clients as can't hold each other up.
	refreshRate    = 100
	refreshClients = 16
	// revoked is how many sessions are ended to see how long that takes to be known elsewhere.
	revoked = 40
	// erased is how many accounts are due at once.
	erased = 2000
)

func newLog(now func() time.Time) *event.Log {
	return event.NewLog(slog.New(slog.DiscardHandler), secret.Random{}, now, nil)
}

// addOver puts sessions into the tables that were over half a year ago.
func (s *stock) addOver(ctx context.Context, n int64) error {
	d, err := db.Open(ctx, db.Config{URL: s.url})
	if err != nil {
		return err
	}
	defer d.Close()
	ring, err := keyring.Open(ctx, d, secret.Random{}, time.Now(), keyring.Config{Secret: master})
	if err != nil {
		return err
	}
	g := &generator{
		store: session.NewStore(session.Config{Idle: 7 * 24 * time.Hour, Max: 30 * 24 * time.Hour},
			session.Keys{MAC: ring.Key(keyring.RefreshMAC), Derive: ring.Key(keyring.RefreshDerive)}, ring.Epoch, secret.Random{}),
		accounts: int(n), began: time.Now().Add(-200 * 24 * time.Hour), every: int(n) + 1,
	}
	var owner string
	if err := d.Read(ctx, func(tx *db.Tx) error { return tx.QueryRow(`SELECT id FROM account ORDER BY id LIMIT 1`).Scan(&owner) }); err != nil {
		return err
	}
	for made := int64(0); made < n; made += batch {
		if err := d.Write(ctx, func(tx *db.Tx) error {
			for i := made; i < min(made+batch, n); i++ {
				tx.Defer(sessionSQL, g.session(owner, int(i))...)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// refreshing refreshes for a turn, and returns the p99 in milliseconds.
func (s *stock) refreshing(ctx context.Context, p *process, turn time.Duration) (float64, error) {
	report, err := bench.Run(ctx, bench.Plan{
		Target: p.url, Accounts: 1, Warmup: time.Second, Duration: turn,
		Loads: []bench.Load{{Scenario: bench.Refresh, Clients: refreshClients, Rate: refreshRate, Sessions: s.take(refreshClients)}},
	})
	if err != nil {
		return 0, err
	}
	if st := report.Streams[0]; st.Lost() > 0 {
		return 0, fmt.Errorf("%d of %d refreshes were lost: %v", st.Lost(), st.Calls, st.Outcomes)
	}
	return report.Streams[0].Latency.P99, nil
}

func (s *stock) take(n int) []string {
	out := s.tokens[:n]
	s.tokens = s.tokens[n:]
	return out
}

// meanwhile measures what those who use the server see of a backup, of retention and of erasures.
func (s *stock) meanwhile(ctx context.Context) ([]Measure, error) {
	if err := os.RemoveAll(s.backups()); err != nil {
		return nil, err
	}
	if _, err := s.command(ctx, s.environment(), "retention", "pause", "--until", "1d", "--reason", "nothing goes before it is measured"); err != nil {
		return nil, err
	}
	p, err := s.startGatehouse(ctx, s.url, s.environment(cheap)...)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	var out []Measure
	for _, w := range []struct {
		what string
		do   func(ctx context.Context) (stop func() error, err error)
	}{
		{"backups are made", s.backingUp}, {"retention deletes", s.retaining}, {"accounts are erased", s.erasing},
	} {
		m, err := s.held(ctx, p, w.what, w.do)
		if err != nil {
			return nil, fmt.Errorf("while %s: %w", w.what, err)
		}
		out = append(out, m)
	}
	if s.name != "PostgreSQL" {
		return out, nil
	}
	m, err := s.revoking(ctx, p)
	return append(out, m), err
}

// held compares refreshes while something is done with as many before it.
func (s *stock) held(ctx context.Context, p *process, what string, do func(context.Context) (func() error, error)) (Measure, error) {
	m := Measure{Name: "p99-meanwhile", Unit: "ms p99", AtMost: 1.5}
	m.What = fmt.Sprintf("p99 of refresh at %d/s on %s while %s : before", refreshRate, s.name, what)
	turn := 5 * s.turn
	var err error
	if m.Theirs, err = s.refreshing(ctx, p, turn); err != nil {
		return m, err
	}
	stop, err := do(ctx)
	if err != nil {
		return m, err
	}
	m.Ours, err = s.refreshing(ctx, p, turn)
	m.Note = "load " + machineLoad()
	if err := errors.Join(err, stop()); err != nil {
		return m, err
	}
	m.Ratio = m.Ours / m.Theirs
	return m, nil
}

// backingUp makes one backup after the other, as the server does by its timetable, until it is stopped.
func (s *stock) backingUp(ctx context.Context) (func() error, error) {
	enough, cancel := context.WithCancel(ctx)
	var failed error
	var all sync.WaitGroup
	all.Go(func() {
		for enough.Err() == nil && failed == nil {
			_, failed = s.command(ctx, s.environment(), "backup", "create")
		}
	})
	return func() error {
		cancel()
		all.Wait()
		return failed
	}, nil
}

// retaining lets the server delete what is due, which it has not before, and waits until it begins.
func (s *stock) retaining(ctx context.Context) (func() error, error) {
	d, err := db.Open(ctx, db.Config{URL: s.url})
	if err != nil {
		return nil, err
	}
	if _, err := s.command(ctx, s.environment(), "retention", "resume"); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	var deleting int64
	look := func() error {
		return d.Read(ctx, func(tx *db.Tx) error {
			return tx.QueryRow(`SELECT began_at FROM retention WHERE one = 1`).Scan(&deleting)
		})
	}
	for end := time.Now().Add(3 * time.Minute); deleting == 0; {
		if err := errors.Join(look(), ctx.Err()); err != nil {
			return nil, errors.Join(err, d.Close())
		}
		if time.Now().After(end) {
			return nil, errors.Join(errors.New("retention has not begun for three minutes"), d.Close())
		}
		time.Sleep(100 * time.Millisecond)
	}
	return func() error {
		err := look()
		if err == nil && deleting == 0 {
			fmt.Fprintln(os.Stderr, "   retention was done before the turn was over")
		}
		return errors.Join(err, d.Close())
	}, nil
}

// erasing has more accounts erased than the server can in a turn, and waits until it begins. What is left goes on to be erased.
func (s *stock) erasing(ctx context.Context) (func() error, error) {
	d, err := db.Open(ctx, db.Config{URL: s.url})
	if err != nil {
		return nil, err
	}
	now := db.Micros(time.Now())
	if err := d.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE account SET erase_at = $1, erase_why = $2 WHERE id IN (SELECT id FROM account ORDER BY id DESC LIMIT $3)`, now,
			string(account.EraseByOperator), erased)
		return err
	}); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	left := func() (n int64, err error) {
		err = d.Read(ctx, func(tx *db.Tx) error {
			return tx.QueryRow(`SELECT COUNT(*) FROM account WHERE erase_at = $1 AND erase_why = $2`, now, string(account.EraseByOperator)).Scan(&n)
		})
		return n, err
	}
	for end := time.Now().Add(3 * time.Minute); ; {
		n, err := left()
		if err = errors.Join(err, ctx.Err()); err != nil || time.Now().After(end) {
			return nil, errors.Join(err, errors.New("no account was erased for three minutes"), d.Close())
		}
		if n < erased {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	return d.Close, nil
}

// revoking measures how long after a session was ended at one replica another refuses its token, with backups being made and without.
func (s *stock) revoking(ctx context.Context, p *process) (Measure, error) {
	other, err := s.startGatehouse(ctx, s.url, s.environment(cheap)...)
	if err != nil {
		return Measure{}, err
	}
	defer other.stop()
	m := Measure{Name: "revocation-meanwhile", What: "a session's end known to another replica while backups are made : before, median", Unit: "ms", AtMost: 1.2}
	var slowest [2]float64
	if m.Theirs, slowest[0], err = s.known(ctx, p, other); err != nil {
		return m, err
	}
	stop, err := s.backingUp(ctx)
	if err != nil {
		return m, err
	}
	m.Ours, slowest[1], err = s.known(ctx, p, other)
	m.Note = fmt.Sprintf("slowest of %d: %.0f and %.0f; load %s", revoked, slowest[1], slowest[0], machineLoad())
	m.Ratio = m.Ours / m.Theirs
	return m, errors.Join(err, stop())
}

// known ends sessions at one server, and returns the median and the longest time in milliseconds until another refuses their tokens.
func (s *stock) known(ctx context.Context, here, there *process) (middle, longest float64, err error) {
	var all []float64
	for _, token := range s.take(revoked) {
		var answer struct {
			Access string `json:"access_token"`
		}
		if err := call(ctx, here, http.MethodPost, "/v1/token/refresh", "", map[string]string{"refresh_token": token}, http.StatusOK, &answer); err != nil {
			return 0, 0, err
		}
		if err := call(ctx, there, http.MethodGet, "/v1/me", answer.Access, nil, http.StatusOK, nil); err != nil {
			return 0, 0, err
		}
		if err := call(ctx, here, http.MethodPost, "/v1/logout", answer.Access, nil, http.StatusNoContent, nil); err != nil {
			return 0, 0, err
		}
		began := time.Now()
		for call(ctx, there, http.MethodGet, "/v1/me", answer.Access, nil, http.StatusUnauthorized, nil) != nil {
			if time.Since(began) > 10*time.Second || ctx.Err() != nil {
				return 0, 0, errors.New("the other replica took the token for ten seconds more")
			}
			time.Sleep(2 * time.Millisecond)
		}
		all = append(all, float64(time.Since(began).Microseconds())/1000)
	}
	return median(all), slices.Max(all), nil
}

// call makes one call and expects a status.
func call(ctx context.Context, p *process, method, path, bearer string, body any, status int, into any) error {
	var text io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		text = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, p.url.String()+path, text)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != status {
		return errors.Join(err, fmt.Errorf("%s %s: %d %s", method, path, res.StatusCode, strings.TrimSpace(string(answer))))
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}
