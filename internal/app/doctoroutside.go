package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
)

// Outside is the service as a stranger sees it, through whatever stands in front of it. The zero value looks at nothing.
type Outside struct {
	// Connect is a host and port to connect to instead of what DNS says, and ConnectPlain the same for plain HTTP; empty for DNS.
	Connect, ConnectPlain string
	// Origins are CORS_ORIGINS, whose likes are tried.
	Origins []string
	// Console is the origin that the console has to itself (ADMIN_URL); empty for none.
	Console string
	// Guarded are addresses of applications behind the proxy that nobody but signed-in people may reach.
	Guarded []string
	// Echo is the address of one that answers with the request as it got it, and Cookies those of somebody who is signed in.
	Echo, Cookies string
	// Probe has limits really tried.
	Probe *Probe

	url    *url.URL
	client *http.Client
	roots  *x509.CertPool
	now    func() time.Time
	pages  func() ([]seen, error)
	// mark is what no answer has by chance.
	mark string
}

// NewOutside looks from outside at a service by its https address. Certificates are believed that an authority
// of these, in PEM, has signed; none for the system's.
func NewOutside(address string, authorities []byte, now func() time.Time) (*Outside, error) {
	u, err := httpsAddress(address)
	if err != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return nil, fault.New(fault.Invalid, "outside_url", "The address from outside looks like https://auth.example.com.")
	}
	o := &Outside{url: &url.URL{Scheme: "https", Host: u.Host}, now: now, mark: "gatehouse-doctor-" + secret.Random{}.Text(12)}
	if len(authorities) > 0 {
		if o.roots = x509.NewCertPool(); !o.roots.AppendCertsFromPEM(authorities) {
			return nil, fault.New(fault.Invalid, "outside_authorities", "The file of authorities has no certificate in PEM.")
		}
	}
	// A connection for each request: what is judged is how strangers are answered.
	o.client = &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true, TLSClientConfig: o.tls("", tls.VersionTLS12, 0), DialContext: o.dial,
			TLSHandshakeTimeout: outsidePatience, ResponseHeaderTimeout: outsidePatience,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	o.pages = sync.OnceValues(o.visit)
	return o, nil
}

// outsidePatience is how long a stranger waits for each thing.
const outsidePatience = 8 * time.Second

func httpsAddress(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return nil, fault.New(fault.Invalid, "outside_url", "An address looks like https://auth.example.com/path.")
	}
	return u, nil
}

// dial connects to where names lead, or to where Connect says.
func (o *Outside) dial(ctx context.Context, network, address string) (net.Conn, error) {
	to := o.Connect
	if strings.HasSuffix(address, ":80") {
		to = o.ConnectPlain
	}
	if to != "" {
		address = to
	}
	return (&net.Dialer{Timeout: outsidePatience}).DialContext(ctx, network, address)
}

// tls is what a stranger speaks to a host; empty for the one of the address that is asked.
func (o *Outside) tls(name string, least, most uint16) *tls.Config {
	return &tls.Config{RootCAs: o.roots, MinVersion: least, MaxVersion: most, ServerName: name} //nolint:gosec // what a stranger may try
}

// asking is a request of a stranger's. None of them changes anything.
type asking struct {
	method, path string
	header       http.Header
	body         string
}

// seen is the answer to it.
type seen struct {
	asking
	status int
	header http.Header
	body   []byte
}

func (s seen) String() string {
	if s.method == http.MethodGet {
		return s.path
	}
	return s.method + " " + s.path
}

const hostile = "https://hostile.example"

// strangers is what a stranger asks for: a page, what leads to one, the API, documents, what is not there, and what is refused.
var strangers = []asking{
	{method: http.MethodGet, path: "/login"},
	{method: http.MethodHead, path: "/login"},
	{method: http.MethodGet, path: "/account"},
	{method: http.MethodGet, path: "/v1/me"},
	{method: http.MethodPost, path: "/v1/login", body: "{"},
	{method: http.MethodDelete, path: "/v1/me"},
	{method: http.MethodGet, path: "/.well-known/jwks.json"},
	{method: http.MethodGet, path: "/assets/icon.svg"},
	{method: http.MethodGet, path: "/v1/there-is-nothing-here"},
}

// visit asks for all of them, several at a time.
func (o *Outside) visit() ([]seen, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second) // shared by checks: no one's context
	defer cancel()
	return o.together(ctx, strangers)
}

// together asks several at a time, and returns the answers in order.
func (o *Outside) together(ctx context.Context, list []asking) ([]seen, error) {
	const atOnce = 4
	out, errs := make([]seen, len(list)), make([]error, len(list))
	var wait sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i, a := range list {
		wait.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			out[i], errs[i] = o.ask(ctx, a)
		})
	}
	wait.Wait()
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return nil, errs[i]
	}
	if slices.ContainsFunc(out, func(s seen) bool { return s.status == http.StatusTooManyRequests }) {
		return nil, errLimited
	}
	return out, nil
}

// errLimited is for a stranger who is asked to wait: what answers then may be the proxy alone.
var errLimited = errors.New("this address has asked too often, and is to wait: look again in some minutes")

// ask asks the service.
func (o *Outside) ask(ctx context.Context, a asking) (seen, error) {
	return o.askAt(ctx, o.url.String()+a.path, a)
}

// askAt asks whoever is at an address. A path stays as it is written.
func (o *Outside) askAt(ctx context.Context, address string, a asking) (seen, error) {
	r, err := http.NewRequestWithContext(ctx, a.method, address, strings.NewReader(a.body))
	if err != nil {
		return seen{}, err
	}
	r.Header = http.Header{"Accept": {"text/html"}, "User-Agent": {"gatehouse-doctor"}}
	for name, values := range a.header {
		r.Header[name] = values
	}
	if a.body != "" {
		r.Header["Content-Type"], r.Header["Accept"] = []string{"application/json"}, []string{"application/json"}
	}
	answer, err := o.client.Do(r) //nolint:gosec // the operator named it
	if err != nil {
		return seen{}, err
	}
	defer answer.Body.Close()
	var b bytes.Buffer
	if _, err := io.Copy(&b, io.LimitReader(answer.Body, 1<<20)); err != nil {
		return seen{}, err
	}
	return seen{asking: a, status: answer.StatusCode, header: answer.Header, body: b.Bytes()}, nil
}

// check is one from outside: without an address, it concerns nobody.
func (o *Outside) check(id, name, title string, s doctor.Severity, ask func(context.Context) doctor.Answer) doctor.Check {
	return doctor.Check{ID: id, Name: "outside-" + name, Title: title, Severity: s, Ask: func(ctx context.Context) doctor.Answer {
		if o.url == nil {
			return doctor.Excuse("it is looked at from outside with --url alone")
		}
		return ask(ctx)
	}}
}

// checks are those from outside.
func (o *Outside) checks() []doctor.Check {
	return slices.Concat(o.tlsChecks(), o.strangerChecks(), o.consoleChecks(), o.guardedChecks(), o.probeChecks())
}

// Believe takes the certificates of these authorities, in PEM, as well.
func (o *Outside) Believe(authorities []byte) bool {
	return o.roots != nil && o.roots.AppendCertsFromPEM(authorities)
}
