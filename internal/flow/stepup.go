package flow

import (
	"fmt"
	"strconv"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
)

// Asked is how strong and how fresh a sign-in an application asks for (RFC 9470). The zero value asks
// for nothing.
type Asked struct {
	ACR    string
	MaxAge time.Duration // 0 for any
}

// leastMaxAge is the shortest age that can be asked for: with a shorter one the way back from the
// sign-in would be asked again.
const leastMaxAge = time.Minute

var (
	errUnknownACR = fault.Field("acr", "invalid_acr", "Write 1fa, 2fa or phr.")
	errMaxAge     = fault.Field("max_age", "invalid_max_age", "Write a whole number of seconds, up to %d.", mostMaxAge)
	// ErrInsufficient is for a sign-in that is not strong or not fresh enough.
	ErrInsufficient = fault.New(fault.Unauthenticated, "insufficient_user_authentication",
		"This needs a stronger or a fresher sign-in: see the header WWW-Authenticate (RFC 9470).")
)

// mostMaxAge is a year of seconds.
const mostMaxAge = 366 * 24 * 60 * 60

// ParseAsked reads acr and max_age as they stand in a query.
func ParseAsked(acr, maxAge string) (a Asked, err error) {
	if acr != "" && !token.KnownACR(acr) {
		return a, errUnknownACR
	}
	a.ACR = acr
	if maxAge == "" {
		return a, nil
	}
	seconds, err := strconv.Atoi(maxAge)
	if err != nil || seconds < 0 || seconds > mostMaxAge {
		return a, errMaxAge
	}
	a.MaxAge = max(time.Duration(seconds)*time.Second, leastMaxAge)
	return a, nil
}

// Satisfied reports whether somebody's sign-in is strong and fresh enough.
func (a Asked) Satisfied(who Identity, now time.Time) bool {
	return (a.ACR == "" || token.Satisfies(token.ACR(who.AMR), a.ACR)) && (a.MaxAge == 0 || now.Sub(who.AuthAt) <= a.MaxAge)
}

// Challenge is what WWW-Authenticate says of a sign-in that does not do (RFC 9470 section 3).
func (a Asked) Challenge() string {
	c := `Bearer error="insufficient_user_authentication"`
	if a.ACR != "" {
		c += fmt.Sprintf(`, acr_values=%q`, a.ACR)
	}
	if a.MaxAge > 0 {
		c += fmt.Sprintf(`, max_age="%d"`, int64(a.MaxAge/time.Second))
	}
	return c
}
