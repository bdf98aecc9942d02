package web

import "net/http"

// baseline is the headers of every answer, errors included. A handler that
// needs another value sets its own (Set, not Add). The names are canonical and
// the values are shared by all answers, so that a request allocates nothing
// for them.
var baseline = []struct {
	name  string
	value []string
}{
	// Nothing here may be kept by a cache unless its handler says so.
	{"Cache-Control", []string{"no-store"}},
	// An answer of the API is no document: it loads nothing and stands in no
	// frame. Pages set their own (ASVS 3.4.3, 3.4.6).
	{"Content-Security-Policy", []string{"default-src 'none'; frame-ancestors 'none'"}},
	{"Cross-Origin-Resource-Policy", []string{"same-origin"}},
	// The guide asks for strict-origin-when-cross-origin at least; no address
	// of ours is anybody else's business (ASVS 3.4.5). A page whose forms are
	// checked by their Origin header needs same-origin: under no-referrer,
	// browsers post forms with "Origin: null".
	{"Referrer-Policy", []string{"no-referrer"}},
	{"X-Content-Type-Options", []string{"nosniff"}},
	// For what is too old to know frame-ancestors.
	{"X-Frame-Options", []string{"DENY"}},
}

func setBaseline(h http.Header) {
	for _, b := range baseline {
		h[b.name] = b.value
	}
}
