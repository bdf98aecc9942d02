package mutant

import (
	"go/format"
	"strings"
	"testing"
)

// What is woven is the source with an if or a call around what has a mutant.
func TestMutantsAreWovenIntoTheSource(t *testing.T) {
	const source = `package p

const sql = "UPDATE t SET d = 1"

func f(ok bool) int {
	n := 1 + 2
	// n is distinguished from ok
	if ok && n > 2 {
		use("SELECT a WHERE b AND c")
	} else if n == 1 {
		return 7
	}
	n = n + 1
	return n
}
`
	woven, constants, pkg, err := weave(source, "p.go", []Mutant{
		{"a sum", "p.go", "1 + 2", "1"},
		{"a condition", "p.go", "ok && n > 2", "n > 2"},
		{"a text", "p.go", "WHERE b AND", "WHERE"},
		{"another text", "p.go", "AND c", ""},
		{"a chain", "p.go", "n == 1", "true"},
		{"a statement", "p.go", "n = n + 1", ""},
		{"a value", "p.go", "return 7", "return 8"},
		{"a constant", "p.go", "d = 1", "d = 2"},
		{"elsewhere", "q.go", "return 7", "return 9"},
	})
	if err != nil || pkg != "p" {
		t.Fatalf("package %q, %v", pkg, err)
	}
	if len(constants) != 1 || follow("const all = sql + other\nconst none = \"sqlx\"\n", constants) != "var   all = sql + other\nconst none = \"sqlx\"\n" {
		t.Errorf("the constants %q became variables, want sql, and all with it", constants)
	}
	formatted, err := format.Source([]byte(woven))
	if err != nil {
		t.Fatalf("%v:\n%s", err, woven)
	}
	for _, part := range []string{
		`var sql = mutantText("UPDATE t SET d = 1", 8)`,
		"n := 1 + 2\n\tif mutantIs(1) {\n\t\tn = 1\n\t}",
		"if mutantIs(2) {\n\t\tif n > 2 {",
		`use(mutantText("SELECT a WHERE b AND c", 3, 4))`,
		"} else if mutantIs(5) {",
		"if mutantIs(6) {\n\n\t} else {\n\t\tn = n + 1",
		"if mutantIs(7) {\n\t\t\t\t\treturn 8\n\t\t\t\t} else {\n\t\t\t\t\treturn 7",
	} {
		if !strings.Contains(string(formatted), part) {
			t.Errorf("no %q in:\n%s", part, formatted)
		}
	}
}

func TestAMutantThatNoLongerFitsIsAnError(t *testing.T) {
	_, _, _, err := weave("package p\n\n// a := 1\n", "p.go", []Mutant{{"a comment", "p.go", "a := 1", "a := 2"}})
	if err == nil || !strings.Contains(err.Error(), `mend the mutant "a comment"`) {
		t.Errorf("%v", err)
	}
}
