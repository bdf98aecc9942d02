package web

import (
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// MaxToken is the size in bytes of the longest bearer token that is accepted.
const MaxToken = 8 << 10

// Bearer returns the token of the Authorization header (RFC 6750 section 2.1).
// It is not ok if there is no such header, or one of another scheme. A header
// that is there but is not a credential at all, or is there twice, is a fault
// invalid_request; a token that can't be one is invalid_token.
func Bearer(r *http.Request) (token string, ok bool, err error) {
	values := r.Header["Authorization"]
	switch len(values) {
	case 0:
		return "", false, nil
	case 1:
	default:
		return "", false, errTwoAuthorizations
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if values[0] != "" && !strings.EqualFold(scheme, "Bearer") {
		return "", false, nil
	}
	token = strings.TrimLeft(token, " ")
	switch {
	case token == "":
		return "", false, errNoCredential
	case len(token) > MaxToken || !isToken68(token):
		return "", false, errMalformedToken
	}
	return token, true, nil
}

var (
	errTwoAuthorizations = fault.New(fault.Invalid, "invalid_request",
		"There is more than one Authorization header. Send only one.")
	errNoCredential = fault.New(fault.Invalid, "invalid_request",
		`The Authorization header holds no token. It is written "Authorization: Bearer" followed by a space and the token.`)
	errMalformedToken = fault.New(fault.Unauthenticated, "invalid_token",
		"The bearer token is malformed. Send the access token exactly as it was issued.")
)

// isToken68 reports whether s is a b64token of RFC 6750, which is the token68
// of RFC 9110 section 11.2: the alphabets of base64 and a few more, then any
// number of equals signs.
func isToken68(s string) bool {
	s = strings.TrimRight(s, "=")
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '-', c == '.', c == '_', c == '~', c == '+', c == '/':
		default:
			return false
		}
	}
	return s != ""
}
