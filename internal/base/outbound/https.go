package outbound

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"
)

const (
	// answerTime bounds one request of a Client, mostAnswer its answer.
	answerTime = 30 * time.Second
	mostAnswer = 1 << 20
)

// Client is for libraries that speak a protocol of their own.
type Client = *http.Client

// ParseHTTPS checks the https URL of a service, without going there. With ?ca=PATH
// its certificate must come from the authority in that file.
func ParseHTTPS(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("it is not a URL")
	case u.Scheme != "https" || u.Hostname() == "":
		return nil, errors.New("it is not an https URL with a host")
	case u.User != nil || u.Fragment != "":
		return nil, errors.New("it has a user name, a password or a fragment")
	}
	return u, nil
}

// HTTPS returns the URL of a service without its ?ca=, and a client that trusts
// that authority, or the system's, follows no redirects, and reads no more than
// 1 MiB of an answer.
func HTTPS(raw string) (string, Client, error) {
	u, err := ParseHTTPS(raw)
	if err != nil {
		return "", nil, err
	}
	roots, err := authorities(u)
	if err != nil {
		return "", nil, err
	}
	near := pin(&http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 1, ForceAttemptHTTP2: true, IdleConnTimeout: time.Minute,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
	}, u)
	near.domain = true
	client := &http.Client{
		Timeout: answerTime, Transport: bounded{near, mostAnswer},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return u.String(), client, nil
}

// bounded ends answers that are too long.
type bounded struct {
	http.RoundTripper
	most int64
}

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(res.Body, b.most), res.Body}
	}
	return res, err
}
