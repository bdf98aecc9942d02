package respond

import (
	"testing"
	"time"
)

// IR-1: whatever an address begins with, no cell of a CSV is a formula, and what is none stays as it is.
func TestIR1_NoCellIsAFormula(t *testing.T) {
	for in, want := range map[string]string{
		"=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", "\t=1": "'\t=1", "\r=1": "'\r=1", "\n=1": "'\n=1", "|calc": "'|calc", "%0a": "'%0a",
		" =1": "' =1", "\u00a0=1": "'\u00a0=1", "＝1": "'＝1", "＋1": "'＋1", "－1": "'－1", "＠A": "'＠A", `"=1`: `'"=1`, "'=1": "''=1",
		"": "", " ": " ", "ada@example.org": "ada@example.org", "a=b": "a=b", "ада@example.org": "ада@example.org", "12": "12",
	} {
		if got := harmless([]string{in})[0]; got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

// A file of a scope that stopped early says so by its name.
func TestIR1_AStoppedScopeSaysSo(t *testing.T) {
	if got := (Scope{}).CSVName("INC-1"); got != "INC-1-scope.csv" {
		t.Error(got)
	}
	if got := (Scope{Stopped: time.Now()}).CSVName("INC-1"); got != "INC-1-scope-stopped.csv" {
		t.Error(got)
	}
}
