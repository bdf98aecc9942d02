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

// FuzzParseFile: what a file says is refused, or is what its applications may be.
func FuzzParseFile(f *testing.F) {
	for _, s := range []string{
		"", "clients: []", "clients:\n- {id: shop, type: spa, redirect_uris: [https://a.example/cb]}", "clients:\n- {id: s, type: service, secret_sha256: 00}",
		`{"clients":[{"id":"a","type":"web","jwks":{"keys":[]}}]}`, "clients: &a [*a]", "a: b: c",
		"resources:\n- {uri: https://a.example/api, name: A, scopes: [a.read Read]}", "resources: [{uri: https://a.example/#x, name: A}]",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		file, err := client.ParseFile([]byte(s), false)
		if err != nil {
			return
		}
		for _, e := range file.Clients {
			if _, err := client.ParseName(e.Name); err != nil || e.Settings.Check(e.Type, false) != nil {
				t.Errorf("%q gives %+v", s, e)
			}
		}
		for _, e := range file.Resources {
			if e.Resource().Check(nil, false) != nil {
				t.Errorf("%q gives %+v", s, e)
			}
		}
	})
}
