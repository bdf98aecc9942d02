package event_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

var update = flag.Bool("update", false, "rewrite docs/events.md")

// Every kind that kind.go names stands in the catalogue, once, and the docs are
// made from it.
func TestLOG1_TheCatalogueIsDocumented(t *testing.T) {
	listed := map[event.Kind]bool{}
	var page strings.Builder
	page.WriteString(`# The security events

<!-- Made from internal/feature/event/catalogue.go. Rewrite it with: go test ./internal/feature/event -run TestLOG1_TheCatalogueIsDocumented -update -->

Each event is a line of JSON on standard error (` + "`event`, `outcome`, `event_id`, `account`, `session`, `request_id`, `address`, `user_agent`, `detail`" +
		`) and a row of
the sealed log: see [guides/events.md](guides/events.md). The outcome is ` + "`success` or `failure`" + `. The first nine have the guide's names.

| event | meaning |
|---|---|
`)
	for _, a := range event.Catalogue {
		if listed[a.Kind] || a.Meaning == "" {
			t.Errorf("%s is listed twice, or without a meaning", a.Kind)
		}
		listed[a.Kind] = true
		fmt.Fprintf(&page, "| `%s` | %s |\n", a.Kind, a.Meaning)
	}
	for _, k := range kinds(t) {
		if !listed[k] {
			t.Errorf("%s is not in the catalogue (catalogue.go)", k)
		}
	}
	const path = "../../../docs/events.md"
	if *update {
		if err := os.WriteFile(path, []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if diff := cmp.Diff(page.String(), string(have)); err != nil || diff != "" {
		t.Errorf("docs/events.md is not what the catalogue says. Rewrite it with: go test ./internal/feature/event -run TestLOG1_TheCatalogueIsDocumented -update\n%v %s", err, diff)
	}
}
