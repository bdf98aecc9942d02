package alert

import (
	"encoding/json"
	"testing"
)

func Over(v Verdict) bool { return v.over() }

func StateOf(g *Engine) *State { return g.state }

// Through returns the state as it comes back from the database.
func Through(t *testing.T, g *Engine) (s *State) {
	t.Helper()
	b, err := json.Marshal(g.state)
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}
