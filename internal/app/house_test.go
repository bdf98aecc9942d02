package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// house is a running server with a client that holds every answer against
// openapi.yaml.
type house struct {
	*testing.T
	server *app.Server
	dbURL  string
	log    *logBuffer
	stop   func() error
	front  *front // what requests go through, if anything
}

// url is where requests go.
func (h *house) url() string {
	if h.front != nil {
		return h.front.url
	}
	return h.server.URL()
}

// each runs a test against a server on SQLite, one on PostgreSQL, and one on
// PostgreSQL 18 with no more than the serving role's rights, over TLS (DB-1,
// DB-2). The settings are NAME=value.
func each(t *testing.T, test func(h *house), settings ...string) {
	t.Helper()
	dbtest.EachProduction(t, func(t *testing.T, dbURL string) { test(open(t, dbURL, settings...)) })
}

// secretKey is the JWT_SECRET_KEY of the tests' servers.
const secretKey = "q7Vx2mZp9LtRw4KcYb8NsHf3GdJ6TaEu"

// eventKey is their EVENT_KEY.
const eventKey = "Hs4kPz8vWd2Qx7LmTn5RbYc9JgFa3EuK"

// open starts a server as `gatehouse serve` does. It is quick at hashing unless
// the settings say otherwise.
func open(t *testing.T, dbURL string, settings ...string) *house {
	t.Helper()
	return openAt(t, dbURL, nil, settings...)
}

// openAt is open with a clock of the test's; nil is the real one.
func openAt(t *testing.T, dbURL string, now func() time.Time, settings ...string) *house {
	t.Helper()
	environ := append([]string{
		"DATABASE_URL=" + dbURL, "LISTEN_ADDR=127.0.0.1:0", "ADMIN_LISTEN_ADDR=127.0.0.1:0",
		"JWT_SECRET_KEY=" + secretKey, "EVENT_KEY=" + eventKey, "BCRYPT_COST=4", "LOG_LEVEL=DEBUG",
		"API_RATE_LIMIT_REQUESTS=1000000", "LOGIN_RATE_LIMIT_ATTEMPTS=1000000", "REGISTRATION_RATE_LIMIT_ATTEMPTS=1000000", "PASSWORD_RESET_RATE_LIMIT_ATTEMPTS=100000",
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
	h := &house{T: t, dbURL: dbURL, log: &logBuffer{}}
	h.server, err = app.Start(context.Background(), c, app.Options{
		Log: slog.New(slog.NewJSONHandler(h.log, &slog.HandlerOptions{Level: c.LogLevel})), Version: "test", Now: now,
	})
	if err != nil {
		t.Fatalf("starting: %v", err)
	}
	h.stop = sync.OnceValue(h.server.Stop)
	t.Cleanup(func() {
		if err := h.stop(); err != nil {
			t.Errorf("stopping: %v", err)
		}
	})
	return h
}

// logBuffer is a log that can be read while it is written.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	text   string
	fields map[string]any
}

func (a answer) str(name string) string { s, _ := a.fields[name].(string); return s }

// request is a call to be made; fields left out are left out of it.
type request struct {
	method, path string
	body         any    // encoded as JSON; a string goes as it is
	bearer       string // an access token
	contentType  string
	header       http.Header
}

// do makes a call and checks the answer against openapi.yaml.
func (h *house) do(r request) answer {
	h.Helper()
	a, err := h.try(r)
	if err != nil {
		h.Fatal(err)
	}
	return a
}

var client = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{MaxIdleConnsPerHost: 64},
}

// try is do for goroutines other than the test's own.
func (h *house) try(r request) (answer, error) {
	var body io.Reader
	if r.body != nil {
		b, ok := r.body.(string)
		if !ok {
			j, err := json.Marshal(r.body)
			if err != nil {
				return answer{}, err
			}
			b = string(j)
		}
		body = strings.NewReader(b)
		if r.contentType == "" {
			r.contentType = "application/json"
		}
	}
	req, err := http.NewRequest(r.method, h.url()+r.path, body)
	if err != nil {
		return answer{}, err
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	if r.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+r.bearer)
	}
	send := client.Do
	if h.front != nil {
		send = h.front.send
	}
	res, err := send(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{status: res.StatusCode, header: res.Header, text: string(b)}
	if strings.Contains(res.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(b, &a.fields); err != nil {
			return a, fmt.Errorf("%s %s: the answer is no JSON: %w", r.method, r.path, err)
		}
	}
	return a, errors.Join(document.check(req, a))
}

// expect makes a call and fails the test unless it is answered so: a status, and
// the code if it is a problem.
func (h *house) expect(status int, code string, r request) answer {
	h.Helper()
	a := h.do(r)
	if a.status != status || a.str("code") != code {
		h.Fatalf("%s %s: %d %q, want %d %q\n%s", r.method, r.path, a.status, a.str("code"), status, code, a.text)
	}
	return a
}

// passphrase is the password of every account in the tests, unless they say.
const passphrase = "correct horse battery staple"

type credentials struct {
	Email    string `json:"email"`
	Password string `json:"password"`
}

func (h *house) register(email string) {
	h.Helper()
	if h.front != nil {
		h.front.elsewhere()
	}
	h.expect(202, "", request{method: "POST", path: "/v1/register", body: credentials{email, passphrase}})
}

func (h *house) login(email string) answer {
	h.Helper()
	return h.expect(200, "", request{method: "POST", path: "/v1/login", body: credentials{email, passphrase}})
}

func (h *house) refresh(token string) answer {
	h.Helper()
	return h.do(refreshing(token))
}

func refreshing(token string) request {
	return request{method: "POST", path: "/v1/token/refresh", body: map[string]string{"refresh_token": token}}
}

// database opens the server's database beside it.
func (h *house) database() *db.DB {
	h.Helper()
	return dbtest.Open(h.T, h.dbURL)
}

// operator opens the server's database beside it, as the command line does.
func (h *house) operator() *flow.Operator {
	h.Helper()
	c, err := config.Load(config.Source{
		Environ:  []string{"DATABASE_URL=" + h.dbURL, "BCRYPT_COST=4", "JWT_SECRET_KEY=" + secretKey},
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

var originOfTests = event.Origin{RequestID: "test", UserAgent: "test"}

// ready waits until the server says that it is, as it does at most a second after
// its clock was set.
func (h *house) ready() {
	h.Helper()
	h.eventually("readyz", func() (string, bool) {
		status, text := h.admin("/readyz")
		return text, status == 200
	})
}

// settled waits until each background job has run, and takes their leases for half
// a minute, so that whatever goes to the database next is the test's doing.
func (h *house) settled() {
	h.Helper()
	d := h.database()
	h.eventually("the jobs", func() (string, bool) {
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

// eventually tries until it holds, for half a minute at most.
func (h *house) eventually(what string, holds func() (said string, ok bool)) {
	h.Helper()
	deadline := time.Now().Add(30 * time.Second)
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
