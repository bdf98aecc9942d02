package doctor_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
)

const eventKey = "Hs4kPz8vWd2Qx7LmTn5RbYc9JgFa3EuK"

// COMP-1: evidence verifies as it was written, and by no other key; whatever is changed, missing or added is found.
func TestCOMP1_EvidenceIsSignedAndWhole(t *testing.T) {
	r := report(t, "")
	r.Service = "Tidewater\n\nffff  report.json" // which would be a line of its own
	write := func() (folder, key string) {
		t.Helper()
		folder, key, err := r.WriteEvidence(t.TempDir(), doctor.Evidence{
			Install: "01", EventKey: eventKey, Binary: "00", Settings: map[string]string{"SMTP_URL": "*****"}, Baseline: []byte("[]"),
		})
		if err != nil {
			t.Fatal(err)
		}
		return folder, key
	}
	folder, key := write()
	if name := filepath.Base(folder); name != "gatehouse-doctor-20300115T120000Z" {
		t.Errorf("it is called %s", name)
	}
	statement, findings, err := doctor.VerifyEvidence(folder, key)
	if err != nil || len(findings) > 0 || !strings.Contains(statement, "looked at: 2030-01-15T12:00:00Z") || !strings.Contains(statement, r.Summary()) {
		t.Fatalf("%q, %v, %v", statement, findings, err)
	}
	if _, _, err := r.WriteEvidence(filepath.Dir(folder), doctor.Evidence{Install: "01", EventKey: eventKey}); err == nil {
		t.Error("evidence was written over")
	}
	_, other, err := r.WriteEvidence(t.TempDir(), doctor.Evidence{Install: "01", EventKey: "another key of 32 characters, 1234"})
	if err != nil || other == key {
		t.Fatal(err)
	}
	for _, wrong := range []string{other, strings.Replace(key, "01", "02", 1), "", "x"} {
		if _, _, err := doctor.VerifyEvidence(folder, wrong); err == nil {
			t.Errorf("verified by %q", wrong)
		}
	}
	for what, tamper := range map[string]func(folder string) error{
		"report.json: it was changed": func(f string) error {
			return os.WriteFile(filepath.Join(f, "report.json"), []byte("{}"), 0o600)
		},
		"accepted.json: it is missing":            func(f string) error { return os.Remove(filepath.Join(f, "accepted.json")) },
		`"more.txt": the statement does not know`: func(f string) error { return os.WriteFile(filepath.Join(f, "more.txt"), nil, 0o600) },
	} {
		folder, key := write()
		if err := tamper(folder); err != nil {
			t.Fatal(err)
		}
		_, findings, err := doctor.VerifyEvidence(folder, key)
		if err != nil || !slices.ContainsFunc(findings, func(f string) bool { return strings.HasPrefix(f, what) }) || len(findings) != 1 {
			t.Errorf("%s: %v, %v", what, findings, err)
		}
	}
	path := filepath.Join(folder, "STATEMENT.note")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), "failed", "passed", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := doctor.VerifyEvidence(folder, key); err == nil {
		t.Error("a statement that was changed verifies")
	}
}
