package console_test

import (
	"encoding/csv"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// IR-1: the incident's page finds out who was touched: counts, a graph, a table and a file, in every language, without script; for
// administrators with a sign-in of late alone; what people have put into their names and devices is text, and no formula.
func TestIR1_WhoWasTouchedOnThePageOfAnIncident(t *testing.T) {
	dbtest.EachProduction(t, func(t *testing.T, dbURL string) {
		clock := &harness.Clock{}
		h := harness.OpenAt(t, dbURL, clock.Now, settings...)
		b, support := administrator(h, "admin@example.org", "admin"), administrator(h, "support@example.org", "support")
		people(h)
		super := dbtest.Open(t, dbtest.Superusers(t, h.DBURL))
		if err := super.Write(h.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE account SET email = '=HYPERLINK("http://evil.example","x")@example.org' WHERE email = 'p1@example.org'`)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Incidents().Open(h.Context(), respond.Opening{Title: "A test"}, respond.By{Origin: harness.OriginOfTests}); err != nil {
			t.Fatal(err)
		}
		const at = "/admin/incidents/INC-1/scope"
		if a := open(b, "/admin/incidents/INC-1"); !strings.Contains(a.Text, `href="`+at+`"`) {
			t.Error("the incident does not lead to who was touched")
		}
		ask := "?" + url.Values{"network": {"203.0.113.0/24"}, "since": {clock.Now().Add(-time.Hour).UTC().Format(time.RFC3339)}, "device": {""}}.Encode()
		for _, lang := range []string{"en", "de", "fr", "es", "ar"} {
			for _, path := range []string{at + "?lang=" + lang, at + ask + "&lang=" + lang} {
				a := open(b, path)
				if a.Status != 200 || !strings.Contains(a.Text, `<html lang="`+lang+`"`) || strings.Contains(a.Text, "<script>") || len(a.Text) > 26<<10 {
					t.Errorf("%s: %d, %d bytes", path, a.Status, len(a.Text))
				}
			}
		}
		a := open(b, at+ask+"&lang=en")
		for _, want := range []string{
			"Somebody got in to: 3.", `<svg class="graph"`, "somebody got in", "p0@example.org", "gatehouse incident scope INC-1 --network 203.0.113.0/24",
			`href="/admin/incidents/INC-1/scope.csv?network=203.0.113.0%2F24&amp;since=`,
		} {
			if !strings.Contains(a.Text, want) {
				t.Errorf("no %q in\n%s", want, a.Text)
			}
		}
		file := b.Send(harness.Get("/admin/incidents/INC-1/scope.csv" + ask))
		lines, err := csv.NewReader(strings.NewReader(file.Text)).ReadAll()
		if err != nil || file.Status != 200 || len(lines) != 4 || !slices.Equal(lines[0], respond.ScopeHeads) ||
			file.Header.Get("Content-Disposition") != `attachment; filename="INC-1-scope.csv"` || file.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("the file: %d %v %v %s", file.Status, err, file.Header, file.Text)
		}
		formulas(t, lines, `'=HYPERLINK("http://evil.example","x")@example.org`)
		for path, status := range map[string]int{
			at + "?network=x": 400, at + "?since=yesterday": 400, at + "?network=" + strings.Repeat("203.0.113.1,", 101): 400, at + "?key=nope": 404,
			"/admin/incidents/INC-9/scope": 404, "/admin/incidents/x/scope.csv": 404, at + "?users=nobody@example.org": 404, at + ".csv?network=x": 400,
		} {
			if a := open(b, path); a.Status != status && (status != 404 || a.Status != 400) {
				t.Errorf("%s: %d, want %d", path, a.Status, status)
			}
		}
		for _, path := range []string{at, at + ask, at + ".csv" + ask} {
			if a := open(support, path); a.Status != 403 || strings.Contains(a.Text, "p0@example.org") {
				t.Errorf("%s for support: %d", path, a.Status)
			}
			if a := h.Browser().Send(harness.Get(path)); a.Status != 303 || strings.Contains(a.Text, "p0@example.org") {
				t.Errorf("%s for strangers: %d", path, a.Status)
			}
		}
		// By API the same file.
		access := h.Login("admin@example.org").Str("access_token")
		body := map[string]any{"networks": []string{"203.0.113.0/24"}, "format": "csv"}
		api := h.Expect(200, "", harness.Post("/v1/admin/incidents/INC-1/scope", body, access))
		if lines, err = csv.NewReader(strings.NewReader(api.Text)).ReadAll(); err != nil || len(lines) != 4 {
			t.Errorf("by API: %v\n%s", err, api.Text)
		}
		formulas(t, lines, `'=HYPERLINK("http://evil.example","x")@example.org`)
		body["format"] = "xlsx"
		h.Expect(400, "invalid_format", harness.Post("/v1/admin/incidents/INC-1/scope", body, access))
		// A sign-in of long ago leads to the sign-in, and back.
		clock.Shift(16 * time.Minute)
		if a := b.Send(harness.Get(at + ask)); a.Status != 303 || !strings.HasPrefix(a.Header.Get("Location"), "/login?") {
			t.Errorf("with an old sign-in: %d %s", a.Status, a.Header.Get("Location"))
		}
	})
}

// formulas fails the test for a cell that a spreadsheet would compute, and if one is not there.
func formulas(t *testing.T, lines [][]string, want string) {
	t.Helper()
	found := false
	for _, line := range lines {
		for _, c := range line {
			found = found || c == want
			if c != "" && strings.ContainsAny(c[:1], "=+-@\t\r") {
				t.Errorf("%q is a formula", c)
			}
		}
	}
	if !found {
		t.Errorf("no %q in %v", want, lines)
	}
}
