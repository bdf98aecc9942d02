package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
)

// Probe has limits really tried, which uses up those of whoever runs it. It may only be used for one look.
type Probe struct {
	// SignIns is how many sign-ins the limit lets through.
	SignIns int
}

// mostTries is how often a sign-in is tried at most.
const mostTries = 60

// probeChecks really try the limits.
func (o *Outside) probeChecks() []doctor.Check {
	probe := func(id, name, title string, s doctor.Severity, ask func(context.Context) doctor.Answer) doctor.Check {
		return o.check(id, name, title, s, func(ctx context.Context) doctor.Answer {
			if o.Probe == nil {
				return doctor.Excuse("limits are tried with --probe alone")
			}
			return ask(ctx)
		})
	}
	return []doctor.Check{
		probe("RATE-1", "tried", "Who guesses passwords is made to wait, whatever address he says he has", doctor.Critical, o.guess),
		probe("MAIL-2", "told", "Nobody is told who has an account", doctor.High, o.told),
	}
}

// nobody is an address that no mail reaches (RFC 6761), and no account has.
func (o *Outside) nobody() string { return o.mark + "@nobody.invalid" }

// signIn tries a sign-in of nobody, with what else is to be sent.
func (o *Outside) signIn(ctx context.Context, h http.Header) (seen, error) {
	body, err := json.Marshal(map[string]string{"email": o.nobody(), "password": o.mark + "-is-no-password"})
	if err != nil {
		return seen{}, err
	}
	return o.ask(ctx, asking{method: http.MethodPost, path: "/v1/login", header: h, body: string(body)})
}

// guess tries sign-ins of nobody until it is made to wait; each says that it comes from elsewhere.
func (o *Outside) guess(ctx context.Context) doctor.Answer {
	most := min(o.Probe.SignIns+2, mostTries)
	for n := range most {
		at := secret.Random{}.Bytes(2)
		forged := fmt.Sprintf("198.18.%d.%d", at[0], at[1]) // nobody's (RFC 2544), and another each time
		s, err := o.signIn(ctx, http.Header{
			"X-Forwarded-For": {forged}, "Forwarded": {"for=" + forged}, "X-Real-Ip": {forged}, "Cf-Connecting-Ip": {forged}, "True-Client-Ip": {forged},
		})
		switch {
		case err != nil:
			return doctor.Skip(mendReach, err)
		case s.status == http.StatusTooManyRequests && s.header.Get("Retry-After") == "":
			return doctor.Fail("See that the proxy passes answers of 429 on as they are.", "the sign-in %d is refused, and does not say until when", n+1)
		case s.status == http.StatusTooManyRequests:
			return doctor.Pass("the sign-in %d is refused for %s seconds, although each said that it came from another address", n+1, s.header.Get("Retry-After"))
		}
	}
	return doctor.Fail("See that TRUSTED_PROXIES names the proxy and nothing else, that the proxy writes X-Forwarded-For anew, and LOGIN_RATE_LIMIT_ATTEMPTS.",
		"%d sign-ins of nobody, each with another address in X-Forwarded-For, were all answered: guessing has no limit", most)
}

// told asks whether nobody has an account.
func (o *Outside) told(ctx context.Context) doctor.Answer {
	const mend = "Have the proxy pass answers of the API on as they are."
	body, err := json.Marshal(map[string]string{"email": o.nobody()})
	if err != nil {
		return doctor.Skip(mend, err)
	}
	began := time.Now()
	s, err := o.ask(ctx, asking{method: http.MethodPost, path: "/v1/password/forgot", body: string(body)})
	switch {
	case err != nil:
		return doctor.Skip(mendReach, err)
	case s.status == http.StatusTooManyRequests:
		return doctor.Skip("Try again in an hour.", errors.New("this address has asked too often"))
	case s.status != http.StatusAccepted:
		return doctor.Fail(mend, "who asks for a reset of an address without an account is answered %d, and not 202 as everybody", s.status)
	}
	return doctor.Pass("who asks for a reset of an address without an account is answered as everybody, in %s", time.Since(began).Round(time.Millisecond))
}
