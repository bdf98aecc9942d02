package upstream

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/outbound"
)

// Providers are all that people can sign in by, in the order of the file.
type Providers struct{ list []*Remote }

// ErrUnknown is for a provider that there is none of that name.
var ErrUnknown = fault.New(fault.NotFound, "provider_not_found", "Nobody signs in by this provider here.")

// OpenFile returns those of a file; an empty path has none.
func OpenFile(path string, development bool, server *outbound.Provider, now func() time.Time) (*Providers, error) {
	all := &Providers{}
	if path == "" {
		return all, nil
	}
	list, err := ReadFile(path, development)
	if err != nil {
		return nil, err
	}
	for _, p := range list {
		r, err := Open(p, server, now)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all.list = append(all.list, r)
	}
	return all, nil
}

// List returns all; nil is none.
func (p *Providers) List() []*Remote {
	if p == nil {
		return nil
	}
	return p.list
}

// ByID returns one, or ErrUnknown.
func (p *Providers) ByID(id string) (*Remote, error) {
	for _, r := range p.List() {
		if r.ID == id {
			return r, nil
		}
	}
	return nil, ErrUnknown
}

// ByIssuer returns whose issuer it is, or nil.
func (p *Providers) ByIssuer(issuer string) *Remote {
	for _, r := range p.List() {
		if slices.Contains(r.Issuers(), issuer) {
			return r
		}
	}
	return nil
}

// DomainOf returns the domain of an address, as compared.
func DomainOf(addressKey string) string { return addressKey[strings.LastIndexByte(addressKey, '@')+1:] }

// Only returns the provider that is the one way in for an address, as compared; nil for most.
func (p *Providers) Only(addressKey string) *Remote {
	domain := DomainOf(addressKey)
	for _, r := range p.List() {
		if r.Provider.Only.has(domain) {
			return r
		}
	}
	return nil
}

// Open counts the identities that open an account with such an address: those of a provider that there is, and where it is the one way
// in, of that one.
func (p *Providers) Open(addressKey string, list []Identity) (n int) {
	only := p.Only(addressKey)
	for _, i := range list {
		if r := p.ByIssuer(i.Issuer); r != nil && (only == nil || only == r) {
			n++
		}
	}
	return n
}
