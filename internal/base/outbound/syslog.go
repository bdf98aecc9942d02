package outbound

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// priority is facility 10 (authorization), severity 6 (informational): RFC 5424,
// section 6.2.1.
const priority = 10*8 + 6

// syslog is a connection to a syslog server, made when it is needed.
type syslog struct {
	address string
	config  *tls.Config // nil: plain

	mu   sync.Mutex
	conn net.Conn
}

func (s *syslog) send(ctx context.Context, lines []Line) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.connect(ctx); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = s.conn.SetDeadline(deadline)
	}
	var b bytes.Buffer
	for _, l := range lines {
		m := message(l)
		fmt.Fprintf(&b, "%d %s", len(m), m) // octet counting: RFC 6587, section 3.4.1
	}
	if _, err := s.conn.Write(b.Bytes()); err != nil {
		return errors.Join(err, s.drop())
	}
	return nil
}

// message is one line by RFC 5424, section 6. Line breaks would be harmless here,
// but not in what some collectors make of them.
func message(l Line) string {
	text := strings.ReplaceAll(strings.TrimSuffix(l.Text, "\n"), "\n", " ")
	return fmt.Sprintf("<%d>1 %s - gatehouse - - - \ufeff%s", priority, l.Time.UTC().Format("2006-01-02T15:04:05.000000Z"), text)
}

// connect makes a connection unless there is one that lives. A server that has
// closed it is noticed by a read, since a write would seem to succeed.
func (s *syslog) connect(ctx context.Context) error {
	if s.conn != nil && alive(s.conn) {
		return nil
	}
	_ = s.drop()
	d := net.Dialer{}
	var err error
	if s.config == nil {
		s.conn, err = d.DialContext(ctx, "tcp", s.address)
		return err
	}
	s.conn, err = (&tls.Dialer{NetDialer: &d, Config: s.config}).DialContext(ctx, "tcp", s.address)
	if err != nil {
		s.conn = nil
	}
	return err
}

func (s *syslog) drop() error {
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn = nil
	return err
}

func (s *syslog) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.drop()
}

// alive reports whether the other side has kept the connection open: a syslog
// server never sends anything.
func alive(c net.Conn) bool {
	if err := c.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		return false
	}
	_, err := c.Read(make([]byte, 1))
	return errors.Is(err, os.ErrDeadlineExceeded)
}
