package app

import (
	"context"
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
)

// consoleChecks look at the host that the console has to itself, where it has one.
func (o *Outside) consoleChecks() []doctor.Check {
	return []doctor.Check{
		o.check("NET-5", "console", "The console is on its own host, and nothing else is there", doctor.High, o.ownConsole),
	}
}

// ownConsole asks both hosts for the console, and the console's for what it must not have. Whoever is not in ADMIN_NETWORKS is refused
// there, which is as good.
func (o *Outside) ownConsole(ctx context.Context) doctor.Answer {
	if o.Console == "" {
		return doctor.Excuse("ADMIN_URL is not set: the console is on PUBLIC_URL")
	}
	const mend = "Have the proxy of ADMIN_URL pass its own host on, and nothing of PUBLIC_URL's: docs/guides/administration.md has the block."
	for _, look := range []struct {
		at, path string
		fits     func(seen) bool
	}{
		{o.Console, "/admin", func(s seen) bool { return leads(s, "/.gatehouse/begin") || s.status == http.StatusForbidden }},
		{o.Console, "/v1/me", func(s seen) bool { return s.status == http.StatusNotFound }},
		{o.Console, "/register", func(s seen) bool { return s.status == http.StatusNotFound }},
		{o.url.String(), "/admin", func(s seen) bool { return leads(s, o.Console+"/") || s.status == http.StatusForbidden }},
	} {
		s, err := o.askAt(ctx, look.at+look.path, asking{method: http.MethodGet, path: look.path})
		if err != nil {
			return doctor.Skip("See that the name of ADMIN_URL leads to its proxy from where the doctor runs, with a certificate for it.", err)
		}
		if !look.fits(s) {
			return doctor.Fail(mend, "%s%s answers %d %s", look.at, look.path, s.status, s.header.Get("Location"))
		}
	}
	return doctor.Pass("%s has the console alone, and PUBLIC_URL leads there", o.Console)
}

// leads reports whether an answer leads to an address that begins like this.
func leads(s seen, to string) bool {
	return s.status == http.StatusSeeOther && strings.HasPrefix(s.header.Get("Location"), to)
}
