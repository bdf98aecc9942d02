package internal_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/bench"
	"github.com/gatehouse-auth/gatehouse/internal/bench/capacity"
)

// The costs in docs/scale.md are those that `gatehouse bench plan` reckons with.
func TestTheCostsAreDocumented(t *testing.T) {
	c, err := capacity.Measured()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Measured %s at %s, on %s.\n\n", c.Measured, c.Commit, c.Machine)
	b.WriteString("| operation | server, ms of a core | PostgreSQL, ms | Redis, ms | commands to Redis | WAL, bytes | events, bytes |\n" +
		"|---|---|---|---|---|---|---|\n")
	row := func(name string, one capacity.Cost) {
		fmt.Fprintf(&b, "| %s | %.2f | %.2f | %.2f | %.1f | %.0f | %.0f |\n",
			name, one.ServerMS, one.DatabaseMS, one.RedisMS, one.RedisCommands, one.WALBytes, one.EventBytes)
	}
	for _, act := range append(bench.Acts(), capacity.ForwardAuth) {
		row(string(act), c.Acts[act])
	}
	row("a replica, in a second in which nobody comes", c.Idle)
	fmt.Fprintf(&b, "\nBeside each registration and sign-in: one password hash, %.0f ms of a core at cost %d. An account takes %.0f bytes "+
		"in PostgreSQL with its indexes and the words by which it is found,\na session %.0f; what is counted in Redis %.0f bytes.\n",
		c.HashMS, c.BcryptCost, c.AccountBytes, c.SessionBytes, c.RedisKeyBytes)
	const path = "../docs/scale.md"
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	between := regexp.MustCompile(`(?s)<!-- costs:begin -->\n.*<!-- costs:end -->`)
	page := between.ReplaceAllLiteralString(string(old), "<!-- costs:begin -->\n"+b.String()+"<!-- costs:end -->")
	if *update {
		if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if page != string(old) || !between.MatchString(page) {
		t.Error("docs/scale.md does not have the costs of internal/bench/capacity/costs.json: go test ./internal -run TestTheCosts -args -update")
	}
}
