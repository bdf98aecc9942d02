package db_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// Attack 7: a link in the data folder, planted where the database is to be, changes nothing
// of the file that it leads to: not its mode, and not a byte. A database of ours behind a link is
// opened, and kept private as one without.
func TestAttack7_ALinkInTheDataFolder(t *testing.T) {
	open := func(path string) error {
		d, err := db.Open(ctx, db.Config{URL: "sqlite:" + path})
		if err != nil {
			return err
		}
		return d.Close()
	}
	link := func(to string) string {
		t.Helper()
		at := filepath.Join(t.TempDir(), "gatehouse.db")
		if err := os.Symlink(to, at); err != nil {
			t.Fatal(err)
		}
		return at
	}
	for name, text := range map[string]string{
		"somebody's text": "root:x:0:0\n", "a script": "#!/bin/sh\necho yes\n", "half a database": "SQLite format 3\x00", "nothing": "",
	} {
		file := filepath.Join(t.TempDir(), "theirs")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil { //nolint:gosec // as others' files are
			t.Fatal(err)
		}
		if err := os.Chmod(file, 0o754); err != nil { //nolint:gosec // a mode that nobody sets by chance
			t.Fatal(err)
		}
		err := open(link(file))
		if err == nil && text != "" {
			t.Errorf("%s was opened", name)
		}
		info, statErr := os.Stat(file)
		b, readErr := os.ReadFile(file)
		if statErr != nil || readErr != nil || info.Mode().Perm() != 0o754 || text != "" && string(b) != text {
			t.Errorf("%s has the mode %v and is %q (%v)", name, info.Mode(), b, err)
		}
	}
	ours := dbtest.SQLite(t)[len("sqlite:"):]
	if err := os.Chmod(ours, 0o644); err != nil { //nolint:gosec // as a copy may leave it
		t.Fatal(err)
	}
	if err := open(link(ours)); err != nil {
		t.Errorf("ours behind a link: %v", err)
	}
	if info, err := os.Stat(ours); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("ours has the mode %v, %v", info.Mode(), err)
	}
}
