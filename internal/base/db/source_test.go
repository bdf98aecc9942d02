package db_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/constant"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/schema"
)

// takesSQL are the names of methods whose first string is a statement, here and
// in the drivers, whatever their letters' case.
var takesSQL = []string{
	"exec", "execcontext", "execparams", "query", "querycontext", "queryrow", "queryrowcontext", "prepare", "preparecontext",
	"defer", "queue", "enqueue", "deallocate", "send", "superuser",
}

// notConstant are the functions that may pass on a statement that is no constant
// expression, each with its reason.
var notConstant = map[string]string{
	"internal/base/db.Tx.Exec":                 "a feature's own, which is looked at where the feature calls",
	"internal/base/db.Tx.Query":                "the same",
	"internal/base/db.Tx.QueryRow":             "the same",
	"internal/base/db.Tx.Defer":                "the same",
	"internal/base/db.pgTx.send":               "the same, once more",
	"internal/base/db.pgTx.query":              "the same",
	"internal/base/db.pgTx.flush":              "the same",
	"internal/base/db.shared.round":            "the same",
	"internal/base/db.liteReader.stmt":         "the same",
	"internal/base/db.liteWriter.enqueue":      "the same",
	"internal/base/db.writer.stmt":             "the same",
	"internal/base/db.pgSnapshot.row":          "a constant, which is looked at where the snapshot is read",
	"internal/base/db.liteSnapshot.row":        "the same",
	"internal/base/db.liteSnapshot.copy":       "names of tables and columns are package schema's, which a test holds against the database",
	"internal/base/db.pgLoad.part":             "the same, and the manifest's, which have to be letters; an empty database's owner loads",
	"internal/base/db.liteLoad.part":           "the same",
	"internal/base/db.liteLoad.all":            "indexes and triggers of the database's own schema, dropped and made again",
	"internal/base/db.pgLoad.strip":            "the same, as the database itself writes them",
	"internal/base/db.pgLoad.makeAgain":        "the same",
	"internal/base/db.migrator.schema":         "one of two constants, by the database",
	"internal/base/db.runRoles":                "identifiers of roles can't be parameters: roleSQL quotes them",
	"internal/ops/backup.Restore.empty":        "names of tables are package schema's, and the condition is one of two constants",
	"internal/base/db/dbtest.Superuser":        "tests' own databases and roles",
	"internal/base/db/dbtest.Superuser18":      "the same",
	"internal/base/db/dbtest.server.superuser": "the same",
	"internal/base/db/dbtest.server.create":    "the same",
	"internal/base/db/dbtest.server.drop":      "the same",
	"internal/base/db/dbtest.Server.Exec":      "tests' own, said to a server of theirs",
	"bench.bareWriter.run":                     "a benchmark's constants, from a list",
	"bench.run.superuser":                      "a benchmark's own database, which it names itself",
	"bench.run.database":                       "the same",
	"bench.run.clean":                          "the same",
	"bench.stock.drop":                         "the same",
}

const module = "github.com/gatehouse-auth/gatehouse/"

// listed is a package, as go list prints it.
type listed struct {
	ImportPath, Dir, Export string
	GoFiles                 []string
}

// sourcePackages returns all packages of the binary, and a reader of what they
// import.
func sourcePackages(t *testing.T) ([]listed, *token.FileSet, types.Importer) {
	t.Helper()
	cmd := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles", "./...")
	cmd.Dir, cmd.Stderr = "../../..", os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var ours []listed
	exports := map[string]string{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		exports[p.ImportPath] = p.Export
		if strings.HasPrefix(p.ImportPath, module) {
			ours = append(ours, p)
		}
	}
	fset := token.NewFileSet()
	return ours, fset, importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
}

// statementSeen is one place where SQL is handed on.
type statementSeen struct {
	function string // such as internal/base/db.Tx.Exec
	at       string
	sql      string
	constant bool
}

// statementsInSource finds every call that takes SQL in the whole source, tests
// aside, and every such method that is not called but passed on.
func statementsInSource(t *testing.T) []statementSeen {
	t.Helper()
	packages, fset, imports := sourcePackages(t)
	var seen []statementSeen
	for _, p := range packages {
		var files []*ast.File
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Selections: map[*ast.SelectorExpr]*types.Selection{}}
		if _, err := (&types.Config{Importer: imports}).Check(p.ImportPath, fset, files, info); err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			for _, decl := range f.Decls {
				within := strings.TrimPrefix(p.ImportPath, module) + "." + declared(decl)
				called := map[ast.Expr]*ast.CallExpr{}
				ast.Inspect(decl, func(n ast.Node) bool {
					if call, ok := n.(*ast.CallExpr); ok {
						called[ast.Unparen(call.Fun)] = call
					}
					s, ok := n.(*ast.SelectorExpr)
					if !ok {
						return true
					}
					at := statementParameter(info, s)
					if at < 0 {
						return true
					}
					one := statementSeen{function: within, at: fset.Position(s.Pos()).String()}
					if call := called[s]; call != nil && at < len(call.Args) {
						if v := info.Types[call.Args[at]].Value; v != nil {
							one.sql, one.constant = constant.StringVal(v), true
						}
					}
					seen = append(seen, one)
					return true
				})
			}
		}
	}
	return seen
}

// statementParameter returns which parameter of the method is SQL, or -1.
func statementParameter(info *types.Info, s *ast.SelectorExpr) int {
	if !slices.Contains(takesSQL, strings.ToLower(s.Sel.Name)) {
		return -1
	}
	sig, ok := info.TypeOf(s).(*types.Signature)
	if !ok {
		return -1
	}
	for i := range sig.Params().Len() {
		if b, ok := sig.Params().At(i).Type().Underlying().(*types.Basic); ok && b.Kind() == types.String {
			return i
		}
	}
	return -1
}

// declared names a declaration: Type.Method, Function, or nothing.
func declared(d ast.Decl) string {
	f, ok := d.(*ast.FuncDecl)
	if !ok {
		return ""
	}
	if f.Recv == nil {
		return f.Name.Name
	}
	of := f.Recv.List[0].Type
	if star, ok := of.(*ast.StarExpr); ok {
		of = star.X
	}
	return of.(*ast.Ident).Name + "." + f.Name.Name
}

// DB-5: no statement is made at run time, so nothing that anyone sends can become
// a part of one.
func TestDB5_EveryStatementIsAConstant(t *testing.T) {
	used := map[string]bool{}
	constants := 0
	for _, s := range statementsInSource(t) {
		switch {
		case s.constant:
			constants++
		case strings.HasPrefix(s.function, "internal/test/"): // tests of the whole server, which ask what they like
		case notConstant[s.function] != "":
			used[s.function] = true
		default:
			t.Errorf("%s: %s hands on SQL that is no constant expression", s.at, s.function)
		}
	}
	for f := range notConstant {
		if !used[f] {
			t.Errorf("%s is an exception, and needs to be none", f)
		}
	}
	if constants < 40 {
		t.Errorf("only %d statements were found: this test looks past them", constants)
	}
}

// The parts of a statement that show which rights it needs. Names of tables are in small
// letters, and functions have a parenthesis behind them.
var rightsTaken = map[string]*regexp.Regexp{
	"INSERT": regexp.MustCompile(`INSERT INTO ([a-z_]+)`),
	"UPDATE": regexp.MustCompile(`UPDATE ([a-z_]+)\s`),
	"DELETE": regexp.MustCompile(`DELETE FROM ([a-z_]+)`),
	"SELECT": regexp.MustCompile(`(?:FROM|JOIN) ([a-z_]+)(?:[^a-z_(]|$)`),
}

// DB-2: the serving role has the rights that the source's statements take, no
// fewer and no others.
func TestDB2_GrantsAreWhatTheSourceNeeds(t *testing.T) {
	needs := map[string][]string{"schema_lock": nil} // the migrating library's
	for _, t := range schema.BackedUp() {
		needs[t.Name] = []string{"SELECT"} // a backup reads it
	}
	for _, s := range statementsInSource(t) {
		if strings.HasPrefix(s.function, "internal/base/db.pgLoad.") || strings.HasPrefix(s.function, "internal/base/db.liteLoad.") ||
			s.function == "internal/ops/backup.Restore.rename" {
			continue // a restore is the owner's
		}
		if s.function == "internal/base/db.forbidden" {
			continue // what must be refused
		}
		for right, pattern := range rightsTaken {
			for _, m := range pattern.FindAllStringSubmatch(s.sql, -1) {
				table := m[1]
				if strings.HasPrefix(table, "pg_") || strings.HasPrefix(table, "sqlite_") || strings.HasPrefix(s.function, "internal/base/db/dbtest.") {
					continue
				}
				rights := []string{right}
				if right == "INSERT" && strings.Contains(s.sql, "DO UPDATE") {
					rights = append(rights, "UPDATE", "SELECT") // it looks which row is in the way
				}
				for _, right := range rights {
					if !slices.Contains(needs[table], right) {
						needs[table] = append(needs[table], right)
					}
				}
			}
		}
	}
	for table := range needs {
		slices.Sort(needs[table])
	}
	granted := map[string][]string{}
	for table, rights := range db.GrantedRights() {
		granted[table] = slices.Sorted(slices.Values(rights))
	}
	if diff := cmp.Diff(needs, granted); diff != "" {
		t.Errorf("the serving role's rights (-taken by the source's statements +granted in grants.go):\n%s", diff)
	}
}
