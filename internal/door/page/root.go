package page

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
)

// Root is what stands at the root of the server, for people and for programs that
// look there by themselves.
type Root struct {
	Forms
	// Service is what people know it as, and Home where the root leads.
	Service, Home string
	// Development is what the root shows instead of leading home; nil in production.
	Development *Development
	// Contacts are whom to tell of a security problem, as URLs.
	Contacts  []string
	PublicURL string
	Now       func() time.Time
}

// Development is what whoever has just started a server wants to know of it.
type Development struct {
	Version string
	// Admin is the URL of the admin listener.
	Admin string
	// Mails: they are shown at /dev/mail. Closed: nobody may register.
	Mails, Closed bool
}

// Routes are its pages and files.
func (p *Root) Routes() web.Routes {
	return web.Routes{
		"GET /{$}":                      p.root,
		"GET /favicon.ico":              p.icon,
		"GET /robots.txt":               p.robots,
		"GET /.well-known/security.txt": p.security,
	}
}

// root leads home, and in development says what runs here.
func (p *Root) root(w http.ResponseWriter, r *http.Request) error {
	if p.Development == nil {
		return seeOther(w, p.Home)
	}
	return p.show(w, http.StatusOK, p.view(r), "root", rootPage{*p.Development, p.PublicURL})
}

// rootPage is what development shows at the root.
type rootPage struct {
	Development
	URL string
}

// icon leads to the icon: browsers ask here, whatever the page says.
func (p *Root) icon(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Cache-Control", "public, max-age=86400")
	w.Header().Set("Location", "/assets/icon.svg")
	w.WriteHeader(http.StatusFound)
	return nil
}

// robots keeps search engines away: there is nothing to be found, and a page of
// somebody's sign-in is no result.
func (p *Root) robots(w http.ResponseWriter, _ *http.Request) error {
	return plain(w, "User-agent: *\nDisallow: /\n")
}

// securityLife is for how long security.txt is good: it must say, and less than a
// year is recommended (RFC 9116 section 2.5.5).
const securityLife = 180 * 24 * time.Hour

var errNoContact = fault.New(fault.NotFound, "not_found",
	"The operator of this service has named no contact for security problems. They set one by SECURITY_CONTACT.")

// security says whom to tell of a security problem (RFC 9116).
func (p *Root) security(w http.ResponseWriter, _ *http.Request) error {
	if len(p.Contacts) == 0 {
		return errNoContact
	}
	var b strings.Builder
	for _, c := range p.Contacts {
		fmt.Fprintf(&b, "Contact: %s\n", c)
	}
	until := p.Now().Add(securityLife).UTC().Truncate(24 * time.Hour)
	fmt.Fprintf(&b, "Expires: %s\nPreferred-Languages: en\nCanonical: %s/.well-known/security.txt\n", until.Format(time.RFC3339), p.PublicURL)
	return plain(w, b.String())
}

func plain(w http.ResponseWriter, text string) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=3600")
	_, _ = w.Write([]byte(text))
	return nil
}
