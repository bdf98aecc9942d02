package doctor

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// COMP-1: a server goes by the accepted risks in its API and its console, reads them anew each time, and counts what is over as failed
// again; what it can't read accepts nothing.
func TestCOMP1_AServerGoesByItsAcceptedRisks(t *testing.T) {
	clock := &harness.Clock{}
	path := filepath.Join(t.TempDir(), "accepted.json")
	h := harness.OpenAt(t, dbtest.SQLite(t), clock.Now, "DOCTOR_BASELINE_FILE="+path)
	h.Administrator("root@example.org")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	look := func() (map[string]doctor.Finding, []string) {
		t.Helper()
		var r doctor.Report
		a := h.Expect(200, "", harness.Get("/v1/admin/doctor", h.Login("root@example.org").Str("access_token")))
		if err := json.Unmarshal([]byte(a.Text), &r); err != nil {
			t.Fatal(err)
		}
		out := map[string]doctor.Finding{}
		for _, f := range r.Findings {
			out[f.Rule] = f
		}
		return out, r.Stale
	}
	const rule, own = "ENV-1/environment", "COMP-1/accepted-risks"
	risk := func(rule string, until time.Time) string {
		return fmt.Sprintf(`[{"rule": %q, "owner": "Ada <b>Okafor", "reason": "it is a rehearsal", "expires": %q}]`, rule, until.UTC().Format(time.DateOnly))
	}
	states := func(when string, risky, read doctor.State) map[string]doctor.Finding {
		t.Helper()
		found, _ := look()
		if found[rule].State != risky || found[own].State != read {
			t.Errorf("%s: %s is %s, %s is %s: %s", when, rule, found[rule].State, own, found[own].State, found[own].Evidence)
		}
		return found
	}
	states("without the file", doctor.Failed, doctor.Failed)
	write(risk(rule, clock.Now().AddDate(0, 0, 3)))
	found := states("accepted", doctor.Accepted, doctor.Passed)
	if a := found[rule].Accepted; a == nil || a.Owner != "Ada <b>Okafor" || a.Reason != "it is a rehearsal" {
		t.Errorf("accepted: %+v", a)
	}
	b := h.Browser()
	b.SignIn("root@example.org")
	page := b.Send(harness.Get("/admin/doctor"))
	for _, want := range []string{"Accepted by", "Ada &lt;b&gt;Okafor", "it is a rehearsal", rule} {
		if page.Status != 200 || !strings.Contains(page.Text, want) {
			t.Errorf("the page: %d, no %q", page.Status, want)
		}
	}
	if strings.Contains(page.Text, "<b>Okafor") {
		t.Error("an owner's name is markup")
	}
	for name, text := range map[string]string{
		"no JSON": "{", "a check that there is not": risk("ENV-1/none", clock.Now().AddDate(0, 0, 3)), "for ever": risk(rule, clock.Now().AddDate(2, 0, 0)),
		"an unknown field": `[{"rule": "ENV-1/environment", "who": "x"}]`, "nobody's": `[{"rule": "ENV-1/environment", "expires": "2030-01-01"}]`,
	} {
		write(text)
		states(name, doctor.Failed, doctor.Failed)
	}
	write(risk(rule, clock.Now().AddDate(0, 0, 3)))
	clock.Shift(5 * day)
	if f := states("over", doctor.Failed, doctor.Failed)[own]; !strings.Contains(f.Evidence, rule) {
		t.Errorf("%s says %q", own, f.Evidence)
	}
	if _, stale := look(); len(stale) != 1 || !strings.Contains(stale[0], "is over") {
		t.Errorf("stale: %v", stale)
	}
	if page := b.Send(harness.Get("/admin/doctor")); page.Status == 200 && !strings.Contains(page.Text, "Accepted risks to look at") {
		t.Error("the page does not tell of a risk that is over")
	}
}
