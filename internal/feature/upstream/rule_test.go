package upstream_test

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/feature/upstream"
)

// Every row of the table, and every case whatsoever: what is not in a row is one page for all.
func TestJudgeIsTheTable(t *testing.T) {
	seen := map[upstream.Then]int{}
	for bits := range 1 << 8 {
		on := func(i int) bool { return bits>>i&1 == 1 }
		c := upstream.Case{
			Known: on(0), Own: on(1), Linking: on(2), Trusted: on(3), HasAccount: on(4), Verified: on(5), SignUp: on(6), Held: on(7),
		}
		got := upstream.Judge(c)
		seen[got]++
		var want upstream.Then
		switch { // as the rule page has it
		case c.Known && !c.Linking:
			want = upstream.SignIn
		case c.Known && c.Own:
			want = upstream.LinkedAlready
		case c.Known:
			want = upstream.Taken
		case c.Linking:
			want = upstream.LinkAsked
		case c.Trusted && !c.HasAccount && c.SignUp && !c.Held:
			want = upstream.Create
		case c.Trusted && c.HasAccount && c.Verified:
			want = upstream.Adopt
		case c.Trusted && c.HasAccount && !c.Verified:
			want = upstream.Cleanse
		default:
			want = upstream.Mail
		}
		if got != want {
			t.Errorf("%+v: %s, want %s", c, got, want)
		}
		// What must never be, whatever the table says.
		switch {
		case c.Linking && (got == upstream.SignIn || got == upstream.Create || got == upstream.Adopt || got == upstream.Cleanse):
			t.Errorf("%+v: who asks for a link is signed in: %s", c, got)
		case !c.Known && !c.Linking && !c.Trusted && got != upstream.Mail:
			t.Errorf("%+v: an address that nobody vouches for leads to %s", c, got)
		case got == upstream.Adopt && !c.Verified:
			t.Errorf("%+v: whoever waits in an account that is not verified stays", c)
		}
	}
	if len(seen) != 8 {
		t.Errorf("only %v are led to", seen)
	}
}

// Providers vouch for the domains that they give out, and for those that the operator says.
func TestWhoVouchesForWhichAddress(t *testing.T) {
	said := upstream.Person{Verified: true}
	workspace := upstream.Person{Verified: true, Domain: "corp.example"}
	for name, c := range map[string]struct {
		p      upstream.Provider
		who    upstream.Person
		domain string
		want   bool
	}{
		"Google, and Gmail":                        {upstream.Provider{Kind: upstream.Google}, said, "gmail.com", true},
		"Google, and another domain":               {upstream.Provider{Kind: upstream.Google}, said, "corp.example", false},
		"Google, and the Workspace's own":          {upstream.Provider{Kind: upstream.Google}, workspace, "corp.example", true},
		"Google, and another than the Workspace's": {upstream.Provider{Kind: upstream.Google}, workspace, "example.org", false},
		"hd of another kind":                       {upstream.Provider{Kind: upstream.OIDC}, workspace, "corp.example", false},
		"Gmail by another kind":                    {upstream.Provider{Kind: upstream.OIDC}, said, "gmail.com", false},
		"not verified":                             {upstream.Provider{Kind: upstream.Google}, upstream.Person{}, "gmail.com", false},
		"GitHub":                                   {upstream.Provider{Kind: upstream.GitHub}, said, "example.org", false},
		"a domain that is told": {
			upstream.Provider{Kind: upstream.OIDC, AuthoritativeFor: upstream.Domains{"corp.example"}}, said, "corp.example", true,
		},
		"one below it": {
			upstream.Provider{Kind: upstream.OIDC, AuthoritativeFor: upstream.Domains{"corp.example"}}, said, "sub.corp.example", false,
		},
		"trusted":                  {upstream.Provider{Kind: upstream.OIDC, TrustedEmail: true}, said, "example.org", true},
		"trusted and not verified": {upstream.Provider{Kind: upstream.OIDC, TrustedEmail: true}, upstream.Person{}, "example.org", false},
		"no address":               {upstream.Provider{Kind: upstream.OIDC, TrustedEmail: true}, said, "", false},
	} {
		if got := c.p.Vouches(c.who, c.domain); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Accounts are made for the domains that are named, and for any where strangers may register.
func TestWhoSignsUp(t *testing.T) {
	named := upstream.Provider{SignUp: upstream.Domains{"corp.example"}}
	all := upstream.Provider{SignUp: upstream.Domains{"*"}}
	none := upstream.Provider{}
	if !named.SignsUp("corp.example", false) || named.SignsUp("example.org", true) || all.SignsUp("example.org", false) || !all.SignsUp("example.org", true) ||
		none.SignsUp("example.org", true) {
		t.Error("signup does not say who gets an account")
	}
}
