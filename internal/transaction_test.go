package internal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestNothingSlowStandsInATransaction reads the source: what is given to
// db.Write and db.Read mentions no context, and calls neither again. So it
// can't take a second connection, which with one in the pool would wait for
// itself, nor hash, nor go to the network: all of that wants a context, and a
// transaction's statements want none.
func TestNothingSlowStandsInATransaction(t *testing.T) {
	transactions := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		found, faults := transactionsOf(file)
		transactions += found
		for _, f := range faults {
			t.Errorf("%s: %s in a transaction", set.Position(f.Pos()), f.Name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if transactions < 20 {
		t.Errorf("only %d transactions were found: does this test still know how they look?", transactions)
	}
}

// TestASecondConnectionInATransactionIsFound holds the test above to its word.
func TestASecondConnectionInATransactionIsFound(t *testing.T) {
	for name, body := range map[string]string{
		"a read":             `return f.DB.Read(ctx, func(*db.Tx) error { return nil })`,
		"a write":            `return f.DB.Write(context.Background(), other)`,
		"a shared write":     `return f.DB.WriteShared(context.Background(), "row", other)`,
		"a hash":             `_, err := f.Hasher.Hash(ctx, "", password); return err`,
		"a context of later": `done := func() { f.again(ctx) }; done(); return nil`,
	} {
		source := `package x
func (f *Flow) Do(ctx context.Context) error {
	return f.DB.Write(ctx, func(tx *db.Tx) error { ` + body + ` })
}`
		file, err := parser.ParseFile(token.NewFileSet(), "x.go", source, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if _, faults := transactionsOf(file); len(faults) == 0 {
			t.Errorf("%s in a transaction was not found", name)
		}
	}
}

var takesTransaction = []string{"Read", "ReadShared", "Write", "WriteShared"}

// transactionsOf counts the functions of transactions in a file, and returns
// the names in them that must not be there.
func transactionsOf(file *ast.File) (found int, faults []*ast.Ident) {
	ast.Inspect(file, func(n ast.Node) bool {
		fn, ok := n.(*ast.FuncLit)
		if !ok || !takesTx(fn.Type) {
			return true
		}
		found++
		ast.Inspect(fn.Body, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Ident:
				if n.Name == "ctx" || n.Name == "context" {
					faults = append(faults, n)
				}
			case *ast.CallExpr:
				if s, ok := n.Fun.(*ast.SelectorExpr); ok && slices.Contains(takesTransaction, s.Sel.Name) && len(n.Args) >= 2 {
					faults = append(faults, s.Sel)
				}
			}
			return true
		})
		return true
	})
	return found, faults
}

// takesTx reports whether a function takes a *db.Tx and nothing else.
func takesTx(f *ast.FuncType) bool {
	if len(f.Params.List) != 1 {
		return false
	}
	star, ok := f.Params.List[0].Type.(*ast.StarExpr)
	if !ok {
		return false
	}
	s, ok := star.X.(*ast.SelectorExpr)
	return ok && s.Sel.Name == "Tx"
}
