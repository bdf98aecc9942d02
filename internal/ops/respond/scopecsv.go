package respond

import (
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// ScopeHeads are the heads of a scope's table, and of its CSV.
var ScopeHeads = []string{"ACCOUNT", "EMAIL", "GOT IN", "TRIES", "SIGN-INS", "REUSED", "SESSIONS", "GIVEN TO", "DID", "FIRST", "LAST"}

// Cells are a person's line under [ScopeHeads].
func (t Touch) Cells() []string {
	in := "no"
	if t.In() {
		in = "yes"
	}
	return []string{
		t.Account, t.Email, in, fmt.Sprint(t.Tries), fmt.Sprint(t.Ins), fmt.Sprint(t.Reused), fmt.Sprint(len(t.Sessions)), tallied(t.Given), tallied(t.Did),
		stamped(t.First), stamped(t.Last),
	}
}

// tallied writes counts by name, in the order of the names.
func tallied[K ~string](counts map[K]int64) string {
	words := make([]string, 0, len(counts))
	for k, n := range counts {
		words = append(words, fmt.Sprintf("%s:%d", k, n))
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

func stamped(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

// WriteCSV writes everybody who was touched, one person a line.
func (s Scope) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	_ = out.Write(ScopeHeads) // Flush has the error
	for _, p := range s.People {
		_ = out.Write(harmless(p.Cells()))
	}
	out.Flush()
	return out.Error()
}

// CSVName is what the file is called: a scope that stopped early says so, since its lines can't.
func (s Scope) CSVName(incident string) string {
	if !s.Stopped.IsZero() {
		return incident + "-scope-stopped.csv"
	}
	return incident + "-scope.csv"
}

// harmless keeps cells from being formulas, which a spreadsheet would compute: an address may begin with one, also behind blanks and in the
// wide forms that some spreadsheets take for the narrow ones.
func harmless(cells []string) []string {
	for i, c := range cells {
		first := strings.TrimLeft(c, " \u00a0\u3000\"'")
		if first != "" && strings.ContainsRune("=+-@\t\r\n|%＝＋－＠", []rune(first)[0]) {
			cells[i] = "'" + c
		}
	}
	return cells
}
