package harness

import (
	"context"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// Count returns what a query counts, whatever the role may read.
func (h *Server) Count(query string) (n int) {
	h.Helper()
	if err := h.owned().Read(h.Context(), func(tx *db.Tx) error { return tx.QueryRow(query).Scan(&n) }); err != nil {
		h.Fatal(err)
	}
	return n
}

// Server is a running server with a client that holds every answer against
// openapi.yaml.
type Server struct {
	*testing.T
	App   *app.Server
	DBURL string
	Logs  *LogBuffer
	Stop  func() error
	Front *Front // what requests go through, if anything

	recovers time.Time // until when an outage may be over for one flow and not yet for another

	opened struct {
		sync.Mutex
		t   *testing.T
		url string
		db  *db.DB
	}
}

// owned is the server's database, opened as its owner: PostgreSQL's once a test, since a test that waits for something asks
// again and again, and a new connection with TLS costs a busy machine more than the answer.
func (h *Server) owned() *db.DB {
	h.Helper()
	if strings.HasPrefix(h.DBURL, "sqlite:") {
		return dbtest.Open(h.T, h.DBURL)
	}
	o := &h.opened
	o.Lock()
	defer o.Unlock()
	if o.db == nil || o.t != h.T || o.url != h.DBURL {
		o.t, o.url, o.db = h.T, h.DBURL, dbtest.Open(h.T, dbtest.Superusers(h.T, h.DBURL))
	}
	return o.db
}

// URL is where requests go.
func (h *Server) URL() string {
	if h.Front != nil {
		return h.Front.URL
	}
	return h.App.URL()
}

// Each runs a test against a server on SQLite, one on PostgreSQL, and one on
// PostgreSQL 18 with no more than the serving role's rights, over TLS (DB-1,
// DB-2). The settings are NAME=value.
func Each(t *testing.T, test func(h *Server), settings ...string) {
	t.Helper()
	dbtest.EachProduction(t, func(t *testing.T, dbURL string) { test(Open(t, dbURL, settings...)) })
}

// SecretKey is the JWT_SECRET_KEY of the tests' servers.
const SecretKey = "q7Vx2mZp9LtRw4KcYb8NsHf3GdJ6TaEu"

// EventKey is their EVENT_KEY.
const EventKey = "Hs4kPz8vWd2Qx7LmTn5RbYc9JgFa3EuK"

// Open starts a server as `gatehouse serve` does. It is quick at hashing unless
// the settings say otherwise.
func Open(t *testing.T, dbURL string, settings ...string) *Server {
	t.Helper()
	return OpenAt(t, dbURL, nil, settings...)
}

// OpenAt is open with a clock of the test's; nil is the real one.
func OpenAt(t *testing.T, dbURL string, now func() time.Time, settings ...string) *Server {
	t.Helper()
	environ := append([]string{
		"DATABASE_URL=" + dbURL, "LISTEN_ADDR=127.0.0.1:0", "ADMIN_LISTEN_ADDR=127.0.0.1:0",
		"JWT_SECRET_KEY=" + SecretKey, "EVENT_KEY=" + EventKey, "BCRYPT_COST=4", "LOG_LEVEL=DEBUG",
		"API_RATE_LIMIT_REQUESTS=1000000", "LOGIN_RATE_LIMIT_ATTEMPTS=1000000", "REGISTRATION_RATE_LIMIT_ATTEMPTS=1000000",
		"PASSWORD_RESET_RATE_LIMIT_ATTEMPTS=100000",
	}, settings...)
	last := map[string]string{}
	for _, e := range environ {
		name, _, _ := strings.Cut(e, "=")
		last[name] = e
	}
	c, err := config.Load(config.Source{
		Environ:  slices.Collect(maps.Values(last)),
		ReadFile: func(string) ([]byte, error) { return nil, fs.ErrNotExist },
	})
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(dbURL, "postgres") {
		machine() // is measured from now on
	}
	h := &Server{T: t, DBURL: dbURL, Logs: &LogBuffer{}}
	for first := time.Now(); ; {
		h.App, err = app.Start(context.Background(), c, app.Options{
			Log: slog.New(slog.NewJSONHandler(h.Logs, &slog.HandlerOptions{Level: c.LogLevel})), Version: "test", Now: now, LookWithin: 2 * time.Second,
		})
		// A busy machine may be too slow to let it connect in time, which says nothing of it.
		if err == nil || fault.KindOf(err) != fault.Unavailable || time.Since(first) > Patience {
			break
		}
	}
	if err != nil {
		t.Fatalf("starting: %v", err)
	}
	h.Stop = sync.OnceValue(h.App.Stop)
	t.Cleanup(func() {
		if err := h.Stop(); err != nil {
			t.Errorf("stopping: %v", err)
		}
	})
	return h
}

// Database opens the server's database while it runs.
func (h *Server) Database() *db.DB {
	h.Helper()
	return dbtest.Open(h.T, h.DBURL)
}

// Operator opens the server's database while it runs, as the command line does.
func (h *Server) Operator() *operate.Operator {
	h.Helper()
	c, err := config.Load(config.Source{
		Environ:  []string{"DATABASE_URL=" + dbtest.Patient(h.DBURL), "BCRYPT_COST=4", "JWT_SECRET_KEY=" + SecretKey, "EVENT_KEY=" + EventKey},
		ReadFile: func(string) ([]byte, error) { return nil, fs.ErrNotExist },
	})
	if err != nil {
		h.Fatal(err)
	}
	o, done, err := app.Operator(h.Context(), c, slog.New(slog.DiscardHandler), slog.New(slog.DiscardHandler))
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() {
		if err := done(); err != nil {
			h.Error(err)
		}
	})
	return o
}

// OriginOfTests is where an operator's actions come from.
var OriginOfTests = event.Origin{RequestID: "test", UserAgent: "test"}

// Ready waits until the server says that it is, as it does at most a second after
// its clock was set.
func (h *Server) Ready() {
	h.Helper()
	h.Eventually("readyz", func() (string, bool) {
		status, text := h.Admin("/readyz")
		return text, status == 200
	})
}

// Settled waits until each background job has run, and takes their leases for half
// a minute, so that whatever goes to the database next is the test's doing.
func (h *Server) Settled() {
	h.Helper()
	d := h.Database()
	h.Eventually("the jobs", func() (string, bool) {
		var left int64
		err := d.Write(h.Context(), func(tx *db.Tx) error {
			if _, err := tx.Exec(`UPDATE job SET holder = 'a test', leased_to = $1 WHERE finished_at IS NOT NULL AND leased_to = 0`,
				db.Micros(time.Now().Add(35*time.Second))); err != nil {
				return err
			}
			return tx.QueryRow(`SELECT COUNT(*) FROM job WHERE holder <> 'a test'`).Scan(&left)
		})
		return fmt.Sprint(left, " still to run, ", err), err == nil && left == 0
	})
}

// Eventually tries until it holds, for [Patience] at most.
func (h *Server) Eventually(what string, holds func() (said string, ok bool)) {
	h.Helper()
	deadline := time.Now().Add(Patience)
	for {
		said, ok := holds()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			h.Fatalf("%s: %s", what, said)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// EachReadable is each without the role that can't read the outbox.
func EachReadable(t *testing.T, test func(h *Server), settings ...string) {
	t.Helper()
	dbtest.EachURL(t, func(t *testing.T, dbURL string) { test(Open(t, dbURL, settings...)) })
}

// BreakDatabase makes PostgreSQL refuse the server's connections, old and new.
func (h *Server) BreakDatabase() {
	h.Helper()
	u, err := url.Parse(h.DBURL)
	if err != nil {
		h.Fatal(err)
	}
	name := strings.TrimPrefix(u.Path, "/")
	dbtest.Superuser(h.T, `ALTER DATABASE `+name+` ALLOW_CONNECTIONS false`)
	dbtest.Superuser(h.T, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '`+name+`'`)
}

// RefusedStart starts a server that must not start, and returns why.
func RefusedStart(t *testing.T, settings ...string) *fault.Error {
	t.Helper()
	c, err := config.Load(config.Source{
		Environ:  append(settings, "LISTEN_ADDR=127.0.0.1:0", "ADMIN_LISTEN_ADDR=127.0.0.1:0", "JWT_SECRET_KEY="+SecretKey, "EVENT_KEY="+EventKey),
		ReadFile: func(string) ([]byte, error) { return nil, fs.ErrNotExist },
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := app.Start(context.Background(), c, app.Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err == nil {
		_ = s.Stop()
		t.Fatal("it started")
	}
	f := fault.As(err)
	if f == nil {
		t.Fatalf("it did not start, with no word of what to do: %v", err)
	}
	return f
}

// ProductionSettings loads settings for production, with nothing of a file's.
func ProductionSettings(t *testing.T, more ...string) *config.Config {
	t.Helper()
	c, err := config.Load(config.Source{
		Environ: append(more, // the first of a name counts
			"ENVIRONMENT=production", "PUBLIC_URL=https://auth.acme.org", "JWT_SECRET_KEY="+SecretKey, "EVENT_KEY="+EventKey,
			"LISTEN_ADDR=127.0.0.1:0", "ADMIN_LISTEN_ADDR=127.0.0.1:0",
		),
		ReadFile: func(string) ([]byte, error) { return nil, fs.ErrNotExist },
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// EveryValue reads every column of every table, as text and as bytes.
func (h *Server) EveryValue() map[string]bool {
	h.Helper()
	values := map[string]bool{}
	d := h.Database()
	err := d.Read(context.Background(), func(tx *db.Tx) error {
		for _, query := range []string{
			`SELECT id, CAST(epoch AS TEXT) FROM install`,
			`SELECT id, purpose FROM ring_key`, `SELECT key_id, kek FROM ring_wrap`,
			`SELECT id, email FROM account`, `SELECT email_key, roles FROM account`, `SELECT hash, id FROM account`,
			`SELECT id, account_id FROM session`, `SELECT roles, amr FROM session`, `SELECT user_agent, address FROM session`,
			`SELECT CAST(auth_at AS TEXT), CAST(minted_at AS TEXT) FROM session`,
			`SELECT CAST(max_at AS TEXT), CAST(idle_at AS TEXT) FROM session`,
			`SELECT id, kind FROM event`, `SELECT event_id, person FROM event_personal`, `SELECT data, person FROM event_personal`,
		} {
			if err := collect[string](tx, query, values); err != nil {
				return fmt.Errorf("%s: %w", query, err)
			}
		}
		for _, query := range []string{
			`SELECT sealed, sealed FROM ring_wrap`, `SELECT cur, salt FROM session`, `SELECT prev, prev FROM session`,
			`SELECT hash, hash FROM event`, `SELECT salt, salt FROM event_personal`,
		} {
			if err := collect[[]byte](tx, query, values); err != nil {
				return fmt.Errorf("%s: %w", query, err)
			}
		}
		return nil
	})
	if err != nil {
		h.Fatal(err)
	}
	for v := range values {
		if rest, ok := strings.CutPrefix(v, "h1:"); ok {
			values[rest] = true
		}
	}
	return values
}

func collect[T string | []byte](tx *db.Tx, query string, into map[string]bool) error {
	rows, err := tx.Query(query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var a, b T
		if err := rows.Scan(&a, &b); err != nil {
			return err
		}
		into[string(a)], into[string(b)] = true, true
	}
	return rows.Err()
}

// Main runs the tests of a package whose tests mostly wait: up to sixteen of those
// that call t.Parallel run at the same time, however few processors there are.
func Main(m *testing.M) {
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
