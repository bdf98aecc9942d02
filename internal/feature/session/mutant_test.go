package session_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mutants are mistakes one could make in the rules of refresh tokens. The tests
// of this package must catch every one of them.
var mutants = []struct{ name, file, from, to string }{
	{"any old token rotates", "rotate.go", "cur        = CASE WHEN cur = $2 OR", "cur        = CASE WHEN TRUE OR"},
	{"the generation stands still", "rotate.go", "THEN gen + 1 ELSE gen END", "THEN gen ELSE gen END"},
	{"the predecessor is forgotten", "rotate.go", "prev       = CASE WHEN cur = $2 THEN cur ELSE prev END", "prev       = prev"},
	{"the predecessor is good for ever", "rotate.go", "(minted_at > $7 OR rotated_at > $8)) THEN NULL ELSE $6 END", "(minted_at > $7 OR rotated_at > $8 OR TRUE)) THEN NULL ELSE $6 END"},
	{"a race gets a successor of its own", "rotate.go", "OR (prev = $2 AND minted_at <= $7) THEN $3", "OR (prev = $2) THEN $3"},
	{"a retry gets the dead successor", "rotate.go", "cur = $2 OR (prev = $2 AND minted_at <= $7) THEN $3", "cur = $2 THEN $3"},
	{"a retry keeps the old salt", "rotate.go", "cur = $2 OR (prev = $2 AND minted_at <= $7) THEN $4", "cur = $2 THEN $4"},
	{"reuse does not end the session", "rotate.go", "THEN NULL ELSE $6 END,\n\tended_why", "THEN NULL ELSE NULL END,\n\tended_why"},
	{"reuse ends it but hands out a token", "rotate.go", "if row.endedWhy != nil {", "if row.endedWhy != nil && *row.endedWhy == WhyAhead {"},
	{"ahead is taken for reuse", "rotate.go", "WHEN $5 > gen THEN 'ahead'", "WHEN $5 > gen + 100 THEN 'ahead'"},
	{"the grace begins at the rotation only", "rotate.go", "prev = $2 AND (minted_at > $7 OR", "prev = $2 AND (rotated_at > $7 OR"},
	{"idle sessions live on", "rotate.go", " AND idle_at > $6 AND", " AND"},
	{"sessions in use live for ever", "rotate.go", "AND idle_at > $6 AND max_at > $6", "AND idle_at > $6"},
	{"a refresh token is said to outlive its session", "rotate.go", "earlier(db.Time(r.idleAt), db.Time(r.maxAt))", "db.Time(r.idleAt)"},
	{"a refresh does not prolong the session", "rotate.go", "THEN $9 ELSE idle_at END", "THEN idle_at ELSE idle_at END"},
	{"ended sessions rotate", "rotate.go", "ended_at IS NULL AND idle_at", "idle_at"},
	{"the MAC is not looked at", "token.go", "if !inCookie && !secret.Equal(mac, refreshToken{}.mac(k, body)) {", "if false {"},
	{"a token of a cookie is any token", "token.go", "inCookie := secret.Equal(mac, refreshToken{cookie: true}.mac(k, body))", "inCookie := false"},
	{"the secret is not hashed", "token.go", "h.Write(t.secret[:])", ""},
	{"the epoch is not looked at", "rotate.go", "if t.epoch != s.epoch {", "if false {"},
	{"another account's session can be ended", "session.go", "AND ($4 = '' OR account_id = $4)", "AND ($4 = '' OR account_id <> '')"},
}

// mutantVariable is set in the runs that judge a mutant, which must not make
// mutants themselves.
const mutantVariable = "GATEHOUSE_MUTANT"

func TestTheTestsCatchEveryMutant(t *testing.T) {
	if os.Getenv(mutantVariable) != "" {
		return
	}
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			source, err := os.ReadFile(m.file)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Count(string(source), m.from) < 1 {
				t.Fatalf("%s no longer holds %q: mend this mutant", m.file, m.from)
			}
			overlay := overlayFile(t, m.file, strings.ReplaceAll(string(source), m.from, m.to))
			// SQLite alone is enough to judge by, and quicker.
			run := exec.Command("go", "test", "-overlay", overlay, "-run", "JWT|ASVS|Token|Forget/sqlite", "-failfast", ".")
			run.Env = append(os.Environ(), mutantVariable+"=1", "RAPID_NOFAILFILE=1")
			out, err := run.CombinedOutput()
			if err == nil {
				t.Errorf("the tests pass although %s", m.name)
			} else if !strings.Contains(string(out), "--- FAIL") {
				t.Errorf("the mutant was not judged by the tests:\n%s", out)
			}
		})
	}
}

// overlayFile tells the go command to read other content for a file.
func overlayFile(t *testing.T, file, content string) string {
	t.Helper()
	dir := t.TempDir()
	original, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	mutant, list := filepath.Join(dir, file), filepath.Join(dir, "overlay.json")
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
