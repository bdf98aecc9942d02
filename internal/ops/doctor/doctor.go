// Package doctor judges a deployment that runs: not what was meant, but the settings in force,
// the database as it answers, the keys as they are.
//
// A [Check] asks one thing, under the id that the guide's line has everywhere in Gatehouse
// (DB-1, JWT-2, …), and finds evidence and advice. [Run] asks all of them, a [Baseline] takes
// out what an operator has accepted, and a [Report] is written for people or for programs. The
// checks themselves stand in the rooms that they are about; app hands them over.
//
// The doctor changes nothing, shows no secret, and says what it could not find out and why:
// what nobody looked at is not well.
package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Severity is how much a finding matters.
type Severity string

// The severities, in the order of their weight.
const (
	Low      Severity = "low"
	Medium   Severity = "medium"
	High     Severity = "high"
	Critical Severity = "critical"
)

// Severities returns all, the lightest first.
func Severities() []Severity { return []Severity{Low, Medium, High, Critical} }

// AtLeast reports whether a severity weighs as much as another one.
func (s Severity) AtLeast(other Severity) bool {
	return slices.Index(Severities(), s) >= slices.Index(Severities(), other)
}

// Check asks one thing.
type Check struct {
	// ID is the guide's line, and Name tells the checks of one line apart: lower-case words
	// with hyphens. ID/Name is unique and stays: baselines and code scanners know a check by it.
	ID, Name string
	// Title is what is so where all is well.
	Title    string
	Severity Severity
	// Ask looks. It must end when the context does, and must change nothing.
	Ask func(ctx context.Context) Answer
}

// Rule is the check's name for programs.
func (c Check) Rule() string { return c.ID + "/" + c.Name }

// State is what was found.
type State string

// The states of a finding. Accepted is what failed, and stands in the baseline.
const (
	Passed   State = "passed"
	Failed   State = "failed"
	Unknown  State = "unknown"
	Accepted State = "accepted"
	// Excused is what does not concern this deployment, such as Redis where there is none.
	Excused State = "not_applicable"
)

// Answer is what a check found.
type Answer struct {
	State State
	// Evidence is what was seen, with no secret in it.
	Evidence string
	// Mend is the very setting or command that mends it. Of what is unknown it says how to find out.
	Mend string
}

// Pass, Fail, Skip and Excuse make answers.
func Pass(format string, args ...any) Answer {
	return Answer{State: Passed, Evidence: fmt.Sprintf(format, args...)}
}

// Fail says what was found, and how to mend it.
func Fail(mend, format string, args ...any) Answer {
	return Answer{State: Failed, Evidence: fmt.Sprintf(format, args...), Mend: mend}
}

// Skip says why it could not be found out.
func Skip(mend string, err error) Answer {
	return Answer{State: Unknown, Evidence: err.Error(), Mend: mend}
}

// Excuse says why it does not concern this deployment.
func Excuse(why string) Answer { return Answer{State: Excused, Evidence: why} }

// Finding is a check with its answer.
type Finding struct {
	Rule     string   `json:"rule"`
	ID       string   `json:"id"`
	Title    string   `json:"title"`
	Severity Severity `json:"severity"`
	State    State    `json:"state"`
	Evidence string   `json:"evidence"`
	Mend     string   `json:"mend,omitempty"`
	// Accepted is who takes the risk, why and until when.
	Accepted *Risk    `json:"accepted,omitempty"`
	Controls Controls `json:"controls"`
}

// Report is all that was found, the gravest first.
type Report struct {
	At       time.Time `json:"at"`
	Version  string    `json:"version"`
	Service  string    `json:"service"`
	Findings []Finding `json:"findings"`
	// Stale are the risks of the baseline that are over, or concern nothing any more.
	Stale []string `json:"stale_risks,omitempty"`
}

// patience is how long one check may take.
const patience = 20 * time.Second

// Run asks all checks, several at a time.
func Run(ctx context.Context, checks []Check, now time.Time) Report {
	r := Report{At: now.UTC().Truncate(time.Second), Findings: make([]Finding, len(checks))}
	const atOnce = 4
	var wait sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i, c := range checks {
		wait.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			r.Findings[i] = ask(ctx, c)
		})
	}
	wait.Wait()
	r.sort()
	return r
}

// ask asks one check. One that panics or does not end knows nothing, and the others go on.
func ask(ctx context.Context, c Check) Finding {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answer := make(chan Answer, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				answer <- Answer{State: Unknown, Evidence: fmt.Sprintf("the check failed: %v", p), Mend: "Please report this as a bug."}
			}
		}()
		answer <- c.Ask(ctx)
	}()
	var a Answer
	select {
	case a = <-answer:
	case <-ctx.Done():
		a = Skip("Run the doctor again, with --only "+c.Rule()+".", fmt.Errorf("no answer within %s", patience))
	}
	return Finding{
		Rule: c.Rule(), ID: c.ID, Title: c.Title, Severity: c.Severity, State: a.State, Evidence: a.Evidence, Mend: a.Mend,
		Controls: lineOf(c.ID).Controls,
	}
}

// weight is the order of the states in a report.
var weight = []State{Failed, Unknown, Accepted, Passed, Excused}

func (r *Report) sort() {
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		if d := slices.Index(weight, a.State) - slices.Index(weight, b.State); d != 0 {
			return d
		}
		if d := slices.Index(Severities(), b.Severity) - slices.Index(Severities(), a.Severity); d != 0 {
			return d
		}
		if d := slices.IndexFunc(Guide, func(l Line) bool { return l.ID == a.ID }) -
			slices.IndexFunc(Guide, func(l Line) bool { return l.ID == b.ID }); d != 0 {
			return d
		}
		return strings.Compare(a.Rule, b.Rule)
	})
}

// Count returns how many findings are in a state.
func (r Report) Count(s State) (n int) {
	for _, f := range r.Findings {
		if f.State == s {
			n++
		}
	}
	return n
}

// Worst reports whether something failed that weighs at least as much as the severity.
func (r Report) Worst(s Severity) bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.State == Failed && f.Severity.AtLeast(s) })
}
