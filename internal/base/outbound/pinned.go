package outbound

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// pinned sends requests to one server alone, the one that an operator has set, whatever a
// library, a redirect or a bug of ours makes of their address (ASVS 13.2.4).
type pinned struct {
	http.RoundTripper
	scheme, host string
	// domain lets requests go to other hosts of the same domain too: an ACME authority's
	// directory names its addresses itself (RFC 8555 section 7.1.1).
	domain bool
}

func pin(t http.RoundTripper, u *url.URL) pinned {
	return pinned{RoundTripper: t, scheme: u.Scheme, host: u.Host}
}

// RoundTrip refuses a request to any other server. The error names it, for the log.
func (p pinned) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != p.scheme || !p.takes(r.URL.Host) {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, fmt.Errorf("refused to go to %s://%s: only %s://%s is set", r.URL.Scheme, r.URL.Host, p.scheme, p.host)
	}
	return p.RoundTripper.RoundTrip(r)
}

func (p pinned) takes(host string) bool {
	if strings.EqualFold(host, p.host) {
		return true
	}
	_, parent, ok := strings.Cut(p.host, ".")
	return p.domain && ok && strings.Contains(parent, ".") && strings.HasSuffix(strings.ToLower(host), "."+strings.ToLower(parent))
}
