package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
)

// bareAnswer is what GET /v1/me answers, in its length.
const bareAnswer = `{"id":"0190a6e2-7b1c-7def-8a4b-0123456789ab","email":"bench-0123456789-0@example.org","email_verified":false,"name":"","locale":"",` +
	`"roles":[],"created_at":"2026-11-24T02:52:41.000Z"}` + "\n"

// serveBare is the process that /v1/me is held against: net/http and a handler
// that writes the same JSON, or as many bytes as it is asked for, and nothing else.
func serveBare() error {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // ends with the process
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", l.Addr())
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/me", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(bareAnswer))
	})
	text := bytes.Repeat([]byte("x"), 64<<10)
	mux.HandleFunc("GET /bytes/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.PathValue("n"))
		if err != nil || n < 0 || n > len(text) {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(text[:n])
	})
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	return s.Serve(l)
}

// bareWriter is what a refresh on SQLite is held against: one goroutine that
// commits each rotation by itself, as durably.
type bareWriter struct {
	db     *sql.DB
	id     string
	events bool // write the event's rows too
}

func newBareWriter(ctx context.Context, path string, events bool) (*bareWriter, error) {
	d, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)&_pragma=synchronous(FULL)&_pragma=journal_mode(WAL)")
	if err != nil {
		return nil, err
	}
	d.SetMaxOpenConns(1)
	w := &bareWriter{db: d, events: events}
	err = d.QueryRowContext(ctx, `SELECT id FROM session LIMIT 1`).Scan(&w.id)
	return w, err
}

// run returns how many rotations a second it committed.
func (w *bareWriter) run(ctx context.Context, d time.Duration) (float64, error) {
	c, err := w.db.Conn(ctx)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	statements := map[string]*sql.Stmt{}
	for _, q := range []string{"BEGIN IMMEDIATE", session.RotateSQL, event.AppendSQL, event.AppendPersonalSQL, "COMMIT"} {
		s, err := c.PrepareContext(ctx, q)
		if err != nil {
			return 0, err
		}
		defer s.Close()
		statements[q] = s
	}
	if _, err := c.ExecContext(ctx, `UPDATE session SET cur = $1 WHERE id = $2`, hotHash(), w.id); err != nil {
		return 0, err
	}
	n, began := 0, time.Now()
	for time.Since(began) < d {
		if err := w.rotate(ctx, statements); err != nil {
			return 0, err
		}
		n++
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

func (w *bareWriter) rotate(ctx context.Context, s map[string]*sql.Stmt) error {
	now := time.Now()
	at, random := now.UnixMicro(), secret.Random{}
	salt := random.Bytes(16)
	_, errBegin := s["BEGIN IMMEDIATE"].ExecContext(ctx)
	_, errRotate := s[session.RotateSQL].ExecContext(ctx, w.id, hotHash(), hotHash(), salt, 1, at, at-1, at-1, now.Add(7*24*time.Hour).UnixMicro())
	var errEvent, errPersonal error
	if w.events {
		id := random.ID(now)
		_, errEvent = s[event.AppendSQL].ExecContext(ctx, id, at, string(event.TokenRefresh), string(event.Success), hotHash())
		_, errPersonal = s[event.AppendPersonalSQL].ExecContext(ctx, id, id, salt, bareAnswer)
	}
	_, errCommit := s["COMMIT"].ExecContext(ctx)
	return errors.Join(errBegin, errRotate, errEvent, errPersonal, errCommit)
}

// bareHashes returns how many bcrypt comparisons a second one core makes.
func bareHashes(cost int, d time.Duration) (float64, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte("some password"), cost)
	if err != nil {
		return 0, err
	}
	n, began := 0, time.Now()
	for time.Since(began) < d {
		if err := bcrypt.CompareHashAndPassword(hash, []byte("some password")); err != nil {
			return 0, err
		}
		n++
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

// syncCost returns what it costs to append a page to a file of the folder and to sync
// it, in microseconds: the median of a second. Where it is cheap a bare writer gains
// little by having nobody to share a sync with, so the ratio against it says more.
func syncCost(folder string) (float64, error) {
	f, err := os.CreateTemp(folder, "sync")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	page := make([]byte, 4096)
	var each []float64
	for began := time.Now(); time.Since(began) < time.Second; {
		at := time.Now()
		if _, err := f.Write(page); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		each = append(each, float64(time.Since(at).Microseconds()))
	}
	return median(each), nil
}
