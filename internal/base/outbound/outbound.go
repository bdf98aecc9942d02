// Package outbound sends requests to other servers, and only to those: each client
// is bound to the one host that an operator has set, follows no redirect, and has
// limits on time and size.
package outbound

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Site is one server to fetch from.
type Site struct {
	base   *url.URL
	most   int64
	header http.Header
	client *http.Client
}

// Config says where and how much.
type Config struct {
	// URL is where paths begin: scheme, host, and perhaps a path.
	URL string
	// Timeout is for one fetch, from the connection to the last byte.
	Timeout time.Duration
	// MostBytes is the longest answer.
	MostBytes int64
	// Header goes with each request.
	Header map[string]string
}

// NewSite returns the site. It fails if the URL can't be one.
func NewSite(c Config) (*Site, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("it must be an http or https URL of a host and optionally a path")
	}
	s := &Site{base: u, most: c.MostBytes, header: http.Header{"User-Agent": {"gatehouse"}}}
	for name, value := range c.Header {
		s.header.Set(name, value)
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute}
	s.client = &http.Client{Timeout: c.Timeout, Transport: pin(transport, u), CheckRedirect: func(*http.Request, []*http.Request) error {
		return errors.New("it redirects elsewhere, which is not followed")
	}}
	return s, nil
}

// unled returns a client of one server that takes a redirect for the answer.
func unled(t *http.Transport, u *url.URL) *http.Client {
	t.ForceAttemptHTTP2, t.IdleConnTimeout = true, time.Minute
	return &http.Client{Transport: pin(t, u), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Get fetches the path below the site's URL. The path must not come from a
// stranger unchecked: it is one or several plain names.
func (s *Site) Get(ctx context.Context, path ...string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base.JoinPath(path...).String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header = s.header.Clone()
	res, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", s.base.Host, res.Status)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, s.most+1))
	if err == nil && int64(len(b)) > s.most {
		err = fmt.Errorf("%s answers with over %d bytes", s.base.Host, s.most)
	}
	return b, err
}
