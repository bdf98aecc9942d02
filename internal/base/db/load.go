package db

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/copytext"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/schema"
)

// Loading is an empty database while a backup is loaded into it. Until [Loading.Complete]
// has returned, every other command refuses the database. A process that is killed on the
// way is run again, and ends the same.
type Loading struct {
	target loadTarget
	config Config
	// Events is how many rows the table event has in the backup.
	events int64
}

// loadTarget is what differs between the two databases.
type loadTarget interface {
	// begin marks the database, and brings its schema to the version.
	begin(ctx context.Context, version int64) error
	// columns returns a table's columns, sorted.
	columns(ctx context.Context, table string) ([]string, error)
	// part loads a part once, whatever was killed.
	part(ctx context.Context, p LoadPart) error
	// ready makes the database one that can be opened, and returns its URL.
	ready(ctx context.Context) (url string, err error)
	// unmark takes the mark away within a transaction, where the mark is in the database.
	unmark(tx *Tx) error
	// complete takes it away once the database is closed, where it is not.
	complete(ctx context.Context) error
	close()
}

// LoadPart is a part of a table's rows, as COPY text.
type LoadPart struct {
	Name  string // unique within the backup
	Table schema.Table
	Rows  int64
	Text  io.Reader
	// Keep says which rows are loaded; nil for all.
	Keep func(row []any) bool
}

// Load marks the database of the URL as one that a backup is loaded into, and makes the
// schema of the backup's version there. It refuses what is not empty (target_not_empty), and
// what another restore has left unfinished (restore_unfinished). events is how many rows the
// table event has.
func Load(ctx context.Context, c Config, backup string, version, events int64) (*Loading, error) {
	return load(ctx, c, loadMark{of: backup}, version, events)
}

// LoadOn is Load for a database that bears the mark already: it refuses one that bears none, too (target_not_begun).
func LoadOn(ctx context.Context, c Config, backup string, version, events int64) (*Loading, error) {
	return load(ctx, c, loadMark{of: backup, begun: true}, version, events)
}

// MoveMark is how the marks of moves begin, in place of a backup's id.
const MoveMark = "move "

// loadMark is what marks a database that is loaded; begun says that it must have been marked before.
type loadMark struct {
	of    string
	begun bool
}

func load(ctx context.Context, c Config, mark loadMark, version, events int64) (*Loading, error) {
	l := &Loading{config: c, events: events}
	var err error
	if path, ok := strings.CutPrefix(c.URL, "sqlite:"); ok {
		l.target, err = loadSQLite(ctx, path, events, mark.begun)
	} else {
		l.target, err = loadPostgres(ctx, c, mark)
	}
	if err != nil {
		return nil, classify(err)
	}
	if err := l.target.begin(ctx, version); err != nil {
		l.target.close()
		return nil, classify(err)
	}
	return l, nil
}

// Newest returns the newest version of the schema that this program knows.
func Newest() int64 {
	newest := int64(0)
	entries, err := embedded.ReadDir("migrations/sqlite")
	if err != nil {
		panic(err) // they are in the program
	}
	for _, e := range entries {
		var n int64
		if _, err := fmt.Sscanf(e.Name(), "%d_", &n); err == nil {
			newest = max(newest, n)
		}
	}
	return newest
}

// Fits refuses a table whose columns are not those of the database's schema.
func (l *Loading) Fits(ctx context.Context, t schema.Table) error {
	have, err := l.target.columns(ctx, t.Name)
	if err != nil {
		return classify(err)
	}
	if t.Name == "revocation" {
		have = slices.DeleteFunc(have, func(c string) bool { return c == "tx" })
	}
	want := t.Stored()
	slices.Sort(want)
	if !slices.Equal(have, want) {
		return fault.New(fault.Invalid, "backup_changed", fmt.Sprintf(
			"The table %s has the columns %s in the backup, and %s in a database of its version.", t.Name, strings.Join(want, ", "), strings.Join(have, ", ")))
	}
	return nil
}

// Part loads a part; one that is loaded already is left out.
func (l *Loading) Part(ctx context.Context, p LoadPart) error {
	if err := l.target.part(ctx, p); err != nil {
		return fmt.Errorf("loading %s: %w", p.Name, classify(err))
	}
	return nil
}

// Open makes indexes and whatever loading did without, brings the schema up to date, and opens
// the database. The mark stays.
func (l *Loading) Open(ctx context.Context) (*DB, error) {
	url, err := l.target.ready(ctx)
	if err != nil {
		return nil, classify(err)
	}
	c := l.config
	c.URL = url
	d, err := Open(ctx, c)
	if err != nil {
		return nil, err
	}
	if _, err := d.migrateTo(ctx, 0); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Unmark takes the mark away in the transaction that does the last of the restore.
func (l *Loading) Unmark(tx *Tx) error { return l.target.unmark(tx) }

// Complete gives the database its name, once what [Loading.Open] returned is closed.
func (l *Loading) Complete(ctx context.Context) error { return classify(l.target.complete(ctx)) }

// Close lets the database go. Without Complete it stays marked.
func (l *Loading) Close() { l.target.close() }

// unfinished is the refusal of a database that a backup is being loaded into, or was when
// that was broken off.
func unfinished(what string) error {
	return fault.New(fault.Conflict, "restore_unfinished", fmt.Sprintf(
		"A backup is being restored into %s, or an installation moved there, or that was broken off. Run the same gatehouse backup restore or backup move again: "+
			"it goes on, or begins anew. To give it up, drop the database, or delete the file that ends in .restoring.", what))
}

// notBegun is the refusal to go on where nothing was begun.
func notBegun(what string) error {
	return fault.New(fault.Conflict, "target_not_begun", fmt.Sprintf("Nothing was being loaded into %s.", what))
}

// notEmpty is the refusal to load into what is in use.
func notEmpty(what string) error {
	return fault.New(fault.Conflict, "target_not_empty", fmt.Sprintf(
		"%s is not empty, and a backup is never restored over something. Move the file away, or name another database in DATABASE_URL.", what))
}

// mostRow is the longest row that is loaded, in bytes of text.
const mostRow = 4 << 20

// eachRow calls fn with each row of COPY text. The values of row are new ones each time, the
// slice is not.
func eachRow(text io.Reader, columns []schema.Column, fn func(row []any, line []byte) error) error {
	lines := bufio.NewReaderSize(text, 64<<10)
	row := make([]any, len(columns))
	var long []byte
	for {
		piece, err := lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) && len(long) <= mostRow {
			long = append(long, piece...)
			continue
		}
		line := piece
		if len(long) > 0 {
			line = append(long, piece...)
		}
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := copytext.Parse(bytes.TrimSuffix(line, []byte{'\n'}), columns, row); err != nil {
			return err
		}
		if err := fn(row, line); err != nil {
			return err
		}
		long = long[:0]
	}
}

// quoted are names as they stand in a statement. They are letters and underscores: the
// manifest and package schema hold no others.
func quoted(names []string) string { return `"` + strings.Join(names, `", "`) + `"` }
