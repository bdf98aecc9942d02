package web

import (
	"net/http"
	"strings"
)

// permissions takes from our pages, and from what they would frame, every
// feature of the browser that can watch or bother a person. Only what browsers
// know is listed: an unknown name is a warning in their console.
var permissions = strings.Join([]string{
	"accelerometer=()", "autoplay=()", "browsing-topics=()", "camera=()", "display-capture=()", "fullscreen=()", "gamepad=()",
	"geolocation=()", "gyroscope=()", "hid=()", "idle-detection=()", "local-fonts=()", "magnetometer=()", "microphone=()", "midi=()", "payment=()",
	"picture-in-picture=()", "publickey-credentials-create=()", "publickey-credentials-get=()", "screen-wake-lock=()", "serial=()", "usb=()",
	"xr-spatial-tracking=()",
}, ", ")

// withPasskeys are those of pages that ask for passkeys themselves.
var withPasskeys = []string{strings.NewReplacer(
	"publickey-credentials-create=()", "publickey-credentials-create=(self)", "publickey-credentials-get=()", "publickey-credentials-get=(self)",
).Replace(permissions)}

// AllowPasskeys lets a page ask the browser for passkeys.
func AllowPasskeys(h http.Header) { h["Permissions-Policy"] = withPasskeys }

// baseline is the headers of every response, errors included; docs/headers.md
// gives the reason for each. A handler that needs another value sets its own
// (Set, not Add). The names are canonical and the values are shared by all
// answers, so that a request allocates nothing for them.
var baseline = []struct {
	name  string
	value []string
}{
	// Nothing here may be cached unless its handler says so.
	{"Cache-Control", []string{"no-store"}},
	// A response of the API is not a document: it loads nothing, may not be framed,
	// and opened as a page it has no origin, no script and no form.
	// Pages set their own (ASVS 3.2.1, 3.4.3, 3.4.6).
	{"Content-Security-Policy", []string{"default-src 'none'; frame-ancestors 'none'; sandbox"}},
	// A window of another site that opened ours, or that ours opened, can't
	// reach it (ASVS 3.4.8).
	{"Cross-Origin-Opener-Policy", []string{"same-origin"}},
	{"Cross-Origin-Resource-Policy", []string{"same-origin"}},
	{"Permissions-Policy", []string{permissions}},
	// The guide asks for strict-origin-when-cross-origin at least; no address
	// of ours is anyone else's business (ASVS 3.4.5). A page whose forms are
	// checked by their Origin header needs same-origin: under no-referrer,
	// browsers post forms with "Origin: null".
	{"Referrer-Policy", []string{"no-referrer"}},
	{"X-Content-Type-Options", []string{"nosniff"}},
	// For browsers too old to know frame-ancestors.
	{"X-Frame-Options", []string{"DENY"}},
	// The filter that the guide's "1; mode=block" switches on is gone from
	// browsers, since it could be made to leak what it guarded; 0 switches it
	// off where it is left.
	{"X-Xss-Protection", []string{"0"}},
}

func setBaseline(h http.Header) {
	for _, b := range baseline {
		h[b.name] = b.value
	}
}

// transportSecurity makes browsers use only TLS for a year, here and in every
// name below (the guide's value; ASVS 3.4.1, RFC 6797).
var transportSecurity = []string{"max-age=31536000; includeSubDomains"}
