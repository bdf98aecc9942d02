package app

import (
	"context"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/outbound"
	"github.com/gatehouse-auth/gatehouse/internal/door/api"
	"github.com/gatehouse-auth/gatehouse/internal/door/page"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/upstream"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// newProviders reads which other providers people sign in by.
func newProviders(b *base, p *page.Pages) (*upstream.Providers, capability, error) {
	c := b.config
	server := outbound.NewProvider(!c.Production())
	all, err := openProviders(c, server, b.now)
	if err != nil {
		return nil, capability{}, err
	}
	p.SignInBy(all.List())
	return all, capability{name: "providers", close: func() error { server.Close(); return nil }}, nil
}

func openProviders(c *config.Config, server *outbound.Provider, now func() time.Time) (*upstream.Providers, error) {
	all, err := upstream.OpenFile(c.UpstreamsFile, !c.Production(), server, now)
	if err != nil {
		return nil, fmt.Errorf("UPSTREAMS_FILE: %w", err)
	}
	return all, nil
}

// upstreams signs people in by other providers.
type upstreams struct {
	flow  *flow.ProviderSignIn
	pages *page.Upstream
}

func newUpstreams(b *base, who api.Caller, l *flow.EmailLinks, e *ending, factors *flow.Factors, enter *entrance) (*upstreams, capability, error) {
	f := &flow.ProviderSignIn{
		EmailLinks: l, Accounts: newAccountMaker(b, l), End: e.end, Second: e.second, Factors: factors, Random: b.random,
		Seal: func() []byte { return b.ring.Key(keyring.Request) }, Open: b.config.Registration == config.RegistrationOpen,
	}
	u := &upstreams{f, &page.Upstream{In: enter.signIn, Providers: f}}
	own := api.Identities{Caller: who, Providers: f}
	return u, capability{name: "sign-in by providers", routes: []web.Routes{u.pages.Routes(), own.Routes()}}, nil
}

// ProviderCheck is what is wrong with one of the providers of UPSTREAMS_FILE; nil for nothing.
type ProviderCheck struct {
	*upstream.Provider
	// Callback is where it sends people back to.
	Callback string
	Err      error
}

// CheckProviders reads UPSTREAMS_FILE, and asks each provider for what it publishes, unless only the file is to be read.
func CheckProviders(ctx context.Context, c *config.Config, ask bool) (list []ProviderCheck, err error) {
	server := outbound.NewProvider(!c.Production())
	defer server.Close()
	all, err := openProviders(c, server, time.Now)
	if err != nil {
		return nil, err
	}
	for _, r := range all.List() {
		one := ProviderCheck{Provider: r.Provider, Callback: flow.CallbackAt(c.PublicURL, r.ID)}
		if ask {
			one.Err = r.Check(ctx)
		}
		list = append(list, one)
	}
	return list, nil
}
