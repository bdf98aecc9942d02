package internal_test

import (
	"bufio"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// The most that a reader is asked to take in at once.
const (
	mostColumns = 160 // of a line; a tab counts as one
	mostLines   = 60  // of a function, its first and its last included
)

// TestNothingIsTooLongToRead: no function is over 60 lines and no line over 160 columns, in
// all Go that is not a test or generated.
func TestNothingIsTooLongToRead(t *testing.T) {
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path == filepath.Join("..", "cmd"):
			return fs.SkipDir // its commands are about to become a folder a noun; this line goes with that
		case path == filepath.Join("..", "internal", "test"):
			return fs.SkipDir // tests, although not all of its files are named so
		case d.IsDir() && path != ".." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "tools"):
			return fs.SkipDir
		case d.IsDir(), !strings.HasSuffix(path, ".go"), strings.HasSuffix(path, "_test.go"):
			return nil
		}
		return checkShape(t, path)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkShape(t *testing.T, path string) error {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, nil, parser.ParseComments)
	if err != nil {
		return err
	}
	if ast.IsGenerated(file) {
		return nil
	}
	ast.Inspect(file, func(n ast.Node) bool {
		f, ok := n.(*ast.FuncDecl)
		if !ok || f.Body == nil {
			return true
		}
		if lines := set.Position(f.End()).Line - set.Position(f.Pos()).Line + 1; lines > mostLines {
			t.Errorf("%s: %s has %d lines, of %d: split it", set.Position(f.Pos()), f.Name.Name, lines, mostLines)
		}
		return true
	})
	text, err := os.Open(path) //nolint:gosec // a file of this repository
	if err != nil {
		return err
	}
	defer text.Close()
	lines := bufio.NewScanner(text)
	for n := 1; lines.Scan(); n++ {
		if columns := utf8.RuneCount(lines.Bytes()); columns > mostColumns {
			t.Errorf("%s:%d: a line of %d columns, of %d: break it", path, n, columns, mostColumns)
		}
	}
	return lines.Err()
}
