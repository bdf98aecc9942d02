package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"
)

const (
	// providerTime bounds one request to a provider by which people sign in: they wait for it.
	providerTime = 5 * time.Second
	// mostOfProvider is the longest answer that is read of one, in bytes.
	mostOfProvider = 1 << 20
)

// Provider sends requests to a provider by which people sign in. Its discovery document, at the address that the operator has set,
// names where else it listens: so it is bound to no host, but to https outside of development, and it goes to no address that
// serves machines alone. It follows no redirect.
type Provider struct{ client *http.Client }

// NewProvider returns one; plain is whether it may go without TLS, for development.
func NewProvider(plain bool) *Provider {
	dialer := &net.Dialer{Timeout: providerTime, Control: func(_, address string, _ syscall.RawConn) error { return mayDial(address, true) }}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute,
		MaxResponseHeaderBytes: 64 << 10, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
	}
	return &Provider{&http.Client{
		Timeout: providerTime, Transport: bounded{overTLS{transport, plain}, mostAnswer},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// overTLS refuses requests without.
type overTLS struct {
	http.RoundTripper
	plain bool
}

func (o overTLS) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !(o.plain && r.URL.Scheme == "http") {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, errors.New("the address is not https")
	}
	r.Header.Set("User-Agent", "gatehouse")
	return o.RoundTripper.RoundTrip(r)
}

// Client is the same for a library that speaks OAuth.
func (p *Provider) Client() Client { return p.client }

// Get returns the JSON document at an address, for whoever the token stands for, if any: another answer than 200, a redirect
// among them, and one of over 1 MiB are errors, which do not tell the token.
func (p *Provider) Get(ctx context.Context, raw, token string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, raw, nil)
	if err != nil {
		return nil, errors.New("its address is no http address")
	}
	r.Header.Set("Accept", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := p.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", r.URL.Host, res.Status)
	}
	b, err := io.ReadAll(res.Body)
	if err == nil && len(b) >= mostOfProvider {
		err = fmt.Errorf("%s answers with %d bytes or more", r.URL.Host, mostOfProvider)
	}
	return b, err
}

// Close gives up what is open.
func (p *Provider) Close() { p.client.CloseIdleConnections() }
