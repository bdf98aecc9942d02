package outbound

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
)

const (
	// postTime bounds one Post, from the connection to the end of the answer.
	postTime = 5 * time.Second
	// mostRead is how much of an answer is read.
	mostRead = 4 << 10
)

// Poster posts forms to applications of the operator's, each at an address that the operator has registered.
type Poster struct{ transport *http.Transport }

// NewPoster returns one. It follows no redirect, goes through no proxy, and connects to no address that serves machines alone, such as a
// cloud's metadata; to this machine only where loopback says so, for development.
func NewPoster(loopback bool) *Poster {
	dialer := &net.Dialer{Timeout: postTime, Control: func(_, address string, _ syscall.RawConn) error { return mayDial(address, loopback) }}
	return &Poster{&http.Transport{
		DialContext: dialer.DialContext, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 2, MaxIdleConns: 100, IdleConnTimeout: time.Minute,
		MaxResponseHeaderBytes: 64 << 10,
	}}
}

// Post posts a form, and returns the answer's status. An error is that there is none; it does not tell the address, which may hold a key.
func (p *Poster) Post(ctx context.Context, raw string, form url.Values) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, postTime)
	defer cancel()
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	res, err := send(ctx, p.transport, http.MethodPost, raw, strings.NewReader(form.Encode()), header)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, mostRead))
	return res.StatusCode, nil
}

// send makes one request to the server of an address, and takes a redirect for the answer. Errors do not tell the address.
func send(ctx context.Context, t *http.Transport, method, raw string, body io.Reader, header http.Header) (*http.Response, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return nil, errors.New("its address is no http address")
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, errors.New("the request can't be created")
	}
	req.Header = header
	req.Header.Set("User-Agent", "gatehouse")
	client := http.Client{Transport: pin(t, u), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return res, err
}

// Close gives up what is open.
func (p *Poster) Close() { p.transport.CloseIdleConnections() }
