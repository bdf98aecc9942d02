package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/outbound"
)

// letsEncrypt is the default of TLS_ACME_DIRECTORY.
const letsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// mostDomains is what authorities put into one certificate.
const mostDomains = 100

// readDomains takes a list of names, separated by commas. As of origins, each
// fault names its item by its place.
func readDomains(r *reading) {
	const mend = "Write DNS names, such as login.example.com, separated by commas."
	items := strings.Split(r.value, ",")
	if len(items) > mostDomains {
		r.refuse(fmt.Sprintf("It has over %d names.", mostDomains), mend)
		return
	}
	var domains []string
	for i, item := range items {
		name := strings.ToLower(strings.TrimSpace(item))
		which := "It"
		if len(items) > 1 {
			which = fmt.Sprintf("Name %d of %d", i+1, len(items))
		}
		_, ip := netip.ParseAddr(name)
		switch {
		case strings.HasPrefix(name, "*."):
			r.refuse(which+" is a wildcard, for which authorities require a DNS record, and Gatehouse creates none.", "Name each host in full.")
		case ip == nil:
			r.refuse(which+" is an IP address.", mend)
		case !hostname.MatchString(name) || len(name) > 253 || !strings.Contains(name, "."):
			r.refuse(which+" is not a name that an authority issues certificates for.", mend)
		case slices.Contains(domains, name):
			r.refuse(which+" is there twice.", "Remove one of the two.")
		default:
			domains = append(domains, name)
		}
	}
	r.c.ACMEDomains = domains
}

// checkDomains keeps the two ways to a certificate apart.
func checkDomains(r *reading) {
	if len(r.c.ACMEDomains) > 0 && (r.c.TLSCertFile != "" || r.c.TLSKeyFile != "") {
		r.refuse("It is set, and so is TLS_CERT_FILE or TLS_KEY_FILE: the certificate is either in files or ordered.", "Remove TLS_CERT_FILE and "+
			"TLS_KEY_FILE, or TLS_ACME_DOMAINS.")
	}
}

func readDirectory(r *reading) {
	if !r.printable() {
		return
	}
	if _, err := outbound.ParseHTTPS(r.value); err != nil {
		r.refuse("It is not an ACME directory: "+err.Error()+".", "Write the https URL that the authority documents, and optionally ?ca=PATH.")
		return
	}
	r.c.ACMEDirectory = r.value
}

func checkDirectory(r *reading) {
	if r.c.ACMEDirectory != letsEncrypt && r.c.ACMEDirectory != "" && len(r.c.ACMEDomains) == 0 {
		r.refuse("It is set, and TLS_ACME_DOMAINS is not: there is nothing to order.", "Write the names in TLS_ACME_DOMAINS, or remove it.")
	}
}

// checkCertified holds PUBLIC_URL against the names of the certificate.
func checkCertified(r *reading) {
	if len(r.c.ACMEDomains) == 0 {
		return
	}
	if u, err := url.Parse(r.c.PublicURL); err != nil || !slices.Contains(r.c.ACMEDomains, u.Hostname()) {
		r.refuse("Its host is none of TLS_ACME_DOMAINS, so the certificate would not be for it.", "Write an https URL with a host that is in "+
			"TLS_ACME_DOMAINS, or name its host there too.")
	}
}
