package client_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
)

// FuzzParseName: a name that is taken can stand anywhere as it is, and is no id.
func FuzzParseName(f *testing.F) {
	for _, s := range []string{"shop", "a.b-c_d", "-a", "A", "", "0198c0de-0000-7000-8000-000000000001", "shop\n", strings.Repeat("a", 64), "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := client.ParseName(s)
		if err != nil {
			if name != "" {
				t.Errorf("%q is refused and returned", s)
			}
			return
		}
		if name != s || len(s) > 63 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789._-") != "" || uuid.Validate(s) == nil {
			t.Errorf("%q is taken as %q", s, name)
		}
	})
}
