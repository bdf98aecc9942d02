package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// Results is a whole run, as bench/results keeps it.
type Results struct {
	Began    time.Time `json:"began"`
	Commit   string    `json:"commit"`
	Go       string    `json:"go"`
	Cores    int       `json:"cores"`
	Postgres string    `json:"postgres"`
	Turn     string    `json:"turn"`
	Rounds   int       `json:"rounds"`
	Measures []Measure `json:"measures"`
}

// Measure is one goal: two sides' medians, and the median of the ratios of the
// rounds, in each of which both had a turn.
type Measure struct {
	Name   string    `json:"name"`
	What   string    `json:"what"` // ours : theirs
	Unit   string    `json:"unit"`
	Ours   float64   `json:"ours"`
	Theirs float64   `json:"theirs"`
	Ratio  float64   `json:"ratio"`
	Rounds []float64 `json:"rounds,omitempty"`
	// The goal; without either the measure is there to be read.
	AtLeast float64 `json:"at_least,omitempty"`
	AtMost  float64 `json:"at_most,omitempty"`
	Note    string  `json:"note,omitempty"`
	Command string  `json:"command"`
}

// Met reports whether the goal is reached.
func (m Measure) Met() bool {
	return (m.AtLeast == 0 || m.Ratio >= m.AtLeast) && (m.AtMost == 0 || m.Ratio <= m.AtMost)
}

func (m Measure) goal() string {
	switch {
	case m.AtLeast > 0 && m.AtMost > 0:
		return fmt.Sprintf("%g to %g", m.AtLeast, m.AtMost)
	case m.AtLeast > 0:
		return fmt.Sprintf("≥ %g", m.AtLeast)
	case m.AtMost > 0:
		return fmt.Sprintf("≤ %g", m.AtMost)
	}
	return ""
}

func (m Measure) verdict() string {
	switch {
	case m.goal() == "":
		return ""
	case m.Met():
		return "yes"
	}
	return "**no**"
}

func (m Measure) String() string {
	return fmt.Sprintf("%s: %.4g and %.4g %s, ratio %.2f (goal %s)", m.What, m.Ours, m.Theirs, m.Unit, m.Ratio, m.goal())
}

func newResults(r *run) *Results {
	version, err := exec.Command("pg_config", "--version").Output()
	if err != nil {
		version = []byte("PostgreSQL of scripts/servers")
	}
	return &Results{
		Began: time.Now().UTC().Truncate(time.Second), Commit: commit(), Go: runtime.Version(), Cores: runtime.NumCPU(),
		Postgres: strings.TrimSpace(string(version)), Turn: r.turn.String(), Rounds: r.rounds,
	}
}

// The files that a whole run writes.
const (
	resultsFolder = "bench/results"
	document      = "docs/performance.md"
)

// write keeps the results. A run of some measures alone prints them and leaves
// the files of the last whole one.
func (r *Results) write(whole bool) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	b = append(b, '\n')
	if !whole {
		_, err := os.Stdout.Write(b)
		return err
	}
	page, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	after, err := r.insert(string(page))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(resultsFolder, 0o755); err != nil { //nolint:gosec // for everybody
		return err
	}
	if err := os.WriteFile(document, []byte(after), 0o644); err != nil { //nolint:gosec // a document for everybody
		return err
	}
	return os.WriteFile(filepath.Join(resultsFolder, "latest.json"), b, 0o644) //nolint:gosec // for everybody
}

var between = regexp.MustCompile(`(?s)<!-- bench:begin -->\n.*<!-- bench:end -->`)

// insert puts the table between the document's markers.
func (r *Results) insert(page string) (string, error) {
	if !between.MatchString(page) {
		return "", fmt.Errorf("%s has no lines <!-- bench:begin --> and <!-- bench:end -->", document)
	}
	table := "<!-- bench:begin -->\n" + r.table() + "<!-- bench:end -->"
	return between.ReplaceAllLiteralString(page, table), nil
}

func (r *Results) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured %s at %s: %s, %s, %d cores shared by client, server and database; %d turns of %s a side.\n\n",
		r.Began.Format(time.DateOnly), r.Commit, r.Go, r.Postgres, r.Cores, r.Rounds, r.Turn)
	b.WriteString("| ours : theirs | ours | theirs | ratio | goal | met | made by |\n|---|---|---|---|---|---|---|\n")
	for _, m := range r.Measures {
		what := m.What
		if m.Note != "" {
			what += " (" + m.Note + ")"
		}
		fmt.Fprintf(&b, "| %s | %.4g %s | %.4g | **%.2f** | %s | %s | `%s` |\n", what, m.Ours, m.Unit, m.Theirs, m.Ratio, m.goal(), m.verdict(), m.Command)
	}
	return b.String()
}
