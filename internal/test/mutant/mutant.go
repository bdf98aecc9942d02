// Package mutant judges tests: whether they notice the mistakes one could make in the
// code that they test. A test binary is built once with all the mistakes inside, each of
// them asleep (mutant schemata: Untch, Offutt and Harrold, 1993), and run once for each
// with that one awake. To compile each mutant by itself would take most of the time.
package mutant

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Mutant is one mistake: the text From, wherever it is in the file, becomes To. It
// is in string literals, or within statements of a function.
type Mutant = struct {
	Name, File, From, To string
}

// Variable is set in the runs that judge a mutant, to its number from 1 on; tests that
// judge mutants do nothing then.
const Variable = "GATEHOUSE_MUTANT"

// Judge runs the tests of the current package that match the pattern once with no mutant,
// which they must pass, and once with each, which they must not.
func Judge(t *testing.T, pattern string, mutants []Mutant) {
	t.Helper()
	if os.Getenv(Variable) != "" {
		return
	}
	binary := build(t, mutants)
	if out, err := run(binary, pattern, 0); err != nil {
		t.Fatalf("no mutant: the tests do not pass: %v\n%s", err, out)
	}
	busy := make(chan struct{}, runtime.GOMAXPROCS(0))
	type verdict struct {
		out []byte
		err error
	}
	verdicts := make([]chan verdict, len(mutants))
	for i := range mutants {
		verdicts[i] = make(chan verdict, 1)
		go func() {
			busy <- struct{}{}
			defer func() { <-busy }()
			out, err := run(binary, pattern, i+1)
			verdicts[i] <- verdict{out, err}
		}()
	}
	for i, m := range mutants {
		t.Run(m.Name, func(t *testing.T) {
			switch v := <-verdicts[i]; {
			case v.err == nil:
				t.Errorf("the tests pass although %s", m.Name)
			case !strings.Contains(string(v.out), "--- FAIL"):
				t.Errorf("%s: no test failed, the run itself did: %v\n%s", m.Name, v.err, v.out)
			}
		})
	}
}

// run runs the tests with a mutant awake; 0 is none.
func run(binary, pattern string, number int) ([]byte, error) {
	c := exec.Command(binary, "-test.run", pattern, "-test.failfast", "-test.timeout", "10m") //nolint:gosec // built by build
	c.Env = append(os.Environ(), Variable+"="+strconv.Itoa(number), "RAPID_NOFAILFILE=1", "RAPID_SHRINKTIME=1ms")
	return c.CombinedOutput()
}

// build builds the tests of the current package with all mutants inside.
func build(t *testing.T, mutants []Mutant) (binary string) {
	t.Helper()
	dir := t.TempDir()
	replace := map[string]string{}
	put := func(original, content string) {
		path := filepath.Join(dir, fmt.Sprintf("%d.go", len(replace)))
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[original] = path
	}
	folders := map[string]string{} // the package of each
	var constants []string         // that are none any more
	for _, name := range files(mutants) {
		path, source := read(t, name)
		changed, made, pkg, err := weave(source, name, mutants)
		if err != nil {
			t.Fatal(err)
		}
		put(path, changed)
		folders[filepath.Dir(path)] = pkg
		constants = append(constants, made...)
	}
	for folder, pkg := range folders {
		put(filepath.Join(folder, "mutants.go"), switches(pkg, mutants))
		others, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range others {
			_, source := read(t, path)
			if changed := follow(source, constants); changed != source && replace[path] == "" {
				put(path, changed)
			}
		}
	}
	return compile(t, dir, replace)
}

// compile builds the tests of the working directory's package, with files in the place of others.
func compile(t *testing.T, dir string, replace map[string]string) (binary string) {
	t.Helper()
	list := filepath.Join(dir, "overlay.json")
	b, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err == nil {
		err = os.WriteFile(list, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	binary = filepath.Join(dir, "mutants.test")
	cmd := exec.Command("go", "test", "-c", "-ldflags", "-s -w", "-overlay", list, "-o", binary, ".") //nolint:gosec // made above
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the mutants: %v\n%s", err, out)
	}
	return binary
}

// read returns a file of this repository, and where it is.
func read(t *testing.T, name string) (path, source string) {
	t.Helper()
	path, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path) //nolint:gosec // of this repository
	if err != nil {
		t.Fatal(err)
	}
	return path, string(b)
}

// files are those that have a mutant.
func files(mutants []Mutant) []string {
	names := map[string]bool{}
	for _, m := range mutants {
		names[m.File] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// switches is a file that wakes one mutant.
func switches(pkg string, mutants []Mutant) string {
	var table strings.Builder
	for i, m := range mutants {
		fmt.Fprintf(&table, "\t%d: {%q, %q},\n", i+1, m.From, m.To)
	}
	return fmt.Sprintf(`package %s

import (
	"os"
	"strconv"
	"strings"
)

var mutantNumber, _ = strconv.Atoi(os.Getenv(%q))

var mutantTexts = map[int][2]string{
%s}

func mutantIs(number int) bool { return mutantNumber == number }

func mutantText(s string, numbers ...int) string {
	for _, n := range numbers {
		if n == mutantNumber {
			return strings.ReplaceAll(s, mutantTexts[n][0], mutantTexts[n][1])
		}
	}
	return s
}
`, pkg, Variable, table.String())
}
