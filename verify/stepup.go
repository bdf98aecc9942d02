package verify

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

// How strongly somebody has signed in: [Token].ACR. Each satisfies those before it.
const (
	OneFactor         = "1fa" // a password alone
	TwoFactors        = "2fa"
	PhishingResistant = "phr" // two factors, one of which can't be given to somebody else's page
)

var strengths = []string{OneFactor, TwoFactors, PhishingResistant}

// Satisfies reports whether the sign-in was at least as strong as acr, and not longer ago than maxAge; an
// empty acr and a maxAge of 0 ask for nothing. A strength that is not known here satisfies nothing.
func (t *Token) Satisfies(acr string, maxAge time.Duration) bool {
	return t.satisfies(acr, maxAge, time.Now())
}

func (t *Token) satisfies(acr string, maxAge time.Duration, now time.Time) bool {
	asked := slices.Index(strengths, acr)
	strong := acr == "" || asked >= 0 && slices.Index(strengths, t.ACR) >= asked
	return strong && (maxAge <= 0 || now.Sub(t.AuthTime) <= max(maxAge, leastMaxAge))
}

// leastMaxAge is the shortest age that is asked for: with a shorter one the way back from the sign-in would
// be asked again.
const leastMaxAge = time.Minute

// Require passes on the requests whose sign-in was at least as strong as acr, and not longer ago than maxAge, and
// answers the others 401 as RFC 9470 has it: the application sends the person to Gatehouse's /login with acr and max_age in its
// query. It stands behind [Verifier.Middleware].
//
//	mux.Handle("/payments", v.Middleware(v.Require(verify.TwoFactors, 15*time.Minute)(payments)))
func (v *Verifier) Require(acr string, maxAge time.Duration) func(http.Handler) http.Handler {
	challenge := `Bearer error="insufficient_user_authentication"`
	if acr != "" {
		challenge += fmt.Sprintf(`, acr_values=%q`, acr)
	}
	if maxAge > 0 {
		challenge += fmt.Sprintf(`, max_age="%d"`, int64(max(maxAge, leastMaxAge)/time.Second))
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			t := TokenFrom(r.Context())
			if t == nil {
				Refuse(w, ErrNoToken)
				return
			}
			if !t.satisfies(acr, maxAge, v.now()) {
				w.Header().Set("Cache-Control", "no-store")
				w.Header().Set("WWW-Authenticate", challenge)
				http.Error(w, http.StatusText(http.StatusUnauthorized), http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}
