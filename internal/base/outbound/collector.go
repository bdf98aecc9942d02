package outbound

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Collector takes OpenTelemetry messages by HTTP, in protobuf.
type Collector struct {
	url       string
	header    http.Header
	timeout   time.Duration
	client    *http.Client
	transport *http.Transport
}

// ParseCollector checks where messages are to go: http:// or https://, and as for
// a Sink ?ca=PATH. Nothing else may stand there: it would be shown.
func ParseCollector(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return nil, errors.New("it must be an http or https URL of a host and optionally a path")
	}
	if q := u.Query(); len(q) > 1 || len(q) == 1 && !q.Has("ca") {
		return nil, errors.New("the only parameter is ca=")
	}
	return u, nil
}

// OpenCollector returns the collector at the URL. Each message must be taken
// within the timeout.
func OpenCollector(raw string, header map[string]string, timeout time.Duration) (*Collector, error) {
	u, err := ParseCollector(raw)
	if err != nil {
		return nil, err
	}
	roots, err := authorities(u)
	if err != nil {
		return nil, err
	}
	c := &Collector{url: u.String(), header: http.Header{}, timeout: timeout}
	for name, value := range header {
		c.header.Set(name, value)
	}
	c.header.Set("Content-Type", "application/x-protobuf")
	c.header.Set("User-Agent", "gatehouse")
	c.transport = &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		MaxIdleConns: 1,
	}
	c.client = unled(c.transport, u)
	return c, nil
}

// Post hands a message over. It is taken if it returns nil.
func (c *Collector) Post(ctx context.Context, message []byte) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(message))
	if err != nil {
		return err
	}
	req.Header = c.header.Clone()
	res, err := c.client.Do(req)
	if err != nil {
		var u *url.Error // whose text holds the URL
		if errors.As(err, &u) {
			err = u.Err
		}
		return err
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, 64<<10) // so that the connection can be used again
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("the collector answers %s", res.Status)
	}
	return nil
}

// Close closes the connections.
func (c *Collector) Close() { c.transport.CloseIdleConnections() }
