package openid

import (
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
)

// What a request needs first, of a session that is otherwise as good as can be.
func TestWhatARequestNeeds(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	for name, c := range map[string]struct {
		request func(r *Request)
		client  func(s *client.Settings)
		kind    client.Type
		session func(s *standing)
		want    Need
	}{
		"nothing":                        {want: NeedNothing},
		"another's hint":                 {request: func(r *Request) { r.Hint = "bob" }, want: NeedSignIn},
		"another's hint, once signed in": {request: func(r *Request) { r.Hint, r.Session = "bob", "s1" }, want: NeedOther},
		"nobody's hint":                  {request: func(r *Request) { r.Hint = nobodys }, want: NeedSignIn},
		"nobody's hint, once signed in":  {request: func(r *Request) { r.Hint, r.Session = nobodys, "s1" }, want: NeedNothing},
		"its own hint":                   {request: func(r *Request) { r.Hint = "ada" }, want: NeedNothing},
		"a new sign-in":                  {request: func(r *Request) { r.Prompt = []string{PromptLogin} }, want: NeedSignIn},
		"a new sign-in, done":            {request: func(r *Request) { r.Prompt, r.Session = []string{PromptLogin}, "s1" }, want: NeedNothing},
		"a new sign-in, in another":      {request: func(r *Request) { r.Prompt, r.Session = []string{PromptLogin}, "s2" }, want: NeedSignIn},
		"an account":                     {request: func(r *Request) { r.Prompt = []string{PromptCreate} }, want: NeedAccount},
		"young enough":                   {request: func(r *Request) { r.HasMaxAge, r.MaxAge = true, 60 }, want: NeedNothing},
		"too old":                        {request: func(r *Request) { r.HasMaxAge, r.MaxAge = true, 59 }, want: NeedSignIn},
		"age 0, done":                    {request: func(r *Request) { r.HasMaxAge, r.Session = true, "s1" }, want: NeedNothing},
		"a choice":                       {request: func(r *Request) { r.Prompt = []string{PromptSelectAccount} }, want: NeedChoice},
		"a choice, made": {
			request: func(r *Request) { r.Prompt = []string{PromptSelectAccount} }, session: func(s *standing) { s.chosen = true }, want: NeedNothing,
		},
		"two factors required": {client: func(s *client.Settings) { s.RequireACR = "2fa" }, want: NeedStrength},
		"two factors required, tried": {
			client: func(s *client.Settings) { s.RequireACR = "2fa" }, request: func(r *Request) { r.Session = "s1" }, want: NeedOther,
		},
		"two factors required, shown": {
			client: func(s *client.Settings) { s.RequireACR = "2fa" }, session: func(s *standing) { s.amr = []string{"pwd", "otp", "mfa"} }, want: NeedNothing,
		},
		"two factors wished, and there": {
			request: func(r *Request) { r.ACR = []string{"2fa"} }, session: func(s *standing) { s.factors = 1 }, want: NeedStrength,
		},
		"two factors wished, and not there": {request: func(r *Request) { r.ACR = []string{"2fa"} }, want: NeedNothing},
		"wished in silence": {
			request: func(r *Request) { r.ACR, r.Prompt = []string{"2fa"}, []string{PromptNone} }, session: func(s *standing) { s.factors = 1 }, want: NeedNothing,
		},
		"a role that is not there":    {client: func(s *client.Settings) { s.RequireRoles = []string{"staff", "admin"} }, want: NeedOther},
		"a role that is there":        {client: func(s *client.Settings) { s.RequireRoles = []string{"staff", "user"} }, want: NeedNothing},
		"consent, for the first time": {session: func(s *standing) { s.consented = grant.Consented{} }, want: NeedConsent},
		"consent, for more":           {request: func(r *Request) { r.Scope = []string{"openid", "roles"} }, want: NeedConsent},
		"consent, again":              {request: func(r *Request) { r.Prompt = []string{PromptConsent} }, want: NeedConsent},
		"consent, for a resource":     {session: func(s *standing) { s.beyond = true }, want: NeedConsent},
		"one's own": {
			client: func(s *client.Settings) { s.FirstParty = true }, session: func(s *standing) { s.consented = grant.Consented{} }, want: NeedNothing,
		},
		"a server on this computer": {
			client: func(s *client.Settings) { s.FirstParty = true }, request: func(r *Request) { r.Redirect = "http://127.0.0.1:5/" }, want: NeedNothing,
		},
		"a program on this computer": {
			kind:   client.Native,
			client: func(s *client.Settings) { s.FirstParty = true }, request: func(r *Request) { r.Redirect = "http://127.0.0.1:5/" }, want: NeedConsent,
		},
	} {
		r := Request{Client: "app", Redirect: "https://app.example.org/cb", Scope: []string{"openid", "email"}, At: now.Unix()}
		app := client.Client{ID: "app", Type: client.Web}
		s := standing{
			id: "s1", account: "ada", roles: []string{"user"}, amr: []string{"pwd"}, authAt: now.Add(-time.Minute),
			consented: grant.Consented{Given: true, Scope: "openid profile email"},
		}
		if c.kind != "" {
			app.Type = c.kind
		}
		if c.request != nil {
			c.request(&r)
		}
		if c.client != nil {
			c.client(&app.Settings)
		}
		if c.session != nil {
			c.session(&s)
		}
		if got := judge(r, app, s); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
