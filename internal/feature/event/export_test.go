package event_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

func exported(t *testing.T, f event.Format, list ...event.Entry) string {
	t.Helper()
	var b bytes.Buffer
	x := event.NewExporter(&b, f)
	for _, e := range list {
		if err := x.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// No cell begins with what a spreadsheet takes for a formula, whatever a client
// called itself; and every format has the same content.
func TestLOG1_ExportsAreSafeAndWhole(t *testing.T) {
	evil := []string{"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "|cmd", "%x", "=cmd|' /C calc'!A0", `",=1`, "a\n=1", "plain"}
	var list []event.Entry
	for i, a := range evil {
		list = append(list, event.Entry{
			ID: "id-" + string(rune('a'+i)), Time: time.Date(2026, 11, 24, 1, 2, 3, 4000, time.UTC), Kind: event.FailedLogin, Outcome: event.Failure,
			Account: a, Session: a, RequestID: a, UserAgent: a, Address: netip.MustParseAddr("192.0.2.7").String(), Detail: event.Detail{Reason: a},
		})
	}
	records, err := csv.NewReader(strings.NewReader(exported(t, event.CSV, list...))).ReadAll()
	if err != nil || len(records) != len(list)+1 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	for _, r := range records[1:] {
		for _, cell := range r {
			if cell != "" && strings.ContainsRune("=+-@\t\r\n|%", rune(cell[0])) {
				t.Errorf("a spreadsheet may run the cell %q", cell)
			}
		}
	}
	for i, line := range slices.Collect(strings.Lines(exported(t, event.JSONLines, list...))) {
		var l event.Line
		if err := json.Unmarshal([]byte(line), &l); err != nil || l.UserAgent != evil[i] || l.Detail.Reason != evil[i] {
			t.Errorf("%q: %v", line, err)
		}
	}
	for i, line := range slices.Collect(strings.Lines(exported(t, event.ECS, list...))) {
		var l struct {
			Time  string `json:"@timestamp"`
			Event struct {
				Action, Outcome string
				Category        []string
			}
			User      struct{ ID string }
			Source    struct{ IP string }
			UserAgent struct{ Original string } `json:"user_agent"`
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil || l.Time != "2026-11-24T01:02:03.000004Z" || l.Event.Action != "failed_login_attempt" ||
			l.Event.Outcome != "failure" || !slices.Equal(l.Event.Category, []string{"authentication"}) || l.User.ID != evil[i] || l.Source.IP != "192.0.2.7" ||
			l.UserAgent.Original != evil[i] {
			t.Errorf("%q: %v", line, err)
		}
	}
}

// Whatever is done to a sealed export is found without the database.
func TestLOG1_ATamperedExportIsFound(t *testing.T) {
	d := dbtest.Open(t, dbtest.SQLite(t))
	s := newSealed(t, d)
	s.many(t, 20)
	s.seal(t)
	var b bytes.Buffer
	if _, err := event.ExportSealed(ctx, d, 0, &b); err != nil {
		t.Fatal(err)
	}
	key := s.State().Origin.Verifier
	lines := slices.Collect(strings.Lines(b.String()))
	verify := func(lines []string, key string) (event.Report, error) {
		return event.VerifyExport(strings.NewReader(strings.Join(lines, "")), key)
	}
	if r, err := verify(lines, key); err != nil || len(r.Findings) > 0 || r.Leaves != 20 {
		t.Fatalf("as it is: %+v, %v", r, err)
	}
	for name, change := range map[string]func([]string) []string{
		"an event is edited":         func(l []string) []string { l[5] = strings.Replace(l[5], "success", "failure", 1); return l },
		"a personal field is edited": func(l []string) []string { l[5] = strings.Replace(l[5], "account-1", "account-2", 1); return l },
		"an event is left out":       func(l []string) []string { return slices.Delete(l, 5, 6) },
		"an event is put in twice":   func(l []string) []string { return slices.Insert(l, 5, l[5]) },
		"two are swapped":            func(l []string) []string { l[5], l[6] = l[6], l[5]; return l },
		"the end is cut":             func(l []string) []string { return slices.Delete(l, 15, 21) },
		"the beginning is cut":       func(l []string) []string { return slices.Delete(l, 1, 4) },
		"a salt is changed":          func(l []string) []string { l[5] = strings.Replace(l[5], `"salt":"`, `"salt":"AAAA`, 1); return l },
		"another key is said to be it": func(l []string) []string {
			l[0] = strings.Replace(l[0], `"key":"gatehouse`, `"key":"gatehouze`, 1)
			return l
		},
	} {
		if r, err := verify(change(slices.Clone(lines)), key); err == nil && len(r.Findings) == 0 {
			t.Errorf("%s, and it verifies: %+v", name, r)
		}
	}
	if r, err := verify(lines, "gatehouse/x+00000000+AAAA"); err == nil && len(r.Findings) == 0 {
		t.Errorf("signed by another key: %+v", r)
	}
}

// A checkpoint that was kept elsewhere finds who rewrote the log and signed it anew, before it was exported.
func TestLOG1_AnExportAgreesWithWhatWasKeptElsewhere(t *testing.T) {
	d, other := dbtest.Open(t, dbtest.SQLite(t)), dbtest.Open(t, dbtest.SQLite(t))
	s, rewritten := newSealed(t, d), newSealed(t, other)
	var install string
	if err := d.Read(ctx, func(tx *db.Tx) (err error) { install, err = keyring.InstallID(tx); return err }); err != nil {
		t.Fatal(err)
	}
	if err := other.Write(ctx, func(tx *db.Tx) error { _, err := tx.Exec(`UPDATE install SET id = $1`, install); return err }); err != nil {
		t.Fatal(err)
	}
	var kept, forged strings.Builder
	for range 2 {
		s.many(t, 10)
		kept.WriteString(s.seal(t).Note)
		rewritten.many(t, 10)
		forged.WriteString(rewritten.seal(t).Note)
	}
	checkpoints := event.SplitCheckpoints("The newest checkpoint:\n" + kept.String())
	if len(checkpoints) != 2 {
		t.Fatal(checkpoints)
	}
	verify := func(d *db.DB, from int64, kept ...string) event.Report {
		t.Helper()
		var b bytes.Buffer
		if _, err := event.ExportSealed(ctx, d, from, &b); err != nil {
			t.Fatal(err)
		}
		r, err := event.VerifyExport(&b, s.State().Origin.Verifier, kept...)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for from, n := range map[int64]int64{0: 2, 10: 2, 15: 1} {
		if r := verify(d, from, checkpoints...); r.Kept != n || len(r.Findings) > 0 {
			t.Errorf("from leaf %d: %+v", from, r)
		}
	}
	if r := verify(other, 0); len(r.Findings) > 0 {
		t.Errorf("it agrees with itself: %+v", r)
	}
	if r := verify(other, 0, checkpoints...); len(r.Findings) != 1 || r.Findings[0].What != "forked" {
		t.Errorf("it was rewritten: %+v", r)
	}
	if r := verify(other, 0, event.SplitCheckpoints(kept.String()+forged.String())...); len(r.Findings) == 0 || r.Findings[0].What != "forked" {
		t.Errorf("it was rewritten, and so was what was kept: %+v", r)
	}
	var b bytes.Buffer
	if _, err := event.ExportSealed(ctx, d, 0, &b); err != nil {
		t.Fatal(err)
	}
	s.many(t, 10)
	if r, err := event.VerifyExport(&b, s.State().Origin.Verifier, append(checkpoints, s.seal(t).Note)...); err != nil || len(r.Findings) > 0 || r.Beyond != 1 {
		t.Errorf("the log went on: %+v, %v", r, err)
	}
	if r := verify(d, 15, checkpoints[0]); len(r.Findings) != 1 || r.Findings[0].What != "anchor" {
		t.Errorf("nothing to compare with: %+v", r)
	}
}
