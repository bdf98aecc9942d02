package verify

import (
	"context"
	"errors"
	"net/http"
	"strings"
)

var (
	// ErrNoToken is for a request without an access token: 401.
	ErrNoToken = errors.New("the request has no access token")
	// ErrBadRequest is for a request whose Authorization header can't be read as one
	// token: 400.
	ErrBadRequest = errors.New("the Authorization header is not \"Bearer\" and one token")
)

type tokenKey struct{}

// TokenFrom returns the token that [Verifier.Middleware] has found in the request
// of this context; nil, if it was not there.
func TokenFrom(ctx context.Context) *Token {
	t, _ := ctx.Value(tokenKey{}).(*Token)
	return t
}

// Middleware passes on the requests that bear a good access token, and answers
// the others with [Refuse].
func (v *Verifier) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t, err := v.Request(r)
		if err != nil {
			Refuse(w, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tokenKey{}, t)))
	})
}

// Request verifies the token in a request's Authorization header. A token in the
// URL or the body is not looked for: it would stand in logs (RFC 9700).
func (v *Verifier) Request(r *http.Request) (*Token, error) {
	token, err := bearer(r.Header.Values("Authorization"))
	if err != nil {
		return nil, err
	}
	return v.Verify(r.Context(), token)
}

func bearer(headers []string) (string, error) {
	if len(headers) > 1 {
		return "", ErrBadRequest
	}
	if len(headers) == 0 || headers[0] == "" {
		return "", ErrNoToken
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", ErrNoToken
	}
	token = strings.Trim(token, " ")
	if token == "" || strings.ContainsAny(token, " ,\t") {
		return "", ErrBadRequest
	}
	return token, nil
}

// Refuse answers a request whose token can't be taken, as RFC 6750 section 3 has
// it: 401 for none and for one that is not good, 400 for a request that can't be
// read, 503 when it can't be determined. The client does not learn what is wrong with a
// token: the bearer of a good one never sees it.
func Refuse(w http.ResponseWriter, err error) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	status := http.StatusUnauthorized
	switch {
	case errors.Is(err, ErrInvalid):
		h.Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	case errors.Is(err, ErrBadRequest):
		status = http.StatusBadRequest
		h.Set("WWW-Authenticate", `Bearer error="invalid_request"`)
	case errors.Is(err, ErrNoToken):
		h.Set("WWW-Authenticate", "Bearer")
	default:
		status = http.StatusServiceUnavailable
		h.Set("Retry-After", "1")
	}
	http.Error(w, http.StatusText(status), status)
}
