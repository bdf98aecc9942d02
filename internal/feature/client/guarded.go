package client

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// A guarded application has no part in the protocol: its proxy asks us about each request, and leads browsers to us under the
// application's own host, below /.gatehouse/. There we take the place of the client: we begin, take the code, exchange it, and have
// the browser keep the grant in a cookie of that host. It is the operator's own, so nobody is asked for consent, and it has no secret,
// no tokens and no settings but who may come in.

// EnterPath is where a guarded application's host takes answers.
const EnterPath = "/.gatehouse/enter"

var (
	errGuardedURI = fault.Field("redirect_uris", "invalid_redirect_uri",
		"The address of a guarded application is its host's, with "+EnterPath+": https://wiki.example.com"+EnterPath+".")
	errGuardedSettings = fault.Field("type", "guarded_has_no_such_setting",
		"A guarded application has a title, redirect_uris, require_roles and require_acr, and no other setting: it has no part in the protocol.")
)

// ConsoleID is the client id of the console where it has a host to itself. No name is like it, nor an id of another's: it stands in no row,
// and nobody registers, changes or deletes it. It is guarded like other applications, by ourselves in the place of a proxy.
const ConsoleID = "gatehouse:console"

// console is the console as an application, at its origin. Whoever could do nothing there gets no cookie for it either.
func console(origin string) known {
	return known{id: ConsoleID, name: ConsoleID, kind: Guarded, settings: Settings{
		Title: "Administration", RedirectURIs: []string{origin + EnterPath}, RequireRoles: []string{"admin", "support"},
	}}
}

var errConsoleHost = fault.Field("redirect_uris", "invalid_redirect_uri",
	"This is the host that the console has to itself (ADMIN_URL): no application is there.")

// CheckHost refuses an application on the host that the console has to itself, whose origin is console; empty for none. Browsers send the
// cookies of a host to all its ports.
func (s Settings) CheckHost(console string) error {
	if slices.ContainsFunc(s.RedirectURIs, func(uri string) bool { return OnHost(uri, console) }) {
		return errConsoleHost
	}
	return nil
}

// OnHost reports whether an address is on the host of an origin, whatever its port; nothing is on no origin's.
func OnHost(uri, origin string) bool {
	u, err := url.Parse(uri)
	at, failed := url.Parse(origin)
	return origin != "" && err == nil && failed == nil && strings.EqualFold(u.Hostname(), at.Hostname())
}

// checkGuarded tells whether a guarded application may have these settings.
func (s Settings) checkGuarded() error {
	for _, uri := range s.RedirectURIs {
		if u, err := url.Parse(uri); err != nil || u.EscapedPath() != EnterPath || !strings.HasSuffix(uri, EnterPath) {
			return errGuardedURI
		}
	}
	s.Title, s.RedirectURIs, s.RequireRoles, s.RequireACR = "", nil, nil, ""
	if !s.empty() {
		return errGuardedSettings
	}
	return nil
}

// EnterAt returns where a guarded application takes answers at an origin, if it is one of its own.
func (c Client) EnterAt(origin string) (uri string, ok bool) {
	for _, uri := range c.Settings.RedirectURIs {
		if at, ok := strings.CutSuffix(uri, EnterPath); ok && (at == origin || withoutPort(at) == origin) {
			return uri, true
		}
	}
	return "", false
}

// withoutPort returns an origin as a proxy names it that leaves the port out of the host, as nginx's $host does.
func withoutPort(origin string) string {
	u, err := url.Parse(origin)
	if err != nil || u.Port() == "" {
		return origin
	}
	return strings.TrimSuffix(origin, ":"+u.Port())
}

// Guarded returns the guarded application of an origin; ok is false if there is none. changes and fresh are as for Authenticate.
func (r *Registry) Guarded(ctx context.Context, origin string, changes uint64, fresh bool) (c Client, ok bool, err error) {
	s, err := r.current(ctx, changes, fresh)
	if err != nil {
		return Client{}, false, err
	}
	k, ok := s.byID[s.guarded[origin]]
	if !ok {
		return Client{}, false, nil
	}
	return k.client(r.now()), true, nil
}

// guards notes the origins of a guarded application. Of two applications with one origin the one that was registered first has it, and an
// origin without its port is the application's only where no other is exactly that.
func (s *snapshot) guards(k known) {
	if k.kind != Guarded || k.disabledAt != nil {
		return
	}
	for _, uri := range k.settings.RedirectURIs {
		at := strings.TrimSuffix(uri, EnterPath)
		for _, name := range []string{at, withoutPort(at)} {
			if other, taken := s.guarded[name]; !taken || other > k.id {
				s.guarded[name] = k.id
			}
		}
	}
}
