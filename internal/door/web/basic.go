package web

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// maxBasic is the size in bytes of the longest credentials that are accepted,
// in base64. Ours are under 200.
const maxBasic = 1 << 10

// Basic returns the id and the secret of a registered application from the
// Authorization header, which holds them form-encoded, with a colon between, in
// base64 (RFC 6749 section 2.3.1, RFC 7617). It is not ok if the header is not
// there exactly once, of another scheme, or can't be read in one way only.
func Basic(r *http.Request) (id, secret string, ok bool) {
	values := r.Header["Authorization"]
	if len(values) != 1 {
		return "", "", false
	}
	scheme, encoded, _ := strings.Cut(values[0], " ")
	encoded = strings.TrimLeft(encoded, " ")
	if !strings.EqualFold(scheme, "Basic") || len(encoded) > maxBasic {
		return "", "", false
	}
	// Strict would let line breaks through all the same.
	raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || strings.ContainsAny(encoded, "\r\n") {
		return "", "", false
	}
	id, secret, ok = strings.Cut(string(raw), ":")
	if !ok {
		return "", "", false
	}
	if id, ok = formText(id); !ok || id == "" {
		return "", "", false
	}
	if secret, ok = formText(secret); !ok || secret == "" {
		return "", "", false
	}
	return id, secret, true
}

// formText undoes form-encoding; what comes out must be text.
func formText(s string) (string, bool) {
	s, err := url.QueryUnescape(s)
	return s, err == nil && utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
}

// ChallengeBasic makes the response's challenge the one for applications (RFC 9110
// section 11.6.1). A 401 has another otherwise.
func ChallengeBasic(h http.Header) {
	h.Set("WWW-Authenticate", `Basic realm="gatehouse", charset="UTF-8"`)
}
