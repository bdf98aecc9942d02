package app

import (
	"context"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
)

// applicationChecks are the checks of what people sign in to with OpenID Connect.
func (e Deployment) applicationChecks() []doctor.Check {
	c := e.Config
	return []doctor.Check{
		setting("JWT-1", "issuer", "People can sign in to applications", doctor.Medium, c.JWTIssuer != c.PublicURL,
			"Leave JWT_ISSUER out, or set it to PUBLIC_URL: an issuer's documents must be under its own address. Whoever verifies tokens must change with it.",
			"JWT_ISSUER=%s, PUBLIC_URL=%s", c.JWTIssuer, c.PublicURL),
		{ID: "COMP-1", Name: "pkce", Title: "Every application uses PKCE", Severity: doctor.Medium, Ask: e.read(e.withoutPKCE)},
		{ID: "COMP-1", Name: "providers", Title: "Other providers by which people sign in answer", Severity: doctor.Medium, Ask: e.providersAnswer},
		setting("COMP-1", "registration", "Applications are registered by those who run this", doctor.Medium, c.ClientRegistration == config.ClientRegistrationOpen,
			"Set CLIENT_REGISTRATION=token, and give CLIENT_REGISTRATION_TOKEN to those whose applications may register; or accept the risk.",
			"CLIENT_REGISTRATION=%s", c.ClientRegistration),
		{ID: "COMP-1", Name: "self-registered", Title: "What registered itself is still meant to", Severity: doctor.Medium, Ask: e.read(e.selfRegistered)},
		{ID: "COMP-1", Name: "resources", Title: "Every resource has an application that asks for it", Severity: doctor.Low, Ask: e.read(e.unaskedFor)},
		{ID: "COMP-1", Name: "console-host", Title: "No application is on the console's host", Severity: doctor.High, Ask: e.read(e.besideConsole)},
	}
}

// selfRegistered finds applications that registered themselves while that was open, and are taken although it is not any more; and too
// many of them, since nobody else can register then.
func (e Deployment) selfRegistered(tx *db.Tx) (doctor.Answer, error) {
	n, err := client.CountSelf(tx)
	switch {
	case err != nil:
		return doctor.Answer{}, err
	case n > 0 && e.Config.ClientRegistration == config.ClientRegistrationOff:
		return doctor.Fail("gatehouse client list shows them, with names that begin with self-; gatehouse client delete --yes NAME takes one away.",
			"CLIENT_REGISTRATION=off, and %d applications that registered themselves before are still taken", n), nil
	case n >= client.MostSelf*4/5:
		return doctor.Fail("Set CLIENT_REGISTRATION=token: a stranger who registers many keeps others out.", "%d of %d applications that may register themselves",
			n, client.MostSelf), nil
	}
	return doctor.Pass("%d applications registered themselves, of %d", n, client.MostSelf), nil
}

// unaskedFor finds resources for which nobody gets a token: no application may ask, their file does not have them any more, or they have
// the URI of another audience of ours.
func (e Deployment) unaskedFor(tx *db.Tx) (doctor.Answer, error) {
	resources, err := client.ListResources(tx)
	if err != nil {
		return doctor.Answer{}, err
	}
	list, err := client.List(tx, e.Now())
	if err != nil {
		return doctor.Answer{}, err
	}
	var unasked []string
	for _, r := range resources {
		asks := func(c client.Client) bool { return c.DisabledAt.IsZero() && c.MayAsk(r) }
		if r.Disabled || slices.Contains(reservedAudiences(e.Config), r.URI) || !slices.ContainsFunc(list, asks) && !r.Open {
			unasked = append(unasked, r.URI)
		}
	}
	if len(unasked) > 0 {
		return doctor.Fail("Register the application that asks for it, or gatehouse resource delete --yes URI; one of a file: gatehouse client apply --prune.",
			"no tokens are made for %d resources: %s", len(unasked), strings.Join(unasked[:min(5, len(unasked))], ", ")), nil
	}
	return doctor.Pass("%d resources", len(resources)), nil
}

// besideConsole finds applications on the host that the console has to itself, which were registered before it was.
func (e Deployment) besideConsole(tx *db.Tx) (doctor.Answer, error) {
	at := e.Config.AdminURL
	if at == "" {
		return doctor.Excuse("ADMIN_URL is not set: the console is on PUBLIC_URL"), nil
	}
	list, err := client.List(tx, e.Now())
	if err != nil {
		return doctor.Answer{}, err
	}
	var beside []string
	for _, c := range list {
		if c.DisabledAt.IsZero() && c.Settings.CheckHost(at) != nil {
			beside = append(beside, c.Name)
		}
	}
	if len(beside) > 0 {
		return doctor.Fail("Give the application a host of its own, gatehouse client disable NAME, or set ADMIN_URL to another host.",
			"%d applications take answers at %s: %s", len(beside), at, strings.Join(beside[:min(5, len(beside))], ", ")), nil
	}
	return doctor.Pass("of %d applications none is at %s", len(list), at), nil
}

// providersAnswer asks the providers of UPSTREAMS_FILE for what they publish, as a sign-in would.
func (e Deployment) providersAnswer(ctx context.Context) doctor.Answer {
	list, err := CheckProviders(ctx, e.Config, true)
	if err != nil {
		return doctor.Fail("Mend the file, and look once more: gatehouse upstream check", "%v", err)
	}
	var wrong []string
	for _, p := range list {
		if p.Err != nil {
			wrong = append(wrong, p.ID+": "+p.Err.Error())
		}
	}
	if len(wrong) > 0 {
		return doctor.Fail("People who sign in by these alone are kept out. Look once more: gatehouse upstream check", "%s", strings.Join(wrong, "; "))
	}
	return doctor.Pass("%d providers", len(list))
}

// withoutPKCE finds applications from whose answers a stolen code could be put into somebody else's browser (RFC 9700 section 2.1.1).
func (e Deployment) withoutPKCE(tx *db.Tx) (doctor.Answer, error) {
	list, err := client.List(tx, e.Now())
	if err != nil {
		return doctor.Answer{}, err
	}
	var without []string
	for _, c := range list {
		if c.Settings.PKCEOptional && c.DisabledAt.IsZero() {
			without = append(without, c.Name)
		}
	}
	if len(without) > 0 {
		return doctor.Fail("Switch PKCE on in the application, or update its library; then: gatehouse client set --no-pkce-optional NAME.",
			"%d applications may go without PKCE: %s", len(without), strings.Join(without[:min(5, len(without))], ", ")), nil
	}
	return doctor.Pass("of %d applications none goes without", len(list)), nil
}
