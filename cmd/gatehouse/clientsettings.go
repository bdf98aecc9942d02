package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// clientSettings are the flags for what an application may do. One that is not given changes nothing.
type clientSettings struct {
	Title              *string  `help:"What people are shown; its name if it has none."`
	RedirectURI        []string `name:"redirect-uri" sep:"none" placeholder:"URI" help:"Where it takes answers, to the letter; may be given several times."`
	PostLogoutURI      []string `name:"post-logout-redirect-uri" sep:"none" placeholder:"URI" help:"Where a browser may go once it is signed out; likewise."`
	BackchannelURI     *string  `name:"backchannel-logout-uri" placeholder:"URI" help:"Where a web application is told that a session has ended."`
	BackchannelSession *bool    `name:"backchannel-logout-session-required" negatable:"" help:"It must be told which session has ended; it is told in any case."`
	FirstParty         *bool    `negatable:"" help:"It is yours: people are not asked what it may know."`
	RequireRole        []string `sep:"none" placeholder:"ROLE" help:"Let in only accounts with this role; with one of them if given several times."`
	RequireACR         *string  `name:"require-acr" placeholder:"ACR" help:"Let in only sign-ins as strong as this: 2fa (two factors) or phr (a passkey)."`
	RequirePAR         *bool    `name:"require-par" negatable:"" help:"Take only requests that it has pushed to /oauth2/par first (RFC 9126)."`
	ResponseMode       []string `name:"response-mode" sep:"none" placeholder:"MODE" help:"How it takes answers: query (if none is given), fragment or form_post."`
	PKCEOptional       *bool    `name:"pkce-optional" negatable:"" help:"Let a web application go without PKCE, whose library has none."`
	LeanIDToken        *bool    `name:"lean-id-token" negatable:"" help:"Leave name and address out of its ID tokens: it asks /oauth2/userinfo."`
	IDTokenAlg         *string  `name:"id-token-alg" placeholder:"ALG" help:"What its ID tokens are signed with: RS256 (if none is given) or ES256."`
	Resource           []string `sep:"none" placeholder:"URI" help:"Let it ask only for tokens for this resource; may be given several times. A service needs it."`
	DefaultResource    *string  `name:"default-resource" placeholder:"URI" help:"The resource that it is taken to ask for where it names none."`
	Scope              []string `sep:"none" placeholder:"SCOPE" help:"Let it have this scope alone; may be given several times."`
	Serves             []string `sep:"none" placeholder:"URI" help:"It is the server of this resource, and may introspect its tokens; likewise."`
	KeysFile           string   `name:"jwks-file" placeholder:"FILE" help:"Its public keys, a JWK set or PEM: it has no secret, and signs (private_key_jwt)."`
	KeysURI            *string  `name:"jwks-uri" placeholder:"URI" help:"Where it publishes its public keys, in the place of --jwks-file."`
	NoKeys             bool     `name:"no-jwks" help:"Take its keys away. Then: gatehouse client rotate NAME"`
}

// change returns what makes settings of others: with what was given.
func (f clientSettings) change() (func(client.Settings) client.Settings, error) {
	keys, err := f.keys()
	return func(s client.Settings) client.Settings {
		set(&s.Title, f.Title)
		set(&s.BackchannelLogoutURI, f.BackchannelURI)
		set(&s.BackchannelLogoutSessionRequired, f.BackchannelSession)
		set(&s.FirstParty, f.FirstParty)
		set(&s.RequireACR, f.RequireACR)
		set(&s.RequirePAR, f.RequirePAR)
		set(&s.PKCEOptional, f.PKCEOptional)
		set(&s.LeanIDToken, f.LeanIDToken)
		set(&s.IDTokenAlg, f.IDTokenAlg)
		if keys != nil || f.NoKeys || f.KeysURI != nil {
			s.JWKS, s.JWKSURI = keys, ""
		}
		set(&s.JWKSURI, f.KeysURI)
		set(&s.DefaultResource, f.DefaultResource)
		for into, list := range map[*[]string][]string{&s.RedirectURIs: f.RedirectURI, &s.PostLogoutURIs: f.PostLogoutURI, &s.RequireRoles: f.RequireRole,
			&s.ResponseModes: f.ResponseMode, &s.Resources: f.Resource, &s.Scopes: f.Scope, &s.Serves: f.Serves} {
			if len(list) > 0 {
				*into = slices.DeleteFunc(list, func(s string) bool { return s == "" }) // one empty text takes all away
			}
		}
		return s
	}, err
}

// keys reads the file, if one was given.
func (f clientSettings) keys() (*client.Keys, error) {
	switch {
	case f.KeysFile != "" && f.NoKeys, f.KeysFile != "" && f.KeysURI != nil, f.KeysURI != nil && f.NoKeys:
		return nil, terminal.UsageError("Give one of --jwks-file, --jwks-uri and --no-jwks.")
	case f.KeysFile == "":
		return nil, nil
	}
	b, err := os.ReadFile(f.KeysFile)
	if err != nil {
		return nil, terminal.UsageError(err.Error())
	}
	keys, err := client.ParseKeys(string(b))
	if err == nil && keys == nil {
		err = terminal.UsageError("There is nothing in " + f.KeysFile + ".")
	}
	return keys, err
}

func set[T any](into, given *T) {
	if given != nil {
		*into = *given
	}
}

type clientShow struct {
	Client string `arg:"" help:"Its id or its name."`
	JSON   bool   `name:"json" help:"Print JSON."`
}

func (clientShow) Help() string { return "Example:\n  gatehouse client show grafana" }

// Run shows the application.
func (c clientShow) Run(ctx context.Context, t *terminal.Terminal) error {
	return t.Operator(ctx, func(o *operate.Operator) error {
		have, err := o.Client(ctx, c.Client)
		if err != nil {
			return err
		}
		return showClient(t, have, c.JSON)
	})
}

func showClient(t *terminal.Terminal, c client.Client, asJSON bool) error {
	if asJSON {
		return t.JSON(newClientJSON(c, ""))
	}
	s := c.Settings
	lines := [][]string{{"client_id", c.ID}, {"name", c.Name}, {"type", string(c.Type)}, {"created", terminal.Time(c.CreatedAt)}}
	add := func(name string, value ...string) {
		if text := strings.Join(value, " "); text != "" {
			lines = append(lines, []string{name, text})
		}
	}
	yes := func(is bool) string {
		if is {
			return "yes"
		}
		return ""
	}
	add("disabled", terminal.Time(c.DisabledAt))
	if c.Newer {
		add("settings", "of a newer version of gatehouse, which shows them")
	}
	if c.FromFile {
		add("managed by", "a file: change it there")
	}
	if c.Self {
		add("registered", "itself: nobody has checked it")
	}
	add("title", s.Title)
	for _, uri := range s.RedirectURIs {
		add("redirect_uri", uri)
	}
	for _, uri := range s.PostLogoutURIs {
		add("post_logout_redirect_uri", uri)
	}
	add("backchannel_logout_uri", s.BackchannelLogoutURI)
	add("backchannel_logout_session_required", yes(s.BackchannelLogoutSessionRequired))
	add("first_party", yes(s.FirstParty))
	add("require_roles", s.RequireRoles...)
	add("require_acr", s.RequireACR)
	add("require_par", yes(s.RequirePAR))
	add("response_modes", s.ResponseModes...)
	add("pkce_optional", yes(s.PKCEOptional))
	add("lean_id_token", yes(s.LeanIDToken))
	add("id_token_alg", s.IDTokenAlg)
	add("jwks_uri", s.JWKSURI)
	for _, uri := range s.Resources {
		add("resource", uri)
	}
	add("default_resource", s.DefaultResource)
	add("scopes", s.Scopes...)
	for _, uri := range s.Serves {
		add("serves", uri)
	}
	for _, key := range s.JWKS.Names() {
		add("key", key)
	}
	return t.Table(lines)
}

type clientSet struct {
	Client string `arg:"" help:"Its id or its name."`
	clientSettings
	JSON bool `name:"json" help:"Print JSON."`
}

func (clientSet) Help() string {
	return `What is not given stays as it is; lists are replaced as a whole. A change is in force within a second, for people too who are
signing in at that moment.

Examples:
  gatehouse client set --redirect-uri https://a.example.com/cb --redirect-uri https://b.example.com/cb grafana
  gatehouse client set --no-first-party --require-role staff grafana
  gatehouse client set --jwks-file grafana-public.pem grafana`
}

// Run changes the settings.
func (c clientSet) Run(ctx context.Context, t *terminal.Terminal) error {
	change, err := c.change()
	if err != nil {
		return err
	}
	return t.Operator(ctx, func(o *operate.Operator) error {
		have, err := o.SetClient(ctx, c.Client, change, t.Origin())
		if err != nil {
			return err
		}
		return showClient(t, have, c.JSON)
	})
}

type clientDisable struct {
	Client string `arg:"" help:"Its id or its name."`
	Yes    bool   `help:"Do it. Without it, the command only says what it would do."`
}

func (clientDisable) Help() string {
	return "Its secrets and its people's tokens are refused within a second. Nothing is deleted.\n\nExample:\n  gatehouse client disable --yes grafana"
}

// Run disables the application, or says that it would.
func (c clientDisable) Run(ctx context.Context, t *terminal.Terminal) error {
	return t.Operator(ctx, func(o *operate.Operator) error {
		have, err := o.Client(ctx, c.Client)
		if err != nil {
			return err
		}
		if !c.Yes {
			_, err := fmt.Fprintf(t.Out, "This would refuse the application %s (%s) and its people's tokens from then on. Add --yes to do it.\n", have.Name, have.ID)
			return err
		}
		if have, err = o.DisableClient(ctx, have.ID, true, t.Origin()); err != nil {
			return err
		}
		_, err = fmt.Fprintf(t.Out, "Disabled the application %s (%s). Undo it: gatehouse client enable %s\n", have.Name, have.ID, have.Name)
		return err
	})
}

type clientEnable struct {
	Client string `arg:"" help:"Its id or its name."`
}

func (clientEnable) Help() string { return "Example:\n  gatehouse client enable grafana" }

// Run enables the application.
func (c clientEnable) Run(ctx context.Context, t *terminal.Terminal) error {
	return t.Operator(ctx, func(o *operate.Operator) error {
		have, err := o.DisableClient(ctx, c.Client, false, t.Origin())
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(t.Out, "Enabled the application %s (%s).\n", have.Name, have.ID)
		return err
	})
}
