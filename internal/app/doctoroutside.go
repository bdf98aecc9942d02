package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
)

// Outside is the service as a stranger sees it, through whatever stands in front of it. The zero value looks at nothing.
type Outside struct {
	url    *url.URL
	client *http.Client
	roots  *x509.CertPool
	now    func() time.Time
	pages  func() ([]seen, error)
}

// NewOutside looks from outside at a service by its https address. Certificates are believed that an authority
// of these, in PEM, has signed; none for the system's.
func NewOutside(address string, authorities []byte, now func() time.Time) (*Outside, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return nil, fault.New(fault.Invalid, "outside_url", "The address from outside looks like https://auth.example.com.")
	}
	o := &Outside{url: &url.URL{Scheme: "https", Host: u.Host}, now: now}
	if len(authorities) > 0 {
		if o.roots = x509.NewCertPool(); !o.roots.AppendCertsFromPEM(authorities) {
			return nil, fault.New(fault.Invalid, "outside_authorities", "The file of authorities has no certificate in PEM.")
		}
	}
	// A connection for each request: what is judged is how strangers are answered.
	o.client = &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, TLSClientConfig: o.tls(tls.VersionTLS12, 0)},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	o.pages = sync.OnceValues(o.visit)
	return o, nil
}

func (o *Outside) tls(least, most uint16) *tls.Config {
	return &tls.Config{RootCAs: o.roots, MinVersion: least, MaxVersion: most, ServerName: o.url.Hostname()} //nolint:gosec // what a stranger may try
}

// seen is an answer to a stranger.
type seen struct {
	path   string
	status int
	header http.Header
}

// strangers is what a stranger asks for: a page, the API, what is not there, and a file.
var strangers = []string{"/login", "/v1/me", "/.well-known/jwks.json", "/there-is-nothing-here"}

const hostile = "https://hostile.example"

// visit asks for all of them.
func (o *Outside) visit() ([]seen, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second) // shared by checks: no one's context
	defer cancel()
	var list []seen
	for _, path := range strangers {
		s, err := o.get(ctx, o.url.String()+path, http.Header{"Origin": {hostile}, "Accept": {"text/html"}})
		if err != nil {
			return nil, err
		}
		s.path = path
		list = append(list, s)
	}
	return list, nil
}

func (o *Outside) get(ctx context.Context, address string, h http.Header) (seen, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return seen{}, err
	}
	r.Header = h
	a, err := o.client.Do(r) //nolint:gosec // the operator named it
	if err != nil {
		return seen{}, err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(a.Body, 1<<20))
	return seen{r.URL.Path, a.StatusCode, a.Header}, a.Body.Close()
}

// checks are those from outside: without an address, none of them concerns anybody.
func (o *Outside) checks() []doctor.Check {
	check := func(id, name, title string, s doctor.Severity, ask func(context.Context) doctor.Answer) doctor.Check {
		return doctor.Check{ID: id, Name: "outside-" + name, Title: title, Severity: s, Ask: func(ctx context.Context) doctor.Answer {
			if o.url == nil {
				return doctor.Excuse("it is looked at from outside with --url alone")
			}
			return ask(ctx)
		}}
	}
	return []doctor.Check{
		check("NET-1", "certificate", "The certificate is good, and will be for two weeks", doctor.Critical, o.certificate),
		check("NET-1", "redirect", "Plain HTTP leads to HTTPS, or nowhere", doctor.High, o.redirect),
		check("NET-1", "hsts", "Browsers are told to use HTTPS alone, for a year", doctor.High, o.each(func(s seen) string {
			return hsts(s.header.Get("Strict-Transport-Security"))
		}, "Set PUBLIC_URL to the https address; and see that the proxy passes Strict-Transport-Security on.")),
		check("NET-2", "cookies", "Cookies are Secure, HttpOnly and SameSite", doctor.High, o.each(cookies,
			"Leave SESSION_COOKIE_SECURE and SESSION_COOKIE_HTTPONLY on; and see that the proxy does not rewrite Set-Cookie.")),
		check("NET-3", "origin", "A site that is not named gets no answer by CORS", doctor.Critical, o.each(func(s seen) string {
			if got := s.header.Get("Access-Control-Allow-Origin"); got == "*" || got == hostile {
				return "Access-Control-Allow-Origin: " + got
			}
			return ""
		}, "Take Access-Control-Allow-Origin out of the proxy's configuration: Gatehouse answers by CORS_ORIGINS.")),
		check("NET-5", "reach", "Strangers don't reach what is for operators", doctor.Critical, o.reach),
		check("RATE-2", "limits", "Limits are in force", doctor.High, o.limits),
		check("HDR-1", "headers", "Every answer carries the security headers", doctor.High, o.each(headers,
			"Take add_header, more_set_headers and the like for these out of the proxy's configuration: Gatehouse sends them itself.")),
		check("HDR-2", "versions", "TLS 1.0 and 1.1 are refused", doctor.High, o.versions),
		check("HDR-2", "server", "Nothing is told of the server's version", doctor.Low, o.each(func(s seen) string {
			for _, name := range []string{"Server", "X-Powered-By", "Via"} {
				if v := s.header.Get(name); strings.ContainsAny(v, "0123456789") && strings.Contains(v, "/") {
					return name + ": " + v
				}
			}
			return ""
		}, "In nginx: server_tokens off; gatehouse nginx prints a configuration with it.")),
	}
}

// each asks the same of every answer to a stranger: judge says what is wrong with one, or nothing.
func (o *Outside) each(judge func(seen) string, mend string) func(context.Context) doctor.Answer {
	return func(context.Context) doctor.Answer {
		list, err := o.pages()
		if err != nil {
			return doctor.Skip("See that the address is reached from here: gatehouse doctor --url must run where strangers' names and routes hold.", err)
		}
		for _, s := range list {
			if wrong := judge(s); wrong != "" {
				return doctor.Fail(mend, "%s (%d): %s", s.path, s.status, wrong)
			}
		}
		return doctor.Pass("%s", strings.Join(strangers, ", "))
	}
}

// leastHSTS is the guide's year.
const leastHSTS = 365 * 24 * 60 * 60

func hsts(value string) string {
	for directive := range strings.SplitSeq(value, ";") {
		if age, ok := strings.CutPrefix(strings.TrimSpace(strings.ToLower(directive)), "max-age="); ok {
			if n, err := strconv.Atoi(strings.Trim(age, `"`)); err == nil && n >= leastHSTS {
				return ""
			}
		}
	}
	if value == "" {
		return "no Strict-Transport-Security"
	}
	return "Strict-Transport-Security: " + value
}

func cookies(s seen) string {
	for _, line := range s.header.Values("Set-Cookie") {
		c, err := http.ParseSetCookie(line)
		switch {
		case err != nil:
			return "a cookie that can't be read"
		case !c.Secure:
			return c.Name + " is not Secure"
		case !c.HttpOnly && !strings.Contains(c.Name, csrfCookieName):
			return c.Name + " is not HttpOnly"
		case c.SameSite != http.SameSiteLaxMode && c.SameSite != http.SameSiteStrictMode:
			return c.Name + " has no SameSite"
		}
	}
	return ""
}

// csrfCookieName is of the one cookie that scripts of ours read.
const csrfCookieName = "gatehouse_csrf"

func headers(s seen) string {
	policy := s.header.Get("Content-Security-Policy")
	switch {
	case policy == "":
		return "no Content-Security-Policy"
	case strings.Contains(policy, "'unsafe-inline'") || strings.Contains(policy, "'unsafe-eval'"):
		return "Content-Security-Policy: " + policy
	case !strings.Contains(policy, "frame-ancestors"):
		return "no frame-ancestors"
	case s.header.Get("X-Content-Type-Options") != "nosniff":
		return "no X-Content-Type-Options: nosniff"
	case s.header.Get("Referrer-Policy") == "":
		return "no Referrer-Policy"
	case len(s.header.Values("Content-Security-Policy")) > 1 || len(s.header.Values("X-Frame-Options")) > 1:
		return "a header twice, of which browsers take either"
	}
	return ""
}

// soonOver is how long before its end a certificate should have been renewed.
const soonOver = 14 * 24 * time.Hour

func (o *Outside) address() string {
	if o.url.Port() != "" {
		return o.url.Host
	}
	return net.JoinHostPort(o.url.Hostname(), "443")
}

func (o *Outside) certificate(ctx context.Context) doctor.Answer {
	d := tls.Dialer{Config: o.tls(tls.VersionTLS12, 0)}
	c, err := d.DialContext(ctx, "tcp", o.address())
	var bad *tls.CertificateVerificationError
	if errors.As(err, &bad) {
		return doctor.Fail("Serve the whole chain, for this name: TLS_CERT_FILE, TLS_ACME_DOMAINS, or the proxy's certificate.", "%v", bad.Err)
	}
	if err != nil {
		return doctor.Skip("See that the address is reached from here.", err)
	}
	defer c.Close()
	state := c.(*tls.Conn).ConnectionState() //nolint:forcetypeassert // what a tls.Dialer makes
	leaf := state.PeerCertificates[0]
	left := leaf.NotAfter.Sub(o.now())
	if left < soonOver && left < leaf.NotAfter.Sub(leaf.NotBefore)/3 {
		return doctor.Fail("Renew it, and see why that was not done by itself.", "it ends on %s", leaf.NotAfter.Format(time.DateOnly))
	}
	return doctor.Pass("%s, until %s, of %s", tls.VersionName(state.Version), leaf.NotAfter.Format(time.DateOnly), leaf.Issuer.CommonName)
}

func (o *Outside) versions(ctx context.Context) doctor.Answer {
	d := tls.Dialer{Config: o.tls(tls.VersionTLS10, tls.VersionTLS11)}
	c, err := d.DialContext(ctx, "tcp", o.address())
	if err == nil {
		_ = c.Close()
	}
	if err == nil || errors.As(err, new(*tls.CertificateVerificationError)) { // it was spoken up to there
		return doctor.Fail("In nginx: ssl_protocols TLSv1.2 TLSv1.3;", "TLS 1.1 or 1.0 is spoken")
	}
	if dead := new(net.OpError); errors.As(err, &dead) && dead.Op == "dial" {
		return doctor.Skip("See that the address is reached from here.", err)
	}
	return doctor.Pass("TLS 1.2 or 1.3")
}

func (o *Outside) redirect(ctx context.Context) doctor.Answer {
	if o.url.Port() != "" && o.url.Port() != "443" {
		return doctor.Excuse("plain HTTP has no port beside " + o.url.Port())
	}
	s, err := o.get(ctx, "http://"+o.url.Hostname()+"/login", http.Header{})
	if err != nil {
		return doctor.Pass("nothing answers in the clear")
	}
	if to := s.header.Get("Location"); s.status >= 300 && s.status < 400 && strings.HasPrefix(to, "https://"+o.url.Hostname()+"/") {
		return doctor.Pass("%d to %s", s.status, to)
	}
	return doctor.Fail("Set TLS_REDIRECT_ADDR, or have the proxy answer port 80 with 308 to https.",
		"http://%s/login is answered %d in the clear", o.url.Hostname(), s.status)
}

// operatorsOnly are paths of the other listener, which a proxy must not lead to.
var operatorsOnly = []string{"/metrics", "/readyz", "/debug/pprof/"}

func (o *Outside) reach(ctx context.Context) doctor.Answer {
	var open []string
	for _, path := range operatorsOnly {
		s, err := o.get(ctx, o.url.String()+path, http.Header{})
		if err != nil {
			return doctor.Skip("See that the address is reached from here.", err)
		}
		if s.status < 400 || s.status == http.StatusServiceUnavailable {
			open = append(open, fmt.Sprintf("%s (%d)", path, s.status))
		}
	}
	if len(open) > 0 {
		return doctor.Fail("Have the proxy pass requests to LISTEN_ADDR, and nothing to ADMIN_LISTEN_ADDR.", "strangers get %s", strings.Join(open, ", "))
	}
	return doctor.Pass("%s are not there", strings.Join(operatorsOnly, ", "))
}

func (o *Outside) limits(context.Context) doctor.Answer {
	list, err := o.pages()
	if err != nil {
		return doctor.Skip("See that the address is reached from here.", err)
	}
	i := slices.IndexFunc(list, func(s seen) bool { return s.path == "/v1/me" })
	policy := list[i].header.Get("RateLimit-Policy")
	if policy == "" {
		return doctor.Fail("See that the proxy passes RateLimit-Policy on, and leads to a Gatehouse.", "/v1/me (%d) names no limit", list[i].status)
	}
	return doctor.Pass("%s", policy)
}
