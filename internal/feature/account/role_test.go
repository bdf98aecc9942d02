package account_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
)

func TestParseRoles(t *testing.T) {
	many := func(n int) (roles []string) {
		for i := range n {
			roles = append(roles, fmt.Sprintf("r%02d", i))
		}
		return roles
	}
	for name, c := range map[string]struct {
		in, want []string
		code     string
	}{
		"none":             {nil, nil, ""},
		"an empty list":    {[]string{}, nil, ""},
		"sorted, once":     {[]string{"writer", "admin", "writer"}, []string{"admin", "writer"}, ""},
		"all characters":   {[]string{"a_b:c.d-9"}, []string{"a_b:c.d-9"}, ""},
		"64 characters":    {[]string{strings.Repeat("r", 64)}, []string{strings.Repeat("r", 64)}, ""},
		"32 roles":         {many(32), many(32), ""},
		"32 roles, twice":  {append(many(32), many(32)...), many(32), ""},
		"33 roles":         {many(33), nil, "invalid_role"},
		"65 characters":    {[]string{strings.Repeat("r", 65)}, nil, "invalid_role"},
		"an empty name":    {[]string{"admin", ""}, nil, "invalid_role"},
		"upper case":       {[]string{"Admin"}, nil, "invalid_role"},
		"a digit first":    {[]string{"1st"}, nil, "invalid_role"},
		"a space":          {[]string{"ad min"}, nil, "invalid_role"},
		"a comma":          {[]string{"admin,writer"}, nil, "invalid_role"}, // X-Auth-Roles is a list of them
		"a line break":     {[]string{"admin\n"}, nil, "invalid_role"},
		"two lines":        {[]string{"x\nadmin"}, nil, "invalid_role"},
		"NUL":              {[]string{"admin\x00"}, nil, "invalid_role"},
		"a homograph":      {[]string{"аdmin"}, nil, "invalid_role"},
		"JSON":             {[]string{`a","admin`}, nil, "invalid_role"},
		"broken UTF-8":     {[]string{"a\xff"}, nil, "invalid_role"},
		"good ones before": {[]string{"admin", "writer", "B"}, nil, "invalid_role"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := account.ParseRoles(c.in)
			checkFault(t, err, "roles", c.code)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	in := []string{"b", "a", "b"}
	if _, err := account.ParseRoles(in); err != nil || !cmp.Equal(in, []string{"b", "a", "b"}) {
		t.Errorf("the caller's list is now %v, error %v", in, err)
	}
}

func TestDecodeRoles(t *testing.T) {
	for in, want := range map[string][]string{`[]`: {}, `["admin"]`: {"admin"}, `["b","a"]`: {"b", "a"}} {
		got, err := account.DecodeRoles(in)
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s: %#v, error %v", in, got, err)
		}
	}
	for _, in := range []string{"", "admin", `{"admin":true}`, `["admin"`, `[1]`, `"admin"`, `["admin"] x`} {
		if got, err := account.DecodeRoles(in); err == nil || got != nil {
			t.Errorf("%q was read as %v", in, got)
		}
	}
}
