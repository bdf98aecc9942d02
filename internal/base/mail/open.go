package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// How long the server has for each phase (RFC 5321 section 4.5.3.2). Some keep a
// client waiting before the greeting to find out spammers, and scan a mail for minutes
// before they reply: a client that leaves before that sends it again and again.
const (
	connectTime = 30 * time.Second
	openTime    = 5 * time.Minute // the greeting, TLS and the password
	commandTime = 5 * time.Minute // from MAIL to the end of the content
	endTime     = 10 * time.Minute
)

// Sender opens connections to the server.
type Sender struct {
	server Server
	from   From
	most   time.Duration
	tls    *tls.Config
	worked atomic.Value // the mechanism by which the password was taken last
	ascii  atomic.Bool  // the server said last that it does not know SMTPUTF8
}

// Reaches reports whether the server takes mails to an address, as far as it has said:
// one with letters outside ASCII before the @ only if it knows SMTPUTF8 (RFC 6531). Before
// the first connection it is taken to know that.
func (s *Sender) Reaches(address string) bool {
	_, wide, err := split(address)
	return err == nil && (!wide || !s.ascii.Load())
}

// NewSender returns a sender. Each phase of the conversation has the time that RFC
// 5321 gives it, and no more than most, unless that is zero.
func NewSender(s Server, from From, most time.Duration) (*Sender, error) {
	out := &Sender{server: s, from: from, most: most, tls: &tls.Config{ServerName: s.Host, MinVersion: tls.VersionTLS12}}
	if s.CA != "" {
		pem, err := os.ReadFile(s.CA)
		if err != nil {
			return nil, fmt.Errorf("the authority can't be read: %w", err)
		}
		out.tls.RootCAs = x509.NewCertPool()
		if !out.tls.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("the authority's file contains no certificate")
		}
	}
	return out, nil
}

func (s *Sender) within(d time.Duration) time.Duration {
	if s.most > 0 {
		return min(d, s.most)
	}
	return d
}

// Conn is a connection over which mails are handed over, one after another.
type Conn struct {
	s      *Sender
	client *gomail.Client
	smtp   *smtp.Client
	stop   func() bool
	broken bool
	answer string
}

// Open connects, with TLS and the password as far as they are set. The error is a
// [*Failure]. When the context ends, so does the connection.
func (s *Sender) Open(ctx context.Context) (*Conn, error) {
	c, err := s.connect(ctx)
	if err != nil {
		return nil, &Failure{Away: true, text: s.explain(err)}
	}
	if s.server.User == "" {
		return s.opened(c), nil
	}
	tried := ""
	for {
		mechanism, err := s.mechanism(c, tried)
		if err == nil {
			err = c.smtp.Auth(s.auth(mechanism))
		}
		if err == nil {
			s.worked.Store(mechanism)
			return s.opened(c), nil
		}
		c.abort()
		// Some servers offer what does not work for this user, SCRAM above all, for which
		// they would have to keep the password in another way (RFC 5802). The connection
		// ends with the failure.
		var answer *textproto.Error
		if tried != "" || s.server.Auth != "" || mechanism != scram || !errors.As(err, &answer) || answer.Code < 500 {
			return nil, &Failure{Away: true, text: s.explain(fmt.Errorf("the password was not taken: %w", err))}
		}
		tried = mechanism
		if c, err = s.connect(ctx); err != nil {
			return nil, &Failure{Away: true, text: s.explain(err)}
		}
	}
}

// opened keeps what the server said that it takes.
func (s *Sender) opened(c *Conn) *Conn {
	knows, _ := c.smtp.Extension("SMTPUTF8")
	s.ascii.Store(!knows)
	return c
}

// connect opens a connection as far as TLS.
func (s *Sender) connect(ctx context.Context) (*Conn, error) {
	var raw net.Conn
	stop := func() bool { return true }
	policy := gomail.NoTLS
	if s.server.StartTLS {
		policy = gomail.TLSMandatory
	}
	client, err := gomail.NewClient(s.server.Host,
		gomail.WithPort(s.server.Port), gomail.WithTimeout(s.within(openTime)), gomail.WithHELO(s.from.Domain()),
		gomail.WithTLSConfig(s.tls), gomail.WithTLSPolicy(policy), gomail.WithoutNoop(), gomail.WithoutRset(),
		gomail.WithDialContextFunc(func(dial context.Context, network, _ string) (_ net.Conn, err error) {
			if raw, err = s.dial(dial, network); err == nil {
				stop = context.AfterFunc(ctx, func() { _ = raw.Close() }) // the library reads on until its timeout
			}
			return raw, err
		}))
	if err != nil {
		return nil, err
	}
	c, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		stop()
		if raw != nil {
			_ = raw.Close() // the library leaves it open
		}
		return nil, err
	}
	return &Conn{s: s, client: client, smtp: c, stop: stop}, nil
}

func (s *Sender) dial(ctx context.Context, network string) (net.Conn, error) {
	d := net.Dialer{Timeout: s.within(connectTime)}
	if s.server.Implicit {
		return (&tls.Dialer{NetDialer: &d, Config: s.tls}).DialContext(ctx, network, s.server.address())
	}
	return d.DialContext(ctx, network, s.server.address())
}

// abort closes a connection of which nothing more is wanted.
func (c *Conn) abort() {
	c.stop()
	_ = c.smtp.Close()
}

// The mechanisms, in the order of preference.
const (
	scram     = "SCRAM-SHA-256"
	authPlain = "PLAIN"
	authLogin = "LOGIN"
)

var mechanisms = []string{scram, authPlain, authLogin}

var errNoAuth = errors.New("the mail server does not support authentication (AUTH)")

// mechanism chooses how the password is said: as it worked before, as the URL asks, or
// the best that the server offers and was not tried.
func (s *Sender) mechanism(c *Conn, tried string) (string, error) {
	offered := c.offered()
	if len(offered) == 0 {
		return "", errNoAuth
	}
	want := mechanisms
	if s.server.Auth != "" {
		want = []string{s.server.Auth}
	} else if worked, ok := s.worked.Load().(string); ok && tried == "" {
		want = append([]string{worked}, mechanisms...)
	}
	for _, m := range want {
		if m != tried && slices.Contains(offered, m) {
			return m, nil
		}
	}
	return "", fmt.Errorf("the mail server offers %s, and none of %s", strings.Join(offered, " "), strings.Join(want, ", "))
}

// offered are the mechanisms that the server names. Keywords may be in any case (RFC
// 5321 section 2.4), which the library does not know.
func (c *Conn) offered() []string {
	if ok, list := c.smtp.Extension("AUTH"); ok {
		return strings.Fields(strings.ToUpper(list))
	}
	id, err := c.smtp.Text.Cmd("EHLO %s", c.s.from.Domain())
	if err != nil {
		return nil
	}
	c.smtp.Text.StartResponse(id)
	defer c.smtp.Text.EndResponse(id)
	_, text, err := c.smtp.Text.ReadResponse(250)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(text) {
		if f := strings.Fields(strings.ToUpper(strings.Replace(line, "=", " ", 1))); len(f) > 1 && f[0] == "AUTH" {
			return f[1:]
		}
	}
	return nil
}

func (s *Sender) auth(mechanism string) smtp.Auth {
	clear := !s.server.Implicit && !s.server.StartTLS
	switch mechanism {
	case authPlain:
		return smtp.PlainAuth("", s.server.User, s.server.Password, s.server.Host, clear)
	case authLogin:
		return smtp.LoginAuth(s.server.User, s.server.Password, s.server.Host, clear)
	}
	return smtp.ScramSHA256Auth(s.server.User, s.server.Password)
}

// explain says what a failure to open means, and how to mend it where the two ports of
// a mail server were taken for each other: the commonest mistake.
func (s *Sender) explain(err error) string {
	text := plain(err.Error())
	var (
		record  tls.RecordHeaderError
		timeout net.Error
		host    = s.server.address()
	)
	switch {
	case s.server.Implicit && errors.As(err, &record):
		return "the server at " + host + " does not speak TLS from the first byte: write smtp:// (port 587 for most), which asks for TLS by STARTTLS (" + text + ")"
	case s.server.StartTLS && strings.Contains(text, "STARTTLS"):
		return "the server at " + host + " offers no STARTTLS: write smtps:// if this port speaks TLS from the first byte (465 for most); " +
			"?tls=off would send everything in the clear (" + text + ")"
	case !s.server.Implicit && (errors.As(err, &timeout) && timeout.Timeout() ||
		strings.Contains(text, "EOF") || strings.Contains(text, "malformed") || strings.Contains(text, "short response")):
		return "the server at " + host + " does not greet: if this port speaks TLS from the first byte (465 for most), write smtps:// (" + text + ")"
	}
	return text
}
