package console_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// IR-1: an open alert leads to an incident that says which alert it came from; for administrators alone, and for alerts that there are.
func TestIR1_AnIncidentIsOpenedFromAnAlert(t *testing.T) {
	clock := &harness.Clock{}
	h := harness.OpenAt(t, dbtest.SQLite(t), clock.Now, settings...)
	b, support := administrator(h, "admin@example.org", "admin"), administrator(h, "support@example.org", "support")
	h.Eventually("the rules begin to watch", func() (string, bool) {
		n := h.Count(`SELECT COUNT(*) FROM alert_state WHERE state <> ''`)
		return fmt.Sprint(n), n == 1
	})
	for i := range 3 {
		a := h.AddApp(clock, fmt.Sprintf("person%d@example.org", i))
		if _, _, err := h.Operator().ResetFactors(h.Context(), a.Email, "lost a phone", 24*time.Hour, harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
	}
	const link = "/admin/incidents?alert=factor_resets"
	h.Eventually("the alert leads to an incident", func() (string, bool) {
		text := open(b, "/admin/alerts").Text
		return text, strings.Contains(text, `href="`+link+`"`)
	})
	if a := open(support, "/admin/alerts"); strings.Contains(a.Text, link) {
		t.Error("support, who opens no incident, is led to one")
	}
	form := open(b, link)
	if !strings.Contains(form.Text, `name="alert" value="factor_resets"`) {
		t.Errorf("the form does not know the alert:\n%s", form.Text)
	}
	if a := open(b, "/admin/incidents?alert=%22%3E%3Cscript%3E"); strings.Contains(a.Text, `name="alert"`) {
		t.Errorf("the form knows an alert that there is not:\n%s", a.Text)
	}
	pressWith(b, "/admin/incidents", harness.Body{"title": "Factors are reset", "alert": "factor_resets"}, form)
	pressWith(b, "/admin/incidents", harness.Body{"title": "Something else", "alert": "no_such_rule"}, form)
	root := h.Login("admin@example.org").Str("access_token")
	for name, want := range map[string]string{"INC-1": "factor_resets", "INC-2": ""} {
		if a := h.Expect(200, "", harness.Get("/v1/admin/incidents/"+name, root)); a.Str("alert") != want {
			t.Errorf("%s is from the alert %q, want %q", name, a.Str("alert"), want)
		}
	}
}
