package client

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// A guarded application's address is its host's, to the letter, and it has no settings of the protocol that it has no part in.
func TestWhatAGuardedApplicationMayBe(t *testing.T) {
	at := func(uris ...string) Settings { return Settings{RedirectURIs: uris} }
	enter := []string{"https://a.example/.gatehouse/enter"}
	for name, c := range map[string]struct {
		settings Settings
		code     string
	}{
		"good":          {at("https://wiki.example.com/.gatehouse/enter", "https://wiki.example.com:8443/.gatehouse/enter"), ""},
		"with roles":    {Settings{RedirectURIs: enter, RequireRoles: []string{"x"}, RequireACR: "2fa", Title: "A"}, ""},
		"none":          {Settings{}, "redirect_uri_required"},
		"another path":  {at("https://wiki.example.com/callback"), "invalid_redirect_uri"},
		"a longer path": {at("https://wiki.example.com/.gatehouse/enter/x"), "invalid_redirect_uri"},
		"below a path":  {at("https://wiki.example.com/wiki/.gatehouse/enter"), "invalid_redirect_uri"},
		"a query":       {at("https://wiki.example.com/.gatehouse/enter?x=1"), "invalid_redirect_uri"},
		"an empty one":  {at("https://wiki.example.com/.gatehouse/enter?"), "invalid_redirect_uri"},
		"http":          {at("http://wiki.example.com/.gatehouse/enter"), "invalid_redirect_uri"},
		"escaped":       {at("https://wiki.example.com/%2egatehouse/enter"), "invalid_redirect_uri"},
		"post logout":   {Settings{RedirectURIs: enter, PostLogoutURIs: []string{"https://a.example/"}}, "guarded_has_no_such_setting"},
		"first party":   {Settings{RedirectURIs: enter, FirstParty: true}, "guarded_has_no_such_setting"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if f := fault.As(c.settings.Check(Guarded, false)); f != nil {
				got = f.Code
			}
			if got != c.code {
				t.Errorf("%q, want %q", got, c.code)
			}
		})
	}
}

func TestEnterAt(t *testing.T) {
	c := Client{Type: Guarded, Settings: Settings{RedirectURIs: []string{"https://a.example:8443/.gatehouse/enter", "https://b.example/.gatehouse/enter"}}}
	for origin, want := range map[string]string{
		"https://a.example:8443": "https://a.example:8443/.gatehouse/enter",
		"https://a.example":      "https://a.example:8443/.gatehouse/enter", // as nginx's $host says it
		"https://b.example":      "https://b.example/.gatehouse/enter",
		"http://b.example":       "", "https://b.example:8443": "", "https://c.example": "", "": "", "https://b.example/": "",
	} {
		if got, ok := c.EnterAt(origin); got != want || ok != (want != "") {
			t.Errorf("%s: %q", origin, got)
		}
	}
}
