package web

import (
	"net/http"
	"strings"
)

// Has reports whether the request says, with If-None-Match, that the client has
// the version with this entity tag (RFC 9110 section 13.1.2).
func Has(r *http.Request, etag string) bool {
	for _, line := range r.Header.Values("If-None-Match") {
		for one := range strings.SplitSeq(line, ",") {
			if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == etag {
				return true
			}
		}
	}
	return false
}
