package openid

import (
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
)

// Repeated is the parameter that a request may have several times: the resources that tokens are to be for (RFC 8707).
const Repeated = "resource"

// mostTargets is how many resources one request names.
const mostTargets = 10

// errTarget is for a token that is asked for a resource that it can't be for.
var errTarget = fault.New(fault.Invalid, "invalid_target",
	"The resource is not registered, the application may not ask for it, or it is none of those that the code was for. One a request; to the letter.")

// targets are what access tokens can be for, as they are registered at one moment.
type targets struct {
	// userInfo is the userinfo endpoint, which is their audience where no resource is named.
	userInfo string
	all      client.Resources
}

// allows reports whether an application may have tokens for a URI.
func (t targets) allows(c client.Client, uri string) bool {
	r, ok := t.all[uri]
	return uri == t.userInfo || ok && c.MayAsk(r)
}

// ask returns the resources that a request names, between spaces; ok is false if the application may not have one of them.
func (t targets) ask(c client.Client, text string) (list []string, ok bool) {
	if text == "" && c.Settings.DefaultResource != "" {
		text = c.Settings.DefaultResource
	}
	for _, uri := range strings.Fields(text) {
		if !t.allows(c, uri) || len(list) == mostTargets {
			return nil, false
		}
		if !slices.Contains(list, uri) {
			list = append(list, uri)
		}
	}
	return list, true
}

// scope returns the known scopes of a list between spaces that an application may have: those that say something of a person, and
// those of the resources that it asks for. Others are left out.
func (t targets) scope(c client.Client, text string, resources []string) []string {
	list := grant.ParseScope(text)
	for _, uri := range resources {
		for _, s := range t.all[uri].Within(text) {
			if !slices.Contains(list, s) {
				list = append(list, s)
			}
		}
	}
	return slices.DeleteFunc(list, func(s string) bool { return !c.MayHave(s) })
}

// audience returns what a grant's access token is for: the resource that is asked for, which is one of the grant's or the userinfo
// endpoint; else the grant's one, or of several the application's default, or the userinfo endpoint if it may ask that.
func (t targets) audience(g grant.Grant, c client.Client, asked string) (string, error) {
	granted := strings.Fields(g.Resource)
	uri := asked
	switch {
	case asked != "":
	case len(granted) == 1:
		uri = granted[0]
	case slices.Contains(granted, c.Settings.DefaultResource):
		uri = c.Settings.DefaultResource
	case len(granted) == 0 || grant.Has(g.Scope, grant.OpenID):
		uri = t.userInfo
	}
	if uri != t.userInfo && !slices.Contains(granted, uri) || !t.allows(c, uri) {
		return "", errTarget
	}
	return uri, nil
}

// within returns those of a scope that stand in a token for an audience: what says something of a person is no resource's, which could
// ask for it at the userinfo endpoint otherwise, and a resource's scopes are no other's.
func (t targets) within(c client.Client, scope, audience string) string {
	var list []string
	if audience == t.userInfo {
		list = grant.ParseScope(scope)
	} else {
		list = t.all[audience].Within(scope)
	}
	return strings.Join(slices.DeleteFunc(list, func(s string) bool { return !c.MayHave(s) }), " ")
}

// narrower is what a token gets of a grant's scope: all, or what is asked for. ok is false if that goes beyond it. Unknown scopes are
// passed over, as where the grant was asked for: libraries send the same list again.
func (t targets) narrower(g grant.Grant, asked string) (scope string, ok bool) {
	if asked == "" {
		return g.Scope, true
	}
	var list []string
	for _, s := range strings.Fields(g.Scope) {
		if grant.Has(asked, s) {
			list = append(list, s)
		}
	}
	known := grant.ParseScope(asked)
	for _, uri := range strings.Fields(g.Resource) {
		known = append(known, t.all[uri].Within(asked)...)
	}
	return strings.Join(list, " "), len(list) > 0 && len(grant.Beyond(known, g.Scope)) == 0
}

// AskedResource is a resource as a person is asked about it: what an application is to do there.
type AskedResource struct {
	client.Resource
	// Asked are the scopes, of which the new ones were not agreed to before; New is for the resource itself.
	Asked []AskedScope
	New   bool
}

// AskedScope is one of its scopes.
type AskedScope struct {
	client.Scope
	New bool
}

// asks returns the resources of a request, beside what a person has consented to.
func (t targets) asks(r Request, had grant.Consented) (list []AskedResource) {
	for _, uri := range r.Resource {
		known, ok := t.all[uri]
		if !ok {
			continue
		}
		before, agreed := had.Resources[uri]
		one := AskedResource{Resource: known, New: !agreed}
		for _, s := range known.Scopes {
			if slices.Contains(r.Scope, s.Name) {
				one.Asked = append(one.Asked, AskedScope{s, !slices.Contains(before, s.Name)})
			}
		}
		list = append(list, one)
	}
	return list
}

// agreed are the scopes at each resource that a person agrees to.
func agreed(list []AskedResource) map[string][]string {
	out := map[string][]string{}
	for _, r := range list {
		out[r.URI] = []string{}
		for _, s := range r.Asked {
			out[r.URI] = append(out[r.URI], s.Name)
		}
	}
	return out
}
