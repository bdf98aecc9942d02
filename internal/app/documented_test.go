package app

import (
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/test/proctest"
)

func TestTheAdminListenerServesWhatIsDocumented(t *testing.T) {
	text, err := os.ReadFile(proctest.File("docs/operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	var always, profiles []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Z]+ /[^`]*)` \\| (only with `ADMIN_PPROF=true`)?").FindAllStringSubmatch(string(text), -1) {
		profiles = append(profiles, m[1])
		if m[2] == "" {
			always = append(always, m[1])
		}
	}
	for on, want := range map[bool][]string{false: always, true: profiles} {
		s := &Server{config: &config.Config{AdminPprof: on}}
		got := slices.Sorted(maps.Keys(s.adminRoutes(http.NotFoundHandler())))
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("with ADMIN_PPROF=%v (-documented +served):\n%s", on, diff)
		}
	}
}
