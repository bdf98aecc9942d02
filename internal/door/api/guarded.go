package api

import (
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// BeginPath is where a guarded application's proxy leads browsers to sign in, on the application's host.
const BeginPath = "/.gatehouse/begin"

// guarding is for which application a proxy asks, if it is a guarded one, and by which cookies its people are known.
type guarding struct {
	is      bool
	client  client.Client
	cookies *web.Cookies
}

// guard tells it, by the host that the browser asked for. A proxy of our own host, and of the origins in CORS_ORIGINS, goes on as ever.
func (a *ForwardAuth) guard(r *http.Request, made web.Forwarded) (g guarding, err error) {
	g.cookies = a.Cookies
	origin := web.OriginOf(made)
	if origin == "" || origin == a.Cookies.Origin {
		return g, nil
	}
	if g.client, g.is, err = a.Clients.Guarded(r.Context(), origin); err == nil && g.is {
		if enter, ok := g.client.EnterAt(origin); ok { // with its port, which a proxy may leave out
			g.cookies = a.Cookies.At(strings.TrimSuffix(enter, client.EnterPath))
		}
	}
	return g, err
}

// asks is what is asked of a sign-in by the proxy, and by the application for everybody.
func (g guarding) asks(asked flow.Asked) flow.Asked {
	if least := g.client.Settings.RequireACR; g.is && least != "" && !token.Satisfies(asked.ACR, least) {
		asked.ACR = least
	}
	return asked
}

// guarded tells whose the request is, by the cookie of the application's host.
func (a *ForwardAuth) guarded(r *http.Request, made web.Forwarded, g guarding) (flow.Identity, string, error) {
	cookie := g.cookies.Entered(r)
	if cookie == "" {
		return flow.Identity{}, "", errNoToken
	}
	who, address, err := a.ForwardAuth.Guarded(r.Context(), g.client, cookie, web.Origin(r))
	if err == nil {
		err = g.cookies.CheckForwarded(r, made)
	}
	return who, address, err
}

// beginFor is where a browser begins to sign in, and comes back from to the page that was asked for.
func (g guarding) beginFor(made web.Forwarded, asked flow.Asked) string {
	query := askedQuery(asked)
	if page, ok := strings.CutPrefix(made.URL, web.OriginOf(made)); ok && page != "" && page != "/" {
		query.Set("to", page)
	}
	to := g.cookies.Origin + BeginPath
	if len(query) > 0 {
		to += "?" + query.Encode()
	}
	return to
}
