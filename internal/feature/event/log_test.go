package event_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

var (
	ctx   = context.Background()
	start = time.Date(2026, 11, 24, 12, 0, 0, 123456000, time.UTC)
)

// testLog is a log on a database, with what it prints and counts.
type testLog struct {
	*event.Log
	db      *db.DB
	mu      sync.Mutex
	out     bytes.Buffer
	counted []string
	ticks   int
}

func newTestLog(d *db.DB, random secret.Random) *testLog {
	k := &testLog{db: d}
	k.Log = event.NewLog(slog.New(slog.NewJSONHandler(k, nil)), random, k.now, func(kind event.Kind, o event.Outcome) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.counted = append(k.counted, fmt.Sprint(kind, " ", o))
	})
	return k
}

// now goes on by a second each time it is asked.
func (k *testLog) now() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ticks++
	return start.Add(time.Duration(k.ticks-1) * time.Second)
}

func (k *testLog) Write(b []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.out.Write(b)
}

func (k *testLog) append(t testing.TB, events ...event.Event) {
	t.Helper()
	err := k.db.Write(ctx, func(tx *db.Tx) error {
		for _, e := range events {
			k.Append(tx, e)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// lines returns what was printed, each line parsed, without the logger's own
// time.
func (k *testLog) lines(t testing.TB) (lines []map[string]any) {
	t.Helper()
	for line := range strings.Lines(k.out.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("the line %q is no JSON: %v", line, err)
		}
		delete(m, "time")
		lines = append(lines, m)
	}
	return lines
}

// stored is an event as it stands in the two tables.
type stored struct {
	id, kind, outcome string
	time              int64
	hash, salt        []byte
	person, data      string
}

func (k *testLog) stored(t testing.TB) (all []stored) {
	t.Helper()
	err := k.db.Read(ctx, func(tx *db.Tx) error {
		rows, err := tx.Query(`SELECT e.id, e.time, e.kind, e.outcome, e.hash, p.person, p.salt, p.data
			FROM event AS e JOIN event_personal AS p ON p.event_id = e.id ORDER BY e.id`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var s stored
			if err := rows.Scan(&s.id, &s.time, &s.kind, &s.outcome, &s.hash, &s.person, &s.salt, &s.data); err != nil {
				return err
			}
			all = append(all, s)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// verifies computes the hash anew from what is stored, as an auditor would who
// has only mechanisms.md: HMAC-SHA-256(salt, data), then the leaf of RFC 6962.
func (s stored) verifies() bool {
	h := hmac.New(sha256.New, s.salt)
	h.Write([]byte(s.data))
	record := fmt.Sprintf(`{"id":"%s","time":%d,"kind":"%s","outcome":"%s","commitment":"%s"}`,
		s.id, s.time, s.kind, s.outcome, base64.StdEncoding.EncodeToString(h.Sum(nil)))
	leaf := sha256.Sum256([]byte("\x00" + record))
	return bytes.Equal(leaf[:], s.hash)
}

// kinds returns every kind that kind.go names.
func kinds(t testing.TB) (all []event.Kind) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "kind.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && fmt.Sprint(v.Type) == "Kind" {
			name, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, event.Kind(name))
		}
		return true
	})
	return all
}

func full(kind event.Kind) event.Event {
	return event.Event{
		Kind: kind, Outcome: event.Success, Account: "account-1", Session: "session-1",
		Origin: event.Origin{RequestID: "request-1", Address: netip.MustParseAddr("2001:db8::7"), UserAgent: `Mozilla/5.0 <b>"x"&</b> ü`},
		Detail: event.Detail{Reason: "password", By: "operator", Address: "h", Roles: []string{"admin"}, Fields: []string{"name"}, Count: 3, Generation: 7},
	}
}

func TestLOG1_TheNineKindsHaveTheGuidesNames(t *testing.T) {
	guide := []event.Kind{
		"failed_login_attempt", "successful_login", "password_change", "email_verification", "password_reset_request",
		"account_lockout", "suspicious_activity", "token_refresh", "logout",
	}
	all := kinds(t)
	if diff := cmp.Diff(guide, all[:min(9, len(all))]); diff != "" {
		t.Error(diff)
	}
	seen := map[event.Kind]bool{}
	for _, k := range all {
		if seen[k] || strings.Trim(string(k), "abcdefghijklmnopqrstuvwxyz_") != "" {
			t.Errorf("%q is named twice, or not in snake_case", k)
		}
		seen[k] = true
	}
}

// ASVS 16.2.1, 16.2.4: when, where, who, what, in one line each.
func TestLOG1_EachEventIsOneLineAndTwoRows(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := newTestLog(d, secret.Random{})
		var want []map[string]any
		for i, kind := range kinds(t) {
			k.append(t, full(kind))
			all := k.stored(t)
			if len(all) != i+1 {
				t.Fatalf("%d events are %d rows", i+1, len(all))
			}
			s := all[i]
			if s.kind != string(kind) || s.outcome != "success" || s.person != "account-1" || s.time != db.Micros(start.Add(time.Duration(i)*time.Second)) ||
				len(s.salt) != 16 {
				t.Errorf("%s is stored as %+v", kind, s)
			}
			want = append(want, map[string]any{
				"level": "INFO", "msg": "security event", "event": string(kind), "outcome": "success", "event_id": s.id, "account": "account-1",
				"session": "session-1", "request_id": "request-1", "address": "2001:db8::7", "user_agent": `Mozilla/5.0 <b>"x"&</b> ü`,
				"detail": map[string]any{
					"reason": "password", "by": "operator", "address_hash": "h", "roles": []any{"admin"}, "fields": []any{"name"}, "count": 3.0, "generation": 7.0,
				},
			})
		}
		k.append(t, event.Event{Kind: event.Logout, Outcome: event.Failure})
		all := k.stored(t)
		want = append(want, map[string]any{"level": "INFO", "msg": "security event", "event": "logout", "outcome": "failure", "event_id": all[len(all)-1].id})
		if last := all[len(all)-1]; last.data != "{}" || last.person != "" || !last.verifies() {
			t.Errorf("an event of nobody is stored as %+v", last)
		}
		if diff := cmp.Diff(want, k.lines(t)); diff != "" {
			t.Error(diff)
		}
		if len(k.counted) != len(want) || k.counted[0] != "failed_login_attempt success" || k.counted[len(want)-1] != "logout failure" {
			t.Errorf("counted %q", k.counted)
		}
	})
}

func TestAnEventAndItsChangeAreOneTransaction(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		refused := errors.New("refused")
		k := newTestLog(d, secret.Random{})
		err := d.Write(ctx, func(tx *db.Tx) error {
			k.Append(tx, full(event.Login))
			return refused
		})
		if !errors.Is(err, refused) || len(k.stored(t)) != 0 || k.out.Len() != 0 || len(k.counted) != 0 {
			t.Errorf("rolled back (%v), but stored %v, printed %q, counted %v", err, k.stored(t), k.out.String(), k.counted)
		}
		func() {
			defer func() { _ = recover() }()
			_ = d.Write(ctx, func(tx *db.Tx) error {
				k.Append(tx, full(event.Login))
				panic("in a flow")
			})
		}()
		// Not to be announced before it is on disk, even while the transaction runs.
		err = d.Write(ctx, func(tx *db.Tx) error {
			k.Append(tx, full(event.Logout))
			if k.out.Len() != 0 || len(k.counted) != 0 {
				t.Errorf("printed before the commit: %q", k.out.String())
			}
			return nil
		})
		if all := k.stored(t); err != nil || len(all) != 1 || all[0].kind != "logout" || len(k.lines(t)) != 1 || len(k.counted) != 1 {
			t.Errorf("error %v, stored %v, printed %q, counted %v", err, all, k.out.String(), k.counted)
		}
	})
}

// The log can't be written to, here because its randomness gives an id that is
// there: then there is no change either.
func TestNoChangeWithoutItsEvent(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		stuck := &testLog{db: d}
		stuck.Log = event.NewLog(slog.New(slog.NewJSONHandler(stuck, nil)), secret.Random{Reader: zeros{}}, func() time.Time { return start }, nil)
		stuck.append(t, full(event.Login))
		change := func(tx *db.Tx) error {
			if _, err := tx.Exec(`INSERT INTO job (name, holder, leased_to, due_at, error) VALUES ('change', '', 0, 0, '')`); err != nil {
				return err
			}
			stuck.Append(tx, full(event.Logout))
			return nil
		}
		if err := d.Write(ctx, change); err == nil {
			t.Error("the change was committed although its event could not be")
		}
		var n int
		if err := d.Read(ctx, func(tx *db.Tx) error { return tx.QueryRow(`SELECT count(*) FROM job`).Scan(&n) }); err != nil || n != 0 {
			t.Errorf("%d changes stayed, error %v", n, err)
		}
		if len(stuck.stored(t)) != 1 || len(stuck.lines(t)) != 1 {
			t.Errorf("stored %v, printed %q", stuck.stored(t), stuck.out.String())
		}
	})
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestATransactionThatIsRunAgainTellsOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := newTestLog(d, secret.Random{})
		tries := 0
		err := d.Write(ctx, func(tx *db.Tx) error {
			k.Append(tx, full(event.Login))
			if tries++; tries < 3 {
				return &pgconn.PgError{Code: "40001"}
			}
			return nil
		})
		if err != nil || tries != 3 || len(k.stored(t)) != 1 || len(k.lines(t)) != 1 || len(k.counted) != 1 {
			t.Errorf("%d tries, error %v: stored %v, printed %q", tries, err, k.stored(t), k.out.String())
		}
	})
}

// ASVS 16.4.1: one line each, whatever the client sends, and nothing that a
// terminal would obey.
func TestNobodyCanForgeALine(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := newTestLog(d, secret.Random{})
		agents := []string{
			"x\n" + `{"level":"INFO","msg":"security event","event":"successful_login"}`, "x\r\ny", `x","event":"successful_login","y":"`,
			"\x1b[2J\x1b[31mred", "x\u2028y\u2029z", "x\u0085y", "\x00", "\xff\xfe", `\`, `\n`, `"`, "\u202eevil", strings.Repeat("A", 256),
		}
		for _, a := range agents {
			e := full(event.FailedLogin)
			e.Origin.UserAgent, e.Origin.RequestID, e.Detail.Reason = a, a, a
			k.append(t, e)
		}
		lines := k.lines(t)
		if len(lines) != len(agents) {
			t.Fatalf("%d events are %d lines", len(agents), len(lines))
		}
		for i, a := range agents {
			shown := strings.ToValidUTF8(a, "\ufffd")
			if a == "\xff\xfe" {
				shown = "\ufffd\ufffd"
			}
			if l := lines[i]; l["user_agent"] != shown || l["request_id"] != shown || l["event"] != "failed_login_attempt" || l["outcome"] != "success" {
				t.Errorf("%q is printed as %v", a, l)
			}
		}
		if strings.ContainsAny(k.out.String(), "\x00\x1b\r") {
			t.Error("the log holds control characters")
		}
		for _, s := range k.stored(t) {
			if !s.verifies() || !json.Valid([]byte(s.data)) || strings.ContainsAny(s.data, "\x00\x1b\r\n") {
				t.Errorf("stored: %q", s.data)
			}
		}
	})
}
