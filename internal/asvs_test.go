package internal_test

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// update rewrites docs/asvs.md:
//
//	go test ./internal -run TestASVS -update
var update = flag.Bool("update", false, "rewrite docs/asvs.md")

// asvsRow is a line of testdata/asvs.tsv: how one requirement of the OWASP
// Application Security Verification Standard 5.0 is dealt with.
type asvsRow struct {
	id, level string
	state     string   // one of asvsStates
	how       string   // in one sentence
	proof     []string // names of tests, or paths from the root of the repository
}

// asvsStates are what may become of a requirement, with its heading on the page.
var asvsStates = map[string]string{
	"met":      "met",
	"untested": "met, no test yet",
	"open":     "not wholly met",
	"later":    "waits for its capability",
	"refused":  "refused",
}

func readTable(t *testing.T, path, header string) [][]string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	if lines[0] != header {
		t.Fatalf("%s begins with %q, not %q", path, lines[0], header)
	}
	var rows [][]string
	for i, line := range lines[1:] {
		cells := strings.Split(line, "\t")
		if len(cells) != strings.Count(header, "\t")+1 {
			t.Fatalf("%s, line %d has %d cells", path, i+2, len(cells))
		}
		rows = append(rows, cells)
	}
	return rows
}

func readASVS(t *testing.T) (rows []asvsRow) {
	t.Helper()
	for _, cells := range readTable(t, "testdata/asvs.tsv", "id\tlevel\tstate\thow\tproof") {
		r := asvsRow{id: cells[0], level: cells[1], state: cells[2], how: cells[3]}
		if cells[4] != "" {
			r.proof = strings.Split(cells[4], ", ")
		}
		rows = append(rows, r)
	}
	return rows
}

var testFunction = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(\w+ \*testing\.[TF]\)`)

// testsByName returns the package or packages of every test and fuzz target.
func testsByName(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		in := filepath.ToSlash(strings.TrimPrefix(filepath.Dir(path), "../"))
		for _, m := range testFunction.FindAllSubmatch(b, -1) {
			if name := string(m[1]); !slices.Contains(found[name], in) {
				found[name] = append(found[name], in)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Every requirement has a line, and every proof that a line names is there: a test
// that is renamed or deleted takes its requirement with it.
func TestASVS_EachRowHasItsProof(t *testing.T) {
	rows, tests := readASVS(t), testsByName(t)
	standard := readTable(t, "testdata/asvs-5.0.tsv", "id\tlevel")
	if len(rows) != len(standard) {
		t.Errorf("asvs.tsv has %d rows, the standard %d", len(rows), len(standard))
	}
	for i, want := range standard {
		if i < len(rows) && (rows[i].id != want[0] || rows[i].level != want[1]) {
			t.Fatalf("row %d is %s %s, the standard has %s %s there", i+1, rows[i].id, rows[i].level, want[0], want[1])
		}
	}
	for _, r := range rows {
		if _, ok := asvsStates[r.state]; !ok {
			t.Errorf("%s: %q is no state", r.id, r.state)
		}
		if r.how == "" || strings.HasSuffix(r.how, ".") {
			t.Errorf("%s: say in one sentence how it is met, or why not, without a full stop", r.id)
		}
		if r.state == "met" && len(r.proof) == 0 {
			t.Errorf("%s is met and names no proof", r.id)
		}
		if r.state == "untested" && slices.ContainsFunc(r.proof, func(p string) bool { return strings.Contains(p, strings.ReplaceAll(r.id, ".", "_")+"_") }) {
			t.Errorf("%s has a test of its own: say met", r.id)
		}
		for _, p := range r.proof {
			if !strings.HasPrefix(p, "Test") && !strings.HasPrefix(p, "Fuzz") {
				if _, err := os.Stat(filepath.Join("..", p)); err != nil {
					t.Errorf("%s names %s: %v", r.id, p, err)
				}
			} else if len(tests[p]) == 0 {
				t.Errorf("%s names %s, and there is no such test", r.id, p)
			}
		}
	}
}

var asvsTest = regexp.MustCompile(`^TestASVS_((?:V\d+_\d+_\d+_)+)`)

// missingProofs returns the tests that are named after a requirement and do not
// stand in its row, by the row's id.
func missingProofs(rows []asvsRow, tests map[string][]string) map[string][]string {
	named := map[string]bool{}
	for _, r := range rows {
		for _, p := range r.proof {
			named[r.id+" "+p] = true
		}
	}
	missing := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		m := asvsTest.FindStringSubmatch(name)
		if m == nil {
			continue
		}
		for _, v := range regexp.MustCompile(`V\d+_\d+_\d+`).FindAllString(m[1], -1) {
			if id := strings.ReplaceAll(v, "_", "."); !named[id+" "+name] {
				missing[id] = append(missing[id], name)
			}
		}
	}
	return missing
}

// A test that is named after a requirement stands in the requirement's row; with
// -update it is written there.
func TestASVS_EachTestNamedAfterARowIsInIt(t *testing.T) {
	rows := readASVS(t)
	missing := missingProofs(rows, testsByName(t))
	if *update && len(missing) > 0 {
		b := bytes.NewBufferString("id\tlevel\tstate\thow\tproof\n")
		for _, r := range rows {
			fmt.Fprintf(b, "%s\t%s\t%s\t%s\t%s\n", r.id, r.level, r.state, r.how, strings.Join(append(r.proof, missing[r.id]...), ", "))
		}
		if err := os.WriteFile("testdata/asvs.tsv", b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for id, names := range missing {
		t.Errorf("%s is not in the row %s of testdata/asvs.tsv: go test ./internal -run TestASVS -update", strings.Join(names, ", "), id)
	}
}

// docs/asvs.md is what the table says.
func TestASVS_ThePageIsTheTable(t *testing.T) {
	page := asvsPage(readASVS(t), testsByName(t))
	const path = "../docs/asvs.md"
	if *update {
		if err := os.WriteFile(path, page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(old, page) {
		t.Error("docs/asvs.md is not what testdata/asvs.tsv says: go test ./internal -run TestASVS -update")
	}
}

const asvsHead = `# ASVS 5.0, row by row

What becomes of each requirement of the [OWASP Application Security Verification Standard 5.0](https://github.com/OWASP/ASVS) that bears on an
authentication server: how it is met, and the test that fails if it no longer is. Rows that have nothing to do with such a server
(file uploads, WebRTC and the like) are left out. The ids are the standard's (CC BY-SA 4.0); the words are ours, so read the standard beside it.

This page is made from ` + "`internal/testdata/asvs.tsv`" + `. A test fails when a row is missing, or when a test that it names is gone.

`

func asvsPage(rows []asvsRow, tests map[string][]string) []byte {
	var b bytes.Buffer
	b.WriteString(asvsHead)
	order := []string{"met", "untested", "open", "later", "refused"}
	b.WriteString("| level |")
	for _, s := range order {
		fmt.Fprintf(&b, " %s |", asvsStates[s])
	}
	b.WriteString(" all |\n|---|---|---|---|---|---|---|\n")
	for _, level := range []string{"L1", "L2", "L3", ""} {
		name, n, all := level, map[string]int{}, 0
		for _, r := range rows {
			if level == "" || r.level == level {
				n[r.state]++
				all++
			}
		}
		if name == "" {
			name = "all"
		}
		fmt.Fprintf(&b, "| %s |", name)
		for _, s := range order {
			fmt.Fprintf(&b, " %d |", n[s])
		}
		fmt.Fprintf(&b, " %d |\n", all)
	}
	chapter := ""
	for _, r := range rows {
		if c, _, _ := strings.Cut(r.id, "."); c != chapter {
			chapter = c
			fmt.Fprintf(&b, "\n## %s\n\n| id | level | | how | proof |\n|---|---|---|---|---|\n", chapter)
		}
		var proof []string
		for _, p := range r.proof {
			cell := "`" + p + "`"
			if in := tests[p]; len(in) > 0 {
				cell += " (" + strings.Join(in, ", ") + ")"
			}
			proof = append(proof, cell)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s. | %s |\n", r.id, r.level, asvsStates[r.state], r.how, strings.Join(proof, ", "))
	}
	return b.Bytes()
}
