package doctor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
)

var now = time.Date(2030, 1, 15, 12, 0, 0, 0, time.UTC)

// evil would be markup in a page, a row in a table.
const evil = `</td><script>alert(1)</script> | a *b* [c](d)` + "\nnext"

func checks() []doctor.Check {
	answer := func(a doctor.Answer) func(context.Context) doctor.Answer {
		return func(context.Context) doctor.Answer { return a }
	}
	return []doctor.Check{
		{ID: "DB-1", Name: "tls", Title: "Encrypted", Severity: doctor.Critical, Ask: answer(doctor.Pass("TLSv1.3"))},
		{ID: "DB-2", Name: "owner", Title: "No owner", Severity: doctor.High, Ask: answer(doctor.Fail("Make a role.", "%s", evil))},
		{ID: "NET-2", Name: "same-site", Title: "Strict", Severity: doctor.Low, Ask: answer(doctor.Fail("Set it.", "lax"))},
		{ID: "RATE-4", Name: "redis-tls", Title: "TLS", Severity: doctor.High, Ask: answer(doctor.Excuse("no Redis"))},
		{ID: "LOG-1", Name: "jobs", Title: "Jobs", Severity: doctor.High, Ask: answer(doctor.Skip("Look.", errors.New("no database")))},
		{ID: "LOG-1", Name: "panics", Title: "Panics", Severity: doctor.High, Ask: func(context.Context) doctor.Answer { panic("oops") }},
	}
}

func report(t *testing.T, baseline string) doctor.Report {
	t.Helper()
	r := doctor.Run(t.Context(), checks(), now)
	r.Version, r.Service = "1.0", "Tidewater"
	if baseline != "" {
		list, err := doctor.ReadBaseline([]byte(baseline), checks(), now)
		if err != nil {
			t.Fatal(err)
		}
		r.Accept(list)
	}
	return r
}

// The gravest failure stands first; what nobody could look at is not well, and a check that panics keeps no other from its answer.
func TestTheReportIsInTheOrderOfWeight(t *testing.T) {
	r := report(t, "")
	var order []string
	for _, f := range r.Findings {
		order = append(order, f.Rule+" "+string(f.State))
	}
	want := "DB-2/owner failed, NET-2/same-site failed, LOG-1/jobs unknown, LOG-1/panics unknown, DB-1/tls passed, RATE-4/redis-tls not_applicable"
	if got := strings.Join(order, ", "); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	for s, worst := range map[doctor.Severity]bool{doctor.Low: true, doctor.High: true, doctor.Critical: false} {
		if r.Worst(s) != worst {
			t.Errorf("failed from %s on: %v", s, !worst)
		}
	}
}

// A risk that is accepted fails nothing until its day is over; then it does again.
func TestARiskIsAcceptedUntilItsEnd(t *testing.T) {
	for expires, state := range map[string]doctor.State{"2030-01-15": doctor.Accepted, "2030-01-14": doctor.Failed, "2031-01-01": doctor.Accepted} {
		r := report(t, `[{"rule": "DB-2/owner", "owner": "Ada", "reason": "until the move", "expires": "`+expires+`"}]`)
		for _, f := range r.Findings {
			if f.Rule == "DB-2/owner" && (f.State != state || (len(r.Stale) > 0) != (state == doctor.Failed)) {
				t.Errorf("until %s: %s, stale %q", expires, f.State, r.Stale)
			}
		}
		if r.Worst(doctor.High) != (state == doctor.Failed) {
			t.Errorf("until %s: fails %v", expires, r.Worst(doctor.High))
		}
	}
	if r := report(t, `[{"rule": "DB-1/tls", "owner": "Ada", "reason": "x", "expires": "2030-02-01"}]`); len(r.Stale) != 1 {
		t.Errorf("a risk of what is well: %q", r.Stale)
	}
}

func TestBaselinesThatAreRefused(t *testing.T) {
	const accepted = `{"rule": "DB-2/owner", "owner": "A", "reason": "x", "expires": "2030-02-01"}`
	for name, text := range map[string]string{
		"no JSON":          `accept all`,
		"no array":         `{"rule": "DB-2/owner"}`,
		"unknown field":    `[{"rule": "DB-2/owner", "owner": "A", "reason": "x", "expires": "2030-02-01", "forever": true}]`,
		"unknown check":    `[{"rule": "DB-2/none", "owner": "A", "reason": "x", "expires": "2030-02-01"}]`,
		"no owner":         `[{"rule": "DB-2/owner", "reason": "x", "expires": "2030-02-01"}]`,
		"no reason":        `[{"rule": "DB-2/owner", "owner": "A", "expires": "2030-02-01"}]`,
		"no end":           `[{"rule": "DB-2/owner", "owner": "A", "reason": "x"}]`,
		"too long":         `[{"rule": "DB-2/owner", "owner": "A", "reason": "x", "expires": "2040-02-01"}]`,
		"twice":            "[" + accepted + "," + accepted + "]",
		"more than a list": `[] []`,
	} {
		if _, err := doctor.ReadBaseline([]byte(text), checks(), now); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// Every format has every finding, and what was found is text in it.
func TestFormats(t *testing.T) {
	r := report(t, `[{"rule": "NET-2/same-site", "owner": "Ada", "reason": "a form of the shop", "expires": "2030-02-01"}]`)
	for _, f := range []doctor.Format{doctor.Text, doctor.JSON, doctor.SARIF, doctor.HTML, doctor.Markdown} {
		var b bytes.Buffer
		if err := r.Write(&b, f); err != nil {
			t.Fatal(err)
		}
		for _, one := range r.Findings {
			if (one.State == doctor.Failed || one.State == doctor.Unknown) && !strings.Contains(b.String(), one.Rule) {
				t.Errorf("%s lacks %s:\n%s", f, one.Rule, b.String())
			}
		}
		if !strings.Contains(b.String(), "a form of the shop") {
			t.Errorf("%s does not say what is accepted", f)
		}
		if f == doctor.HTML || f == doctor.Markdown {
			if strings.Contains(b.String(), "<script>") {
				t.Errorf("%s runs what was found:\n%s", f, b.String())
			}
		}
	}
	var b bytes.Buffer
	if err := r.Write(&b, doctor.Markdown); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if strings.HasPrefix(line, "| ") && strings.Count(strings.ReplaceAll(line, `\|`, ""), "|") != 7 {
			t.Errorf("a row of Markdown has other cells: %s", line)
		}
	}
	var log struct {
		Version string
		Runs    []struct {
			Results []struct{ RuleID, Kind, Level string }
		}
	}
	b.Reset()
	if err := errors.Join(r.Write(&b, doctor.SARIF), json.Unmarshal(b.Bytes(), &log)); err != nil {
		t.Fatal(err)
	}
	if log.Version != "2.1.0" || len(log.Runs) != 1 || len(log.Runs[0].Results) != len(r.Findings) || log.Runs[0].Results[0].Level != "error" {
		t.Errorf("SARIF: %+v", log)
	}
}
