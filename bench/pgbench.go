package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
)

// hotSessions is how many sessions pgbench rotates, as many as the clients that
// refresh; each connection has its own, so that none waits for another's row.
const hotSessions = 64

// firstHot is the id of the first of them: a number, which pgbench can make.
const firstHot = 900_000_000_000_000_000

// pgbench runs the statements of a refresh, as many as the server can.
type pgbench struct {
	url, program, folder string
	round                int // of event ids, which come only once
}

// How the statements travel.
const (
	// oneByOne waits for each statement's answer, as pgbench does by default.
	oneByOne = "one by one"
	// pipelined takes the two round trips that Gatehouse takes.
	pipelined = "pipelined"
)

// newPgbench puts the hot sessions into a filled database.
func newPgbench(ctx context.Context, dbURL, folder string) (*pgbench, error) {
	program, err := exec.LookPath("pgbench")
	if err != nil {
		found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pgbench")
		if len(found) == 0 {
			return nil, fmt.Errorf("pgbench is nowhere: it comes with PostgreSQL's server")
		}
		program = found[len(found)-1]
	}
	c, err := pgx.Connect(ctx, dbURL)
	if err != nil {
		return nil, err
	}
	defer c.Close(ctx)
	// The rotation of such a row leaves it with the token that it had, so that
	// every one finds the current token.
	_, err = c.Exec(ctx, `INSERT INTO session (id, account_id, roles, amr, user_agent, address, auth_at, max_at, idle_at, gen, cur, salt, minted_at, rotated_at)
		SELECT CAST($1::bigint + n AS TEXT), account_id, roles, amr, user_agent, address, auth_at, max_at, idle_at, gen, $2::bytea, salt, minted_at, rotated_at
		FROM (SELECT * FROM session ORDER BY id DESC LIMIT 1) AS s, generate_series(0, $3::int - 1) AS n`, int64(firstHot), hotHash(), hotSessions)
	return &pgbench{url: dbURL, program: program, folder: folder}, err
}

func hotHash() []byte { return []byte(strings.Repeat("\x5a", 32)) }

// script is what each connection does again and again, built from the very
// statements of the server.
func script(how string) string {
	rotate := numbered(session.RotateSQL, "id::text", "hash::bytea", "hash::bytea", "salt::bytea", "gen::bigint", "now::bigint", "grace::bigint",
		"retry::bigint", "idle::bigint")
	appendEvent := numbered(event.AppendSQL, "event::text", "now::bigint", "kind::text", "outcome::text", "hash::bytea")
	appendPersonal := numbered(event.AppendPersonalSQL, "event::text", "person::text", "salt::bytea", "data::text")
	start, end := "", ""
	if how == pipelined {
		start, end = "\\startpipeline\n", "\\endpipeline\n"
	}
	return `\set id ` + strconv.Itoa(firstHot) + ` + :client_id + :clients * random(0, :each - 1)
\set n :n + 1
\set event :base + :client_id * 1000000 + :n
` + start + "BEGIN;\n" + rotate + ";\n" + end + start + appendEvent + ";\n" + appendPersonal + ";\nCOMMIT;\n" + end
}

var parameter = regexp.MustCompile(`\$(\d+)`)

// numbered gives a statement's parameters the names of pgbench's variables, with
// their types, since pgbench makes a parameter of each occurrence; and puts it
// on one line.
func numbered(statement string, names ...string) string {
	named := parameter.ReplaceAllStringFunc(statement, func(p string) string {
		n, _ := strconv.Atoi(p[1:]) // the expression lets only numbers through
		return ":" + names[n-1]
	})
	return strings.Join(strings.Fields(named), " ")
}

// run returns how many refreshes a second the connections made.
func (p *pgbench) run(ctx context.Context, connections int, how string, d time.Duration) (float64, error) {
	p.round++
	file := filepath.Join(p.folder, "refresh.pgbench")
	if err := os.WriteFile(file, []byte(script(how)), 0o600); err != nil {
		return 0, err
	}
	now := time.Now().UnixMicro()
	hour := time.Hour.Microseconds()
	bytea := func(b []byte) string { return `\x` + hex.EncodeToString(b) }
	data := `{"account":"0190a6e2-7b1c-7def-8a4b-0123456789ab","session":"0190a6e2-7b1c-7def-8a4b-0123456789ab",` +
		`"request_id":"0190a6e2-7b1c-7def-8a4b-0123456789ab","address":"127.0.0.1","user_agent":"gatehouse-bench","detail":{"generation":123}}`
	args := []string{
		"-n", "-M", "prepared", "-f", file, "-c", strconv.Itoa(connections), "-j", strconv.Itoa(min(connections, 2)),
		"-T", strconv.Itoa(max(int(d.Seconds()), 1)),
	}
	for name, value := range map[string]string{
		"clients": strconv.Itoa(connections), "each": strconv.Itoa(hotSessions / connections), "n": "0",
		"base": strconv.Itoa(firstHot + p.round*1_000_000_000), "hash": bytea(hotHash()), "salt": bytea(secret.Random{}.Bytes(16)),
		"gen": "1", "now": strconv.FormatInt(now, 10), "grace": strconv.FormatInt(now-10_000_000, 10),
		"retry": strconv.FormatInt(now-24*hour, 10), "idle": strconv.FormatInt(now+7*24*hour, 10),
		"kind": string(event.TokenRefresh), "outcome": string(event.Success),
		"person": "0190a6e2-7b1c-7def-8a4b-0123456789ab", "data": data,
	} {
		args = append(args, "-D", name+"="+value)
	}
	return p.start(ctx, args)
}

// start runs the program, and returns how many transactions a second it made.
func (p *pgbench) start(ctx context.Context, args []string) (float64, error) {
	cmd := exec.CommandContext(ctx, p.program, append(args, p.url)...) //nolint:gosec // our own arguments
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("pgbench: %w\n%s", err, out)
	}
	if strings.Contains(string(out), "actually processed: 0\n") {
		return 0, nil // a machine that has no time for it
	}
	found := regexp.MustCompile(`tps = ([0-9.]+)`).FindSubmatch(out)
	if found == nil || !strings.Contains(string(out), "number of failed transactions: 0") {
		return 0, fmt.Errorf("pgbench says:\n%s", out)
	}
	return strconv.ParseFloat(string(found[1]), 64)
}
