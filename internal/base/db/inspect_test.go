package db_test

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// filled returns the path of a closed SQLite database of ours with some hundred
// pages.
func filled(t *testing.T) string {
	t.Helper()
	dbURL := dbtest.SQLite(t)
	d, err := db.Open(ctx, db.Config{URL: dbURL})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if err := d.Write(ctx, func(tx *db.Tx) error {
			for j := range 100 {
				if err := put(tx, fmt.Sprintf("job-%03d-%03d-%s", i, j, strings.Repeat("x", 200))); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(dbURL, "sqlite:")
}

// contents returns the database and its log, byte by byte.
func contents(t *testing.T, path string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, suffix := range []string{"", "-wal", "-journal"} {
		b, err := os.ReadFile(path + suffix)
		if err == nil && (suffix == "" || len(b) > 0) {
			all[suffix] = string(b)
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	return all
}

func overwrite(at int64, with []byte) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if at < 0 { // in pages of 4 KiB from the end
			info, err := f.Stat()
			if err != nil {
				t.Fatal(err)
			}
			at += info.Size()
		}
		if _, err := f.WriteAt(with, at); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func truncate(size func(int64) int64) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		t.Helper()
		info, err := os.Stat(path)
		if err == nil {
			err = os.Truncate(path, size(info.Size()))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// foreign makes another application's database in the file's place.
func foreign(statements ...string) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		t.Helper()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		d, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		for _, s := range statements {
			if _, err := d.Exec(s); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestDamagedSQLiteFilesAreRefusedAndNotTouched opens files with which something
// is wrong: each is refused in words, and is the same afterwards.
func TestDamagedSQLiteFilesAreRefusedAndNotTouched(t *testing.T) {
	garbage := []byte(strings.Repeat("\xde\xad\xbe\xef", 1024))
	for name, c := range map[string]struct {
		ruin func(*testing.T, string)
		code string
	}{
		"the first bytes":       {overwrite(0, garbage[:16]), "not_a_database"},
		"the whole header":      {overwrite(0, garbage[:100]), "not_a_database"},
		"no database at all":    {overwrite(0, []byte("%PDF-1.7 this is a letter to the bank, not a database")), "not_a_database"},
		"the page size":         {overwrite(16, []byte{0x00, 0x03}), "database_damaged"},
		"the schema's root":     {overwrite(100, garbage[:64]), "database_damaged"},
		"the whole first page":  {overwrite(100, garbage[:3996]), "database_damaged"},
		"a page in the middle":  {overwrite(40*4096, garbage), "database_damaged"},
		"a page near the end":   {overwrite(-2*4096, garbage), "database_damaged"},
		"zeros in the middle":   {overwrite(40*4096, make([]byte, 4096)), "database_damaged"},
		"cut off in the middle": {truncate(func(n int64) int64 { return n / 2 }), "database_damaged"},
		"cut off within a page": {truncate(func(n int64) int64 { return n - 1000 }), "database_damaged"},
		"cut off in its header": {truncate(func(int64) int64 { return 50 }), "database_damaged"},
		"another application's": {foreign(`CREATE TABLE recipes (id INTEGER PRIMARY KEY, cake TEXT)`, `INSERT INTO recipes (cake) VALUES ('apple')`),
			"another_database"},
		"another one with goose": {foreign(`CREATE TABLE schema_version (id INTEGER, version_id INTEGER, is_applied INTEGER)`, `CREATE TABLE recipes (cake TEXT)`),
			"another_database"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filled(t)
			c.ruin(t, path)
			before := contents(t, path)
			d, err := db.Open(ctx, db.Config{URL: "sqlite:" + path})
			if err == nil {
				d.Close()
				t.Fatal("it was opened")
			}
			f := fault.As(err)
			if f == nil || f.Code != c.code || !strings.Contains(f.Message, path) {
				t.Errorf("the refusal: %v, want %s and the file's name", err, c.code)
			}
			if !cmp.Equal(before, contents(t, path)) {
				t.Error("the file was changed")
			}
		})
	}
}

// TestAnEmptyFileWithALogIsRefused keeps the log of a file that was cut to
// nothing: SQLite would remove it, and with it what can still be saved.
func TestAnEmptyFileWithALogIsRefused(t *testing.T) {
	path := filled(t)
	if err := errors.Join(os.WriteFile(path+"-wal", []byte(strings.Repeat("x", 4152)), 0o600), os.Truncate(path, 0)); err != nil {
		t.Fatal(err)
	}
	before := contents(t, path)
	if _, err := db.Open(ctx, db.Config{URL: "sqlite:" + path}); fault.As(err) == nil || fault.As(err).Code != "database_damaged" {
		t.Errorf("the refusal: %v", err)
	}
	if !cmp.Equal(before, contents(t, path)) {
		t.Error("a file was changed")
	}
}

// TestAGoodFileIsOpenedAfterACrash has a log that was never copied: that is no
// damage.
func TestAGoodFileIsOpenedAfterACrash(t *testing.T) {
	dbURL := dbtest.SQLite(t)
	d := dbtest.Open(t, dbURL)
	for i := range 50 {
		if err := d.Write(ctx, func(tx *db.Tx) error { return put(tx, fmt.Sprint("job", i)) }); err != nil {
			t.Fatal(err)
		}
	}
	path := strings.TrimPrefix(dbURL, "sqlite:")
	crashed := filepath.Join(t.TempDir(), "crashed.db")
	for suffix, b := range contents(t, path) {
		if err := os.WriteFile(crashed+suffix, []byte(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(t, dbtest.Open(t, "sqlite:"+crashed)); n != 50 {
		t.Errorf("%d rows, want 50", n)
	}
}

// TestAFirstStartThatDiedInItsFirstTransactionIsRolledBack finds the journal of
// a process that was killed while it turned the write-ahead log on.
func TestAFirstStartThatDiedInItsFirstTransactionIsRolledBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "whole.db")
	d, err := sql.Open("sqlite", "file:"+path+"?_pragma=cache_size(1)")
	if err != nil {
		t.Fatal(err)
	}
	d.SetMaxOpenConns(1)
	defer d.Close()
	for _, s := range []string{`CREATE TABLE a (b)`, `DROP TABLE a`, `BEGIN IMMEDIATE`, `CREATE TABLE recipes (cake)`,
		`INSERT INTO recipes SELECT randomblob(100000)`, `INSERT INTO recipes SELECT cake FROM recipes`} {
		if _, err := d.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	killed := filepath.Join(t.TempDir(), "killed.db")
	for _, suffix := range []string{"", "-journal"} {
		b, err := os.ReadFile(path + suffix)
		if err != nil || len(b) == 0 {
			t.Fatalf("%d bytes of %q, %v", len(b), suffix, err)
		}
		if err := os.WriteFile(killed+suffix, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var tables int64
	if err := dbtest.Open(t, "sqlite:"+killed).Read(ctx, func(tx *db.Tx) error {
		return tx.QueryRow(`SELECT COUNT(*) FROM sqlite_master`).Scan(&tables)
	}); err != nil || tables != 0 {
		t.Errorf("%d tables, %v; want an empty database", tables, err)
	}
}

// TestDamageFoundWhileServingStopsWriting breaks a page under an open database.
func TestDamageFoundWhileServingStopsWriting(t *testing.T) {
	path := filled(t)
	d, err := db.Open(ctx, db.Config{URL: "sqlite:" + path})
	if err != nil {
		t.Fatal(err)
	}
	overwrite(-20*4096, []byte(strings.Repeat("\xde\xad\xbe\xef", 19*1024)))(t, path)
	err = d.Read(ctx, func(tx *db.Tx) error {
		var n int64
		return tx.QueryRow(`SELECT SUM(LENGTH(name) + LENGTH(holder) + due_at) FROM job`).Scan(&n)
	})
	if fault.KindOf(err) != fault.Unavailable || db.Trouble(err) != "damaged" {
		t.Fatalf("reading a damaged page: %v", err)
	}
	before := contents(t, path)
	for range 3 {
		err := d.Write(ctx, func(tx *db.Tx) error { return put(tx, "after") })
		if fault.KindOf(err) != fault.Unavailable || db.Trouble(err) != "damaged" {
			t.Errorf("a write after damage was found: %v", err)
		}
	}
	if err := d.Check(ctx); db.Trouble(err) != "damaged" {
		t.Errorf("the check: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Errorf("closing: %v", err)
	}
	if !cmp.Equal(before, contents(t, path)) {
		t.Error("the damaged file was written to")
	}
}
