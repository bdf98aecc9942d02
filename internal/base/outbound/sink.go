package outbound

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// sendTime bounds one Send.
const sendTime = 10 * time.Second

// Sink is a place for lines: a file, an HTTP collector, or a syslog server.
//
// Send returns nil only once the lines are where they were to go, as far as the
// protocol allows: on disk, or accepted with 2xx. Syslog acknowledges nothing;
// there, they were handed to the connection.
type Sink struct {
	target *url.URL
	send   func(ctx context.Context, lines []Line) error
	close  func() error
}

// Line is one thing to be sent.
type Line struct {
	Time time.Time
	// Text has no line break at its end. To a file it goes as it is.
	Text string
}

// Parse checks where lines are to go, without going there:
//
//	file:PATH                    appended, and synced to the disk
//	https://HOST/PATH            one POST for several lines, each with a line break
//	syslog+tls://HOST:PORT       RFC 5424 over TLS (RFC 5425)
//	syslog://HOST:PORT           the same over plain TCP (RFC 6587), to loopback only
//
// With ?ca=PATH the server's certificate must come from the authority in that
// file. http:// is taken for loopback only.
func Parse(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("it is not a URL")
	}
	switch u.Scheme {
	case "file":
		if path(u) == "" {
			return nil, errors.New("file: names no file")
		}
		return u, nil
	case "https", "syslog+tls":
	case "http", "syslog":
		if a := net.ParseIP(u.Hostname()); a == nil || !a.IsLoopback() {
			return nil, fmt.Errorf("%s:// would send it unencrypted to another machine", u.Scheme)
		}
	default:
		return nil, errors.New("it begins with none of file:, https://, syslog+tls://")
	}
	if u.Hostname() == "" || strings.HasPrefix(u.Scheme, "syslog") && u.Port() == "" {
		return nil, errors.New("it names no host and port")
	}
	return u, nil
}

func path(u *url.URL) string {
	if u.Opaque != "" {
		return u.Opaque
	}
	return u.Path
}

// Open returns the place for lines that raw names. Nothing is connected before
// the first Send.
func Open(raw string) (*Sink, error) {
	u, err := Parse(raw)
	if err != nil {
		return nil, err
	}
	s := &Sink{target: u, close: func() error { return nil }}
	if u.Scheme == "file" {
		s.send = s.appendTo
		return s, nil
	}
	roots, err := authorities(u)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: u.Hostname()}
	if strings.HasPrefix(u.Scheme, "http") {
		transport := &http.Transport{TLSClientConfig: config, MaxIdleConns: 1}
		client := unled(transport, u)
		s.send = func(ctx context.Context, lines []Line) error { return s.post(ctx, client, lines) }
		s.close = func() error { transport.CloseIdleConnections(); return nil }
		return s, nil
	}
	y := &syslog{address: u.Host}
	if u.Scheme == "syslog+tls" {
		y.config = config
	}
	s.send, s.close = y.send, y.close
	return s, nil
}

// authorities reads the file behind ?ca=, and takes that off the target.
func authorities(u *url.URL) (*x509.CertPool, error) {
	q := u.Query()
	file := q.Get("ca")
	if file == "" {
		return nil, nil //nolint:nilnil // the system's
	}
	q.Del("ca")
	u.RawQuery = q.Encode()
	pem, err := os.ReadFile(file) //nolint:gosec // the operator names it
	if err != nil {
		return nil, fmt.Errorf("the authority's certificate can't be read: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("the file of ca= contains no certificate")
	}
	return pool, nil
}

// Send sends the lines, all or, when it fails, perhaps some.
func (s *Sink) Send(ctx context.Context, lines []Line) error {
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	return s.send(ctx, lines)
}

// Content returns what a file holds, nothing if it is not there yet; for what is
// not a file it reports false.
func (s *Sink) Content() (text string, ok bool, err error) {
	if s.target.Scheme != "file" {
		return "", false, nil
	}
	b, err := os.ReadFile(path(s.target))
	if errors.Is(err, os.ErrNotExist) {
		return "", true, nil
	}
	return string(b), true, err
}

// Close gives up what is open.
func (s *Sink) Close() error { return s.close() }

func (s *Sink) appendTo(_ context.Context, lines []Line) error {
	f, err := os.OpenFile(filepath.Clean(path(s.target)), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	for _, l := range lines {
		b.WriteString(strings.TrimSuffix(l.Text, "\n") + "\n")
	}
	_, err = f.Write(b.Bytes())
	return errors.Join(err, f.Sync(), f.Close())
}

func (s *Sink) post(ctx context.Context, client *http.Client, lines []Line) error {
	var b bytes.Buffer
	for _, l := range lines {
		b.WriteString(strings.TrimSuffix(l.Text, "\n") + "\n")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.target.String(), &b)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	if len(lines) == 1 && !strings.HasPrefix(lines[0].Text, "{") {
		req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	}
	answer, err := client.Do(req)
	if err != nil {
		var wrapped *url.Error // says the whole URL, which may hold a key
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return err
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10))
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("%s answered %s", s.target.Host, answer.Status)
	}
	return nil
}
