// Bench measures Gatehouse against the machine it runs on: each goal as a ratio
// of two sides that take turns in one run, so that a slow or busy machine slows
// both. `make bench` runs it, and it writes docs/performance.md's table and
// bench/results/latest.json. It is no part of the product.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// postgresVariable names the PostgreSQL that scripts/servers starts.
const postgresVariable = "GATEHOUSE_TEST_POSTGRES"

func main() {
	bare := flag.Bool("bare", false, "be the bare handler that /v1/me is held against")
	stack := flag.String("stack", "", "be the handler that the limiter is measured on: without, memory, or the URL of a Redis")
	encrypt := flag.String("encrypt", "", "be `age -r RECIPIENT`")
	decrypt := flag.String("decrypt", "", "be `age -d -i FILE`")
	only := flag.String("only", "", "measure only these, separated by commas: "+strings.Join(names(), ", "))
	turn := flag.Duration("turn", 3*time.Second, "how long each side's turn is")
	rounds := flag.Int("rounds", 5, "how many turns each side has")
	sizes := flag.String("sizes", "", "accounts of the growth measures, separated by commas (1000,100000; with GATEHOUSE_SOAK=1 also 10000000)")
	stocked := flag.Int("stock", 0, "accounts of the databases whose backups are measured, with five times as many events (20000; with GATEHOUSE_SOAK=1 1000000)")
	flag.Parse()
	if *bare {
		fail(serveBare())
		return
	}
	if *encrypt != "" || *decrypt != "" {
		fail(crypt(os.Stdin, os.Stdout, *encrypt, *decrypt))
		return
	}
	if *stack != "" {
		fail(serveStack(*stack))
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r := &run{turn: *turn, rounds: *rounds, stocked: *stocked, binary: "bin/gatehouse"}
	fail(errors.Join(r.setSizes(*sizes), r.all(ctx, *only)))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// run is one run of the benchmark.
type run struct {
	turn    time.Duration
	rounds  int
	sizes   []int
	binary  string
	folder  string // everything it makes is in it
	servers int
	spent   float64  // seconds of a core that the last command took
	stocked int      // accounts of the databases whose backups are measured; 0: as many as it is usual
	made    []string // databases on PostgreSQL
	filled  string   // the database that others are copies of
	kept    []string // refresh tokens of sessions in it
}

// measures are in the order of their importance.
var measures = []struct {
	name string
	run  func(*run, context.Context) ([]Measure, error)
}{
	{"refresh-postgres", (*run).refreshPostgres},
	{"flood", (*run).flood},
	{"refresh-sqlite", (*run).refreshSQLite},
	{"me", (*run).me},
	{"forward-auth", (*run).forwardAuth},
	{"exchange", (*run).exchange},
	{"userinfo", (*run).userInfo},
	{"documents", (*run).documents},
	{"limiter", (*run).limiter},
	{"login", (*run).login},
	{"passkey", (*run).passkey},
	{"passkey-flood", (*run).passkeyFlood},
	{"footprint", (*run).footprint},
	{"breach", (*run).breach},
	{"events", (*run).events},
	{"costs", (*run).costs},
	{"plan", (*run).plan},
	{"safekeeping-sqlite", (*run).safekeepingSQLite},
	{"safekeeping-postgres", (*run).safekeepingPostgres},
	{"end-all", (*run).endAll},
	{"growth", (*run).growth},
}

func names() (list []string) {
	for _, m := range measures {
		list = append(list, m.name)
	}
	return list
}

func (r *run) setSizes(list string) error {
	if list == "" {
		list = "1000,100000"
		if os.Getenv("GATEHOUSE_SOAK") == "1" {
			list += ",10000000"
		}
	}
	for s := range strings.SplitSeq(list, ",") {
		var n int
		if _, err := fmt.Sscanf(s, "%d", &n); err != nil || n < 1000 {
			return fmt.Errorf("-sizes: %q is no number of 1000 or more", s)
		}
		r.sizes = append(r.sizes, n)
	}
	return nil
}

func (r *run) all(ctx context.Context, only string) (err error) {
	wanted := names()
	if only != "" {
		wanted = strings.Split(only, ",")
		for _, w := range wanted {
			if !slices.Contains(names(), w) {
				return fmt.Errorf("-only: there is no measure %q", w)
			}
		}
	}
	if os.Getenv(postgresVariable) == "" {
		return errors.New(postgresVariable + " is not set: run `make bench`")
	}
	// Not in /tmp, which may be in memory, where a sync costs nothing.
	if r.folder, err = os.MkdirTemp("/var/tmp", "gatehouse-bench."); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.clean()) }()
	if r.binary, err = filepath.Abs(r.binary); err != nil {
		return err
	}
	results := newResults(r)
	for _, m := range measures {
		if !slices.Contains(wanted, m.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "== %s\n", m.name)
		got, err := m.run(r, ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		for i := range got {
			got[i].Command = "make bench BENCH=" + m.name
			fmt.Fprintf(os.Stderr, "   %s\n", got[i])
		}
		results.Measures = append(results.Measures, got...)
	}
	return results.write(only == "")
}

// clean takes away what the run made.
func (r *run) clean() error {
	errs := []error{os.RemoveAll(r.folder)}
	for _, name := range r.made {
		errs = append(errs, r.superuser(context.Background(), "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"))
	}
	return errors.Join(errs...)
}

func (r *run) superuser(ctx context.Context, statement string) error {
	c, err := pgx.Connect(ctx, os.Getenv(postgresVariable))
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	_, err = c.Exec(ctx, statement)
	return err
}

// database makes a database on PostgreSQL, as a copy of another or empty.
func (r *run) database(ctx context.Context, template string) (name, dbURL string, err error) {
	name = fmt.Sprintf("bench_%d_%d", os.Getpid(), len(r.made))
	if template == "" {
		template = "template0"
	}
	if err := r.superuser(ctx, "CREATE DATABASE "+name+" TEMPLATE "+template+" ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"); err != nil {
		return "", "", err
	}
	r.made = append(r.made, name)
	u, err := url.Parse(os.Getenv(postgresVariable))
	if err != nil {
		return "", "", errors.New(postgresVariable + " is no URL")
	}
	u.Path = "/" + name
	return name, u.String(), nil
}

// people is how many accounts are in the databases of all measures but growth.
const people = 100_000

// spare is how many of their sessions' tokens are kept.
const spare = 1000

// postgres returns a database with people in it, of the caller's own, and
// refresh tokens of some of their sessions.
func (r *run) postgres(ctx context.Context) (dbURL string, tokens []string, err error) {
	if r.filled == "" {
		name, dbURL, err := r.database(ctx, "")
		if err != nil {
			return "", nil, err
		}
		if r.kept, err = fill(ctx, dbURL, master, people, spare); err != nil {
			return "", nil, err
		}
		r.filled = name
	}
	_, dbURL, err = r.database(ctx, r.filled)
	return dbURL, r.kept, err
}

// sqlite returns the path of a new SQLite database with so many accounts in it,
// and some of their tokens.
func (r *run) sqlite(ctx context.Context, accounts, keep int) (string, []string, error) {
	folder, err := os.MkdirTemp(r.folder, "sqlite.")
	if err != nil {
		return "", nil, err
	}
	path := filepath.Join(folder, "gatehouse.db")
	tokens, err := fill(ctx, "sqlite:"+path, master, accounts, keep)
	return path, tokens, err
}

// commit names what was measured.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
