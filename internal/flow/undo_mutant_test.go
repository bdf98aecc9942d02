package flow

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// undoMutants are mistakes one could make in the rules of the way back. The model must
// catch every one of them.
var undoMutants = []struct{ name, file, from, to string }{
	{"later undos outlive an earlier one (case A1)", "../feature/ticket/undo.go", "AND (purpose <> 'undo' OR seq >= $3)", "AND (purpose <> 'undo' OR seq > $3 + 1000)"},
	{"an undo voids no other links", "../feature/ticket/undo.go", "AND (purpose <> 'undo' OR seq >= $3)", "AND (purpose = 'undo' AND seq >= $3)"},
	{"an address that an undo leads to is free (case A2)", "undo.go", "if err != nil || !found {\n\t\treturn \"\", false, err", "if err != nil || found || !found {\n\t\treturn \"\", false, err"},
	{"a claim does not give way (case A2)", "../feature/account/holder.go", "AND id <> $2 AND verified_at IS NULL", "AND id = $2 AND verified_at IS NULL"},
	{"a changed password is not kept (case A3)", "../feature/account/former.go", "return s.keep(tx, -1, nil, now)", "return nil"},
	{"a password that the thief's mailbox reset is not kept", "../feature/account/former.go", "return s.keep(tx, s.resetN, &s.addressN, now)", "return nil"},
	{"a reset sets passwords aside for earlier undos", "../feature/account/former.go", "(to_n IS NULL OR to_n >= $2)", "(to_n IS NULL)"},
	{"a reset forgets what earlier undos need", "../feature/account/former.go", "oldest = min(oldest, seq)", "oldest = max(oldest, seq)"},
	{"only the current password opens an undo", "../feature/account/former.go", "from_n < $2 AND", "from_n > $2 AND"},
	{"\"this wasn't me\" voids undos", "../feature/ticket/ticket.go", "account_id = $1 AND purpose <> 'undo' AND used_at IS NULL", "account_id = $1 AND used_at IS NULL"},
	{"an undo demands no new password", "../feature/account/holder.go", "SET reset_at = COALESCE(reset_at, $2), password_n = password_n + 1 WHERE id = $1 AND disabled_at IS NULL", "SET reset_at = CASE WHEN $2 > 0 THEN reset_at END, password_n = password_n + 1 WHERE id = $1 AND disabled_at IS NULL"},
}

func TestTheModelCatchesEveryMutantOfTheUndo(t *testing.T) {
	if os.Getenv(mutantVariable) != "" {
		return
	}
	for _, m := range undoMutants {
		t.Run(m.name, func(t *testing.T) {
			source, err := os.ReadFile(m.file)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Count(string(source), m.from) < 1 {
				t.Fatalf("%s no longer holds %q: mend this mutant", m.file, m.from)
			}
			run := exec.Command("go", "test", "-overlay", overlayOf(t, m.file, strings.ReplaceAll(string(source), m.from, m.to)), "-run", "CaseA_Model", "-failfast", ".")
			run.Env = append(os.Environ(), mutantVariable+"=1")
			out, err := run.CombinedOutput()
			if err == nil {
				t.Errorf("the model passes although %s", m.name)
			} else if !strings.Contains(string(out), "--- FAIL") {
				t.Errorf("the mutant was not judged by the model:\n%s", out)
			}
		})
	}
}

// overlayOf tells the go command to read other content for a file.
func overlayOf(t *testing.T, file, content string) string {
	t.Helper()
	dir := t.TempDir()
	original, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	mutant, list := filepath.Join(dir, filepath.Base(file)), filepath.Join(dir, "overlay.json")
	b, err := json.Marshal(map[string]map[string]string{"Replace": {original: mutant}})
	if err != nil {
		t.Fatal(err)
	}
	for path, data := range map[string][]byte{mutant: []byte(content), list: b} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return list
}
