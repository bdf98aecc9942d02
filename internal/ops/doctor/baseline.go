package doctor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// Risk is a finding that somebody has accepted for a time.
type Risk struct {
	// Rule is the check's: ID/name.
	Rule   string `json:"rule"`
	Owner  string `json:"owner"`
	Reason string `json:"reason"`
	// Expires is the last day on which it is accepted, as 2030-01-31, in UTC.
	Expires string `json:"expires"`
}

// Baseline is the risks that an operator has accepted.
type Baseline []Risk

// longestRisk is how far ahead a risk may be accepted: who accepts it for ever has forgotten it.
const longestRisk = 366 * 24 * time.Hour

// ReadBaseline reads a file such as
//
//	[{"rule": "DB-2/owner", "owner": "Ada", "reason": "one role until the move", "expires": "2030-01-31"}]
//
// A risk without an owner, a reason or an end within a year is refused, and so is one of a check that
// there is not: it would accept nothing.
func ReadBaseline(b []byte, checks []Check, now time.Time) (Baseline, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var list Baseline
	if err := d.Decode(&list); err != nil {
		return nil, fmt.Errorf("the baseline is no JSON array of risks: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the baseline has something after the array")
	}
	var faults []error
	for i, r := range list {
		fault := func(format string, args ...any) {
			faults = append(faults, fmt.Errorf("the baseline's risk %d (%s): %s", i+1, r.Rule, fmt.Sprintf(format, args...)))
		}
		if !slices.ContainsFunc(checks, func(c Check) bool { return c.Rule() == r.Rule }) {
			fault("there is no such check; `gatehouse doctor --list` has them all")
		}
		if slices.ContainsFunc(list[:i], func(other Risk) bool { return other.Rule == r.Rule }) {
			fault("it stands there twice")
		}
		if r.Owner == "" || r.Reason == "" {
			fault("say who owns it (owner) and why it is accepted (reason)")
		}
		until, err := time.Parse(time.DateOnly, r.Expires)
		switch {
		case err != nil:
			fault("expires must be a day such as 2030-01-31")
		case until.After(now.Add(longestRisk)):
			fault("a risk is accepted for a year at most")
		}
	}
	return list, errors.Join(faults...)
}

// until is the moment at which a risk is no longer accepted.
func (r Risk) until() time.Time {
	day, err := time.Parse(time.DateOnly, r.Expires)
	if err != nil {
		return time.Time{}
	}
	return day.AddDate(0, 0, 1)
}

// Over are the risks that are not accepted any more.
func (list Baseline) Over(now time.Time) (over []string) {
	for _, r := range list {
		if !now.Before(r.until()) {
			over = append(over, fmt.Sprintf("%s (%s, until %s)", r.Rule, r.Owner, r.Expires))
		}
	}
	return over
}

// Accept marks what failed and stands in the baseline, and notes which of its risks are over or concern nothing.
func (r *Report) Accept(list Baseline) {
	for _, risk := range list {
		i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Rule == risk.Rule })
		switch {
		case i < 0: // --only left it out
		case !r.At.Before(risk.until()):
			r.Stale = append(r.Stale, fmt.Sprintf("%s: accepted by %s until %s, which is over", risk.Rule, risk.Owner, risk.Expires))
		case r.Findings[i].State == Passed || r.Findings[i].State == Excused:
			r.Stale = append(r.Stale, risk.Rule+": nothing is wrong any more: take it out of the baseline")
		case r.Findings[i].State == Failed:
			r.Findings[i].State, r.Findings[i].Accepted = Accepted, &risk
		}
	}
	r.sort()
}
