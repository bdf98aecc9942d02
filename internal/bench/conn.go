package bench

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// conn is one client's connection, which is made when it is first needed, and
// again when it broke.
type conn struct {
	target *url.URL
	ctx    context.Context // of the run: its end closes the connection
	raw    net.Conn
	stop   func() bool
	reader *bufio.Reader
	out    []byte
}

// request is one call. An empty body is none; one that is no JSON object is a form.
type request struct {
	method, path, bearer string
	body                 []byte
}

// answer is what came back.
type answer struct {
	status     int
	retryAfter time.Duration
	body       []byte
}

// do sends a request and reads the whole answer. After an error the connection
// is a new one.
func (c *conn) do(r request) (answer, error) {
	if c.raw == nil {
		if err := c.dial(); err != nil {
			return answer{}, err
		}
	}
	a, keep, err := c.exchange(r)
	if err != nil || !keep {
		c.close()
	}
	return a, err
}

// close ends the connection; the next call makes another.
func (c *conn) close() {
	if c.raw != nil {
		c.stop()
		_ = c.raw.Close()
		c.raw = nil
	}
}

func (c *conn) dial() error {
	dialer := net.Dialer{Timeout: timeout}
	host, port := c.target.Hostname(), c.target.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[c.target.Scheme]
	}
	raw, err := dialer.DialContext(c.ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return err
	}
	if c.target.Scheme == "https" {
		raw = tls.Client(raw, &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12})
	}
	c.raw, c.reader = raw, bufio.NewReader(raw)
	c.stop = context.AfterFunc(c.ctx, func() { _ = raw.Close() })
	return nil
}

func (c *conn) exchange(r request) (a answer, keep bool, err error) {
	if err := c.raw.SetDeadline(time.Now().Add(timeout)); err != nil {
		return a, false, err
	}
	if _, err := c.raw.Write(c.encode(r)); err != nil {
		return a, false, err
	}
	res, err := http.ReadResponse(c.reader, &http.Request{Method: r.method})
	if err != nil {
		return a, false, err
	}
	defer res.Body.Close()
	a.status = res.StatusCode
	if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil {
		a.retryAfter = time.Duration(s) * time.Second
	}
	a.body, err = io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return a, !res.Close, err
}

func (c *conn) encode(r request) []byte {
	b := c.out[:0]
	b = append(b, r.method...)
	b = append(b, ' ')
	b = append(b, r.path...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, c.target.Host...)
	b = append(b, "\r\nUser-Agent: gatehouse-bench\r\n"...)
	if r.bearer != "" {
		b = append(b, "Authorization: Bearer "...)
		b = append(b, r.bearer...)
		b = append(b, "\r\n"...)
	}
	if len(r.body) > 0 {
		kind := "application/json"
		if r.body[0] != '{' {
			kind = "application/x-www-form-urlencoded"
		}
		b = append(append(append(b, "Content-Type: "...), kind...), "\r\nContent-Length: "...)
		b = strconv.AppendInt(b, int64(len(r.body)), 10)
		b = append(b, "\r\n"...)
	}
	b = append(b, "\r\n"...)
	c.out = append(b, r.body...)
	return c.out
}
