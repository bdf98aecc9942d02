package main

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
)

// The filled database is one that the server takes for its own: each session
// that was kept rotates.
func TestTheGeneratorsSessionsAreReal(t *testing.T) {
	for name, dbURL := range map[string]string{"sqlite": dbtest.EmptySQLite(t), "postgres": dbtest.EmptyPostgres(t)} {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			kept, err := fill(ctx, dbURL, master, 50, 10)
			if err != nil || len(kept) != 10 {
				t.Fatalf("%d tokens, error %v", len(kept), err)
			}
			d := dbtest.Open(t, dbURL)
			ring, err := keyring.Open(ctx, d, secret.Random{}, time.Now(), keyring.Config{Secret: master})
			if err != nil {
				t.Fatal(err)
			}
			store := session.NewStore(session.Config{Idle: time.Hour, Max: time.Hour},
				session.Keys{MAC: ring.Key(keyring.RefreshMAC), Derive: ring.Key(keyring.RefreshDerive)}, ring.Epoch, secret.Random{})
			for _, token := range kept {
				p, turn := store.Present(token)
				if turn != "" {
					t.Fatalf("the token is %s", turn)
				}
				err := d.Write(ctx, func(tx *db.Tx) (err error) {
					_, turn, err = store.Rotate(tx, p, time.Now())
					return err
				})
				if err != nil || turn != session.Rotated {
					t.Errorf("the turn is %q, error %v", turn, err)
				}
			}
			if rate, err := (&grown{accounts: 50, db: d}).lookUps(ctx, 20*time.Millisecond); err != nil || rate == 0 {
				t.Errorf("%v lookups a second, error %v", rate, err)
			}
		})
	}
}

// What a refresh is held against does the very same work: the statements of the
// server, each rotation found and made.
func TestTheOtherSidesRotateToo(t *testing.T) {
	ctx := context.Background()
	rotations := func(d *db.DB) (sum, events int64) {
		t.Helper()
		if err := d.Read(ctx, func(tx *db.Tx) error {
			if err := tx.QueryRow(`SELECT CAST(SUM(gen - 1) AS BIGINT) FROM session WHERE ended_at IS NULL`).Scan(&sum); err != nil {
				return err
			}
			return tx.QueryRow(`SELECT COUNT(*) FROM event`).Scan(&events)
		}); err != nil {
			t.Fatal(err)
		}
		return sum, events
	}
	t.Run("pgbench", func(t *testing.T) {
		dbURL := dbtest.EmptyPostgres(t)
		if _, err := fill(ctx, dbURL, master, 5, 0); err != nil {
			t.Fatal(err)
		}
		p, err := newPgbench(ctx, dbURL, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		for _, how := range []string{oneByOne, pipelined} {
			if rate, err := p.run(ctx, 4, how, time.Second); err != nil || rate == 0 {
				t.Fatalf("%s: %v a second, error %v", how, rate, err)
			}
		}
		if n, events := rotations(dbtest.Open(t, dbURL)); n == 0 || n != events {
			t.Errorf("%d rotations with %d events", n, events)
		}
	})
	t.Run("the bare writer", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "x.db")
		if _, err := fill(ctx, "sqlite:"+path, master, 5, 0); err != nil {
			t.Fatal(err)
		}
		w, err := newBareWriter(ctx, path, true)
		if err != nil {
			t.Fatal(err)
		}
		if rate, err := w.run(ctx, 50*time.Millisecond); err != nil || rate == 0 {
			t.Fatalf("%v a second, error %v", rate, err)
		}
		if err := w.db.Close(); err != nil {
			t.Fatal(err)
		}
		if n, events := rotations(dbtest.Open(t, "sqlite:"+path)); n == 0 || n != events {
			t.Errorf("%d rotations with %d events", n, events)
		}
	})
}

func TestPgbenchRunsTheServersStatements(t *testing.T) {
	s := script(oneByOne)
	for _, statement := range []string{session.RotateSQL, event.AppendSQL, event.AppendPersonalSQL} {
		head, _, _ := strings.Cut(statement, "$")
		if !strings.Contains(s, strings.Join(strings.Fields(head), " ")) {
			t.Errorf("the script lacks %s…", head)
		}
	}
	if strings.Contains(s, "$") {
		t.Errorf("a parameter has no name:\n%s", s)
	}
}

func TestTheTableIsPutBetweenTheMarkers(t *testing.T) {
	r := &Results{Measures: []Measure{
		{What: "a : b", Ours: 2, Theirs: 4, Ratio: 0.5, AtLeast: 0.4, Command: "make bench BENCH=a"},
		{What: "c : d", Ours: 9, Theirs: 3, Ratio: 3.5, AtMost: 3},
	}}
	page := "above\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nbelow\n"
	got, err := r.insert(page)
	if err != nil || !strings.HasPrefix(got, "above\n") || !strings.HasSuffix(got, "\nbelow\n") || strings.Contains(got, "old") {
		t.Fatalf("%q, error %v", got, err)
	}
	again, err := r.insert(got)
	if err != nil || again != got {
		t.Errorf("a second run changes more than the figures: %v", err)
	}
	if !strings.Contains(got, "| **0.50** | ≥ 0.4 | yes |") || !strings.Contains(got, "| **3.50** | ≤ 3 | **no** |") {
		t.Errorf("the table is\n%s", got)
	}
	if _, err := r.insert("nothing"); err == nil {
		t.Error("a page without markers was written")
	}
}

func TestMedian(t *testing.T) {
	if got := median([]float64{9, 1, 5}); got != 5 {
		t.Errorf("median %v, want 5", got)
	}
	if got := median([]float64{1, 9, 2, 4}); got != 3 {
		t.Errorf("median %v, want 3", got)
	}
}

// The passkeys that accounts are given are ones that the server takes for its own, and so are their answers.
func TestTheGivenPasskeysAreReal(t *testing.T) {
	ctx := context.Background()
	dbURL := dbtest.EmptySQLite(t)
	if _, err := fill(ctx, dbURL, master, 3, 0); err != nil {
		t.Fatal(err)
	}
	list, err := givePasskeys(ctx, dbURL, master, 2)
	if err != nil || len(list) != 2 {
		t.Fatalf("%d passkeys, error %v", len(list), err)
	}
	d := dbtest.Open(t, dbURL)
	ring, err := keyring.Open(ctx, d, secret.Random{}, time.Now(), keyring.Config{Secret: master})
	if err != nil {
		t.Fatal(err)
	}
	keys := func(p keyring.Purpose) func() [][]byte { return func() [][]byte { return [][]byte{ring.Key(p)} } }
	const origin = "http://localhost:8080"
	passkeys, err := factor.NewPasskeys(factor.NewStore(keys(keyring.Factor), secret.Random{}),
		factor.NewChallenges(keys(keyring.Challenge), ring.Epoch, secret.Random{}),
		factor.RelyingParty{ID: rpID, Name: "bench", Origins: []string{origin}})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		body, err := a.answer(origin, passkeys.Alone(time.Now()).Challenge)
		if err != nil {
			t.Fatal(err)
		}
		var sent struct {
			Credential json.RawMessage `json:"credential"`
		}
		if err := json.Unmarshal(body, &sent); err != nil {
			t.Fatal(err)
		}
		answer, err := factor.ParseAssertion(sent.Credential)
		if err != nil {
			t.Fatal(err)
		}
		err = d.Read(ctx, func(tx *db.Tx) error {
			k, found, err := factor.PasskeyByCredential(tx, answer.Credential())
			if err == nil && (!found || !passkeys.Genuine(k, a.handle)) {
				t.Errorf("the row is not the server's own: found %v", found)
			}
			if err == nil {
				_, err = passkeys.Judge(answer, k, a.handle, true)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}
