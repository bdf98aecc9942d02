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
// all Go that is not generated. A test's function may be longer, as a story is, and so may
// its line if one literal alone makes it so: what an attacker sends, say.
func TestNothingIsTooLongToRead(t *testing.T) {
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != ".." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "tools"):
			return fs.SkipDir
		case d.IsDir(), !strings.HasSuffix(path, ".go"):
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
	test := strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, filepath.Join("..", "internal", "test"))
	literals := map[int]int{} // the longest of each line of a test, in columns
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if lines := set.Position(n.End()).Line - set.Position(n.Pos()).Line + 1; n.Body != nil && lines > mostLines && !test {
				t.Errorf("%s: %s has %d lines, of %d: split it", set.Position(n.Pos()), n.Name.Name, lines, mostLines)
			}
		case *ast.BasicLit:
			for i, part := range strings.Split(n.Value, "\n") {
				line := set.Position(n.Pos()).Line + i
				literals[line] = max(literals[line], utf8.RuneCountInString(part))
			}
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
		columns := utf8.RuneCount(lines.Bytes())
		if test && columns-literals[n] <= mostColumns/2 {
			continue
		}
		if columns > mostColumns {
			t.Errorf("%s:%d: a line of %d columns, of %d: break it", path, n, columns, mostColumns)
		}
	}
	return lines.Err()
}
