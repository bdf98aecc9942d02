package internal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// endsSessions are the functions of package session that set a session's end; ends are those, one of which whoever calls them calls too:
// they end what was granted under it, and tell applications.
var (
	endsSessions = []string{"End", "EndAll", "EndBegan", "EndOldest"}
	ends         = []string{"EndSession", "RevokeSession", "endGrants", "TellEnded", "revoked"}
	setsEnd      = regexp.MustCompile(`(?s)UPDATE session SET[^` + "`" + `]*ended_at\s*=`)
)

// TestWhoEndsASessionTellsApplications reads the source: package session alone sets a session's end, and whoever has it do so does what the end of a
// session means for applications. Only who replaces a session by another of the same person ([session.Replace]) does not.
func TestWhoEndsASessionTellsApplications(t *testing.T) {
	found := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		within := filepath.ToSlash(filepath.Dir(path)) == "../internal/feature/session"
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.BasicLit); ok && setsEnd.MatchString(s.Value) && !within {
				t.Errorf("%s: sets a session's end", set.Position(s.Pos()))
			}
			return true
		})
		for _, f := range file.Decls {
			calls := calledIn(f)
			if within || !slices.ContainsFunc(endsSessions, func(name string) bool { return calls["session."+name] || calls["Sessions."+name] }) {
				continue
			}
			found++
			if !slices.ContainsFunc(ends, func(name string) bool { return calls[name] }) {
				t.Errorf("%s: ends a session, and neither what was granted under it nor a word to applications follows", set.Position(f.Pos()))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 9 {
		t.Errorf("only %d functions end sessions: does this test still know how they look?", found)
	}
}

// calledIn returns what a function calls: by its name, and with the last word before that.
func calledIn(f ast.Decl) map[string]bool {
	out := map[string]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		c, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		switch fn := c.Fun.(type) {
		case *ast.Ident:
			out[fn.Name] = true
		case *ast.SelectorExpr:
			switch x := fn.X.(type) {
			case *ast.Ident:
				out[x.Name+"."+fn.Sel.Name] = true
			case *ast.SelectorExpr:
				out[x.Sel.Name+"."+fn.Sel.Name] = true
			}
			if x, ok := fn.X.(*ast.SelectorExpr); !ok || x.Sel.Name != "Revoked" && x.Sel.Name != "Revocations" { // these end access tokens alone
				out[fn.Sel.Name] = true
			}
		}
		return true
	})
	return out
}
