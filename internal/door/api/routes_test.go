package api

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
)

func TestTheDocumentAndTheRoutesAreTheSame(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatalf("openapi.yaml is not valid: %v", err)
	}
	var described []string
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			described = append(described, method+" "+path)
		}
	}
	served := writtenRoutes(t)
	slices.Sort(described)
	slices.Sort(served)
	if diff := cmp.Diff(described, served); diff != "" {
		t.Errorf("described (-) and served (+) differ:\n%s", diff)
	}
}

// writtenRoutes returns the patterns of all types of this package: whatever stands in a
// web.Routes, be the type new or old.
func writtenRoutes(t *testing.T) (patterns []string) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			list, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			if of, ok := list.Type.(*ast.SelectorExpr); !ok || of.Sel.Name != "Routes" {
				return true
			}
			for _, e := range list.Elts {
				key, ok := e.(*ast.KeyValueExpr).Key.(*ast.BasicLit)
				if !ok {
					t.Fatalf("%s: a pattern is no literal", name)
				}
				pattern, err := strconv.Unquote(key.Value)
				if err != nil {
					t.Fatal(err)
				}
				patterns = append(patterns, pattern)
			}
			return true
		})
	}
	return patterns
}

func TestTheServedDocumentIsTheWrittenOne(t *testing.T) {
	served, err := document()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openapi3.NewLoader().LoadFromData(served); err != nil {
		t.Errorf("/openapi.json can't be loaded: %v", err)
	}
}
