package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

func TestMain(m *testing.M) {
	// Scripts run in parallel, and wait for the processes that they start.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	testscript.Main(m, map[string]func(){"gatehouse": main, "converse": converse})
}

// TestSQLite runs testdata/*.txtar with the real command line, each in a folder
// of its own with the database that Gatehouse makes there.
func TestSQLite(t *testing.T) {
	testscript.Run(t, params("testdata/*.txtar", ""))
}

// TestPostgres runs those again that are about what the database keeps.
func TestPostgres(t *testing.T) {
	for kind, database := range map[string]func(testing.TB) string{
		"migrate": dbtest.EmptyPostgres, "user": dbtest.Postgres, "session": dbtest.Postgres, "incident": dbtest.Postgres, "restore": dbtest.EmptyPostgres,
		"backup_move": dbtest.EmptyPostgres,
	} {
		for _, file := range scripts("testdata/" + kind + "*.txtar") {
			testscript.Run(t, params(file, database(t)))
		}
	}
}

// params runs the scripts that the pattern names. Without a URL of a database
// they use the default one.
func params(pattern, databaseURL string) testscript.Params {
	return testscript.Params{
		Files:              scripts(pattern),
		RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("DATABASE_URL", databaseURL)
			// The system chooses free ports, and hashing is quick.
			e.Setenv("LISTEN_ADDR", "127.0.0.1:0")
			e.Setenv("ADMIN_LISTEN_ADDR", "127.0.0.1:0")
			e.Setenv("BCRYPT_COST", "4")
			e.Values[underWay{}] = new(net.Conn)
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name != "postgres" {
				return false, fmt.Errorf("unknown condition %s", name)
			}
			return databaseURL != "", nil
		},
		Cmds: scriptCommands,
	}
}

func scripts(pattern string) []string {
	files, err := filepath.Glob(pattern)
	if err != nil {
		panic(err) // a bad pattern
	}
	return files
}

// TestHelp asks of every command, and of every group of them, what it does and
// an example that names it.
func TestHelp(t *testing.T) {
	var walk func(n *kong.Node)
	walk = func(n *kong.Node) {
		for _, child := range n.Children {
			walk(child)
		}
		if n.Parent == nil {
			return
		}
		name := n.FullPath()
		if n.Help == "" {
			t.Errorf("%s: no line says what it does", name)
		}
		text, example, found := strings.Cut(n.Detail, "Example")
		if !found || !strings.Contains(example, "\n  ") || !strings.Contains(example, name) {
			t.Errorf("%s --help has no example of it:\n%s", name, text+example)
		}
		for _, f := range n.Flags {
			if f.Help == "" {
				t.Errorf("%s: --%s is not explained", name, f.Name)
			}
		}
		for _, p := range n.Positional {
			if p.Help == "" {
				t.Errorf("%s: <%s> is not explained", name, p.Name)
			}
		}
	}
	walk(newParser(&commands{}, kong.Writers(io.Discard, io.Discard)).Model.Node)
}
