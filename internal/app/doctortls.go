package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
)

// mendReach is what to do where an address does not answer.
const mendReach = "See that the address is reached from here: gatehouse doctor --url must run where strangers' names and routes hold."

// tlsChecks look at what is agreed before anything is said.
func (o *Outside) tlsChecks() []doctor.Check {
	return []doctor.Check{
		o.check("NET-1", "certificate", "The certificate is good, and will be for two weeks", doctor.Critical, o.certificate),
		o.check("NET-1", "redirect", "Plain HTTP leads to HTTPS, or nowhere", doctor.High, o.redirect),
		o.check("NET-1", "hsts", "Browsers are told to use HTTPS alone, for a year", doctor.High, o.each(func(s seen) string {
			return hsts(s.header.Values("Strict-Transport-Security"))
		}, "Set PUBLIC_URL to the https address; and see that the proxy passes Strict-Transport-Security on, once.")),
		o.check("NET-1", "preload", "A domain that asks for preloading is eligible", doctor.Low, o.preload),
		o.check("HDR-2", "versions", "TLS 1.0 and 1.1 are refused", doctor.High, o.versions),
		o.check("HDR-2", "ciphers", "Only ciphers with forward secrecy and authentication are agreed to", doctor.Medium, o.ciphers),
	}
}

// leastHSTS is the guide's year.
const leastHSTS = 365 * 24 * 60 * 60

// hsts says what is wrong with the header, or nothing.
func hsts(values []string) string {
	switch len(values) {
	case 0:
		return "no Strict-Transport-Security"
	case 1:
	default:
		return "Strict-Transport-Security twice, of which browsers take the first: " + strings.Join(values, " and ")
	}
	if age, _ := directives(values[0]); age < leastHSTS {
		return "Strict-Transport-Security: " + values[0]
	}
	return ""
}

// directives reads Strict-Transport-Security (RFC 6797 section 6.1).
func directives(value string) (age int, has map[string]bool) {
	has = map[string]bool{}
	for directive := range strings.SplitSeq(strings.ToLower(value), ";") {
		name, is, _ := strings.Cut(strings.TrimSpace(directive), "=")
		has[name] = true
		if n, err := strconv.Atoi(strings.Trim(is, `"`)); err == nil && name == "max-age" {
			age = n
		}
	}
	return age, has
}

// preload says whether the domain may go on browsers' own lists (hstspreload.org), which is its owner's to decide.
func (o *Outside) preload(context.Context) doctor.Answer {
	list, err := o.pages()
	if err != nil {
		return doctor.Skip(mendReach, err)
	}
	value := list[0].header.Get("Strict-Transport-Security")
	age, has := directives(value)
	var lacks []string
	if age < leastHSTS {
		lacks = append(lacks, "max-age of a year")
	}
	if !has["includesubdomains"] {
		lacks = append(lacks, "includeSubDomains")
	}
	switch {
	case !has["preload"] && len(lacks) == 0:
		return doctor.Excuse("it is eligible and does not ask: docs/headers.md")
	case !has["preload"]:
		return doctor.Excuse("it does not ask, and lacks " + strings.Join(lacks, " and "))
	case len(lacks) > 0:
		return doctor.Fail("Send what is missing, or take preload out of the proxy's configuration: lists refuse the domain.",
			"%q lacks %s", value, strings.Join(lacks, " and "))
	}
	return doctor.Pass("%s", value)
}

// soonOver is how long before its end a certificate should have been renewed.
const soonOver = 14 * 24 * time.Hour

// handshake connects as far as TLS.
func (o *Outside) handshake(ctx context.Context, c *tls.Config) (tls.ConnectionState, error) {
	port := o.url.Port()
	if port == "" {
		port = "443"
	}
	ctx, cancel := context.WithTimeout(ctx, outsidePatience)
	defer cancel()
	raw, err := o.dial(ctx, "tcp", net.JoinHostPort(o.url.Hostname(), port))
	if err != nil {
		return tls.ConnectionState{}, unreached{err}
	}
	secured := tls.Client(raw, c)
	defer secured.Close()
	if err := secured.HandshakeContext(ctx); err != nil {
		return tls.ConnectionState{}, err
	}
	return secured.ConnectionState(), nil
}

// unreached is for an address that nobody is at.
type unreached struct{ error }

func (o *Outside) certificate(ctx context.Context) doctor.Answer {
	state, err := o.handshake(ctx, o.tls(o.url.Hostname(), tls.VersionTLS12, 0))
	var bad *tls.CertificateVerificationError
	if errors.As(err, &bad) {
		return doctor.Fail("Serve the whole chain, for this name: TLS_CERT_FILE, TLS_ACME_DOMAINS, or the proxy's certificate.", "%v", bad.Err)
	}
	if err != nil {
		return doctor.Skip(mendReach, err)
	}
	leaf := state.PeerCertificates[0]
	left := leaf.NotAfter.Sub(o.now())
	if left < soonOver && left < leaf.NotAfter.Sub(leaf.NotBefore)/3 {
		return doctor.Fail("Renew it, and see why that was not done by itself.", "it ends on %s", leaf.NotAfter.Format(time.DateOnly))
	}
	return doctor.Pass("%s, until %s, of %s, %s served", tls.VersionName(state.Version), leaf.NotAfter.Format(time.DateOnly), leaf.Issuer.CommonName,
		plural(len(state.PeerCertificates), "certificate"))
}

func (o *Outside) versions(ctx context.Context) doctor.Answer {
	_, err := o.handshake(ctx, o.tls(o.url.Hostname(), tls.VersionTLS10, tls.VersionTLS11))
	if agreed(err) {
		return doctor.Fail("In nginx: ssl_protocols TLSv1.2 TLSv1.3;", "TLS 1.1 or 1.0 is spoken")
	}
	if errors.As(err, new(unreached)) {
		return doctor.Skip(mendReach, err)
	}
	return doctor.Pass("TLS 1.2 or 1.3")
}

// agreed reports whether a handshake came as far as the certificate.
func agreed(err error) bool {
	return err == nil || errors.As(err, new(*tls.CertificateVerificationError))
}

// weakCiphers are those of TLS 1.2 without forward secrecy or without authenticated encryption.
func weakCiphers() (list []uint16) {
	for _, c := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if !strings.Contains(c.Name, "ECDHE") && !strings.HasPrefix(c.Name, "TLS_AES") && !strings.HasPrefix(c.Name, "TLS_CHACHA") ||
			strings.Contains(c.Name, "CBC") || strings.Contains(c.Name, "RC4") {
			list = append(list, c.ID)
		}
	}
	return list
}

func (o *Outside) ciphers(ctx context.Context) doctor.Answer {
	c := o.tls(o.url.Hostname(), tls.VersionTLS12, tls.VersionTLS12)
	c.CipherSuites = weakCiphers()
	state, err := o.handshake(ctx, c)
	switch {
	case agreed(err):
		name := tls.CipherSuiteName(state.CipherSuite)
		if err != nil {
			name = "one of them"
		}
		return doctor.Fail("In nginx the ssl_ciphers that gatehouse nginx prints: ECDHE with AES-GCM or ChaCha20 alone.",
			"of %d ciphers without forward secrecy or authentication, %s is agreed to", len(c.CipherSuites), name)
	case errors.As(err, new(unreached)):
		return doctor.Skip(mendReach, err)
	}
	return doctor.Pass("%d ciphers of TLS 1.2 are refused", len(c.CipherSuites))
}

func (o *Outside) redirect(ctx context.Context) doctor.Answer {
	if o.url.Port() != "" && o.url.Port() != "443" {
		return doctor.Excuse("plain HTTP has no port beside " + o.url.Port())
	}
	s, err := o.askAt(ctx, "http://"+o.url.Hostname()+"/login", asking{method: "GET"})
	if err != nil {
		return doctor.Pass("nothing answers in the clear")
	}
	if to := s.header.Get("Location"); s.status >= 300 && s.status < 400 && strings.HasPrefix(to, "https://"+o.url.Hostname()+"/") {
		return doctor.Pass("%d to %s", s.status, to)
	}
	return doctor.Fail("Set TLS_REDIRECT_ADDR, or have the proxy answer port 80 with 308 to https.",
		"%s is answered %d in the clear", fmt.Sprintf("http://%s/login", o.url.Hostname()), s.status)
}
