package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
	"unicode"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// Sender opens connections to the server.
type Sender struct {
	server  Server
	from    From
	timeout time.Duration
	tls     *tls.Config
}

// NewSender returns a sender. The timeout is for each step of the conversation:
// to connect, to say hello, to hand one mail over.
func NewSender(s Server, from From, timeout time.Duration) (*Sender, error) {
	out := &Sender{server: s, from: from, timeout: timeout, tls: &tls.Config{ServerName: s.Host, MinVersion: tls.VersionTLS12}}
	if s.CA != "" {
		pem, err := os.ReadFile(s.CA)
		if err != nil {
			return nil, fmt.Errorf("the authority can't be read: %w", err)
		}
		out.tls.RootCAs = x509.NewCertPool()
		if !out.tls.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("the authority's file holds no certificate")
		}
	}
	return out, nil
}

// Message is one mail.
type Message struct {
	// ID is unique and the same at every try: whoever gets a mail twice can tell by
	// the Message-ID that is made of it.
	ID      string
	To      string
	Subject string
	// Text is the plain part, HTML the other; the latter may be empty.
	Text, HTML string
	Date       time.Time
	// Language is the texts' (BCP 47).
	Language string
}

// Failure is why a mail was not taken.
type Failure struct {
	// Away is set if the server is not to be had at all, or refuses us and not this
	// mail: the others need not be tried. Never is set if it will not take this mail
	// at any later time either.
	Away, Never bool
	text        string
}

func (f *Failure) Error() string { return f.text }

func away(err error) *Failure { return &Failure{Away: true, text: plain(err.Error())} }

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
	var raw net.Conn
	stop := func() bool { return true }
	policy := gomail.NoTLS
	if s.server.StartTLS {
		policy = gomail.TLSMandatory
	}
	options := []gomail.Option{
		gomail.WithPort(s.server.Port), gomail.WithTimeout(s.timeout), gomail.WithHELO(s.from.Domain()),
		gomail.WithTLSConfig(s.tls), gomail.WithTLSPolicy(policy), gomail.WithoutNoop(), gomail.WithoutRset(),
		gomail.WithDialContextFunc(func(dial context.Context, network, _ string) (_ net.Conn, err error) {
			if raw, err = s.dial(dial, network); err == nil {
				stop = context.AfterFunc(ctx, func() { _ = raw.Close() }) // the library reads on until its timeout
			}
			return raw, err
		}),
	}
	if s.server.User != "" {
		plain, login := gomail.SMTPAuthPlain, gomail.SMTPAuthLogin
		if !s.server.Implicit && !s.server.StartTLS {
			plain, login = gomail.SMTPAuthPlainNoEnc, gomail.SMTPAuthLoginNoEnc
		}
		options = append(options, gomail.WithUsername(s.server.User), gomail.WithPassword(s.server.Password),
			gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthSCRAMSHA256, plain, login))
	}
	client, err := gomail.NewClient(s.server.Host, options...)
	if err != nil {
		return nil, away(err)
	}
	c, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		stop()
		if raw != nil {
			_ = raw.Close() // the library leaves it open
		}
		return nil, away(err)
	}
	return &Conn{s: s, client: client, smtp: c, stop: stop}, nil
}

func (s *Sender) dial(ctx context.Context, network string) (net.Conn, error) {
	d := net.Dialer{}
	if s.server.Implicit {
		return (&tls.Dialer{NetDialer: &d, Config: s.tls}).DialContext(ctx, network, s.server.address())
	}
	return d.DialContext(ctx, network, s.server.address())
}

// Close says goodbye.
func (c *Conn) Close() {
	c.stop()
	if !c.broken {
		_ = c.client.CloseWithSMTPClient(c.smtp) // what was sent was acknowledged before
	}
	_ = c.smtp.Close()
}

// Broken reports whether the connection is of no use any more.
func (c *Conn) Broken() bool { return c.broken }

// Answer is what the server said to the last mail that it took.
func (c *Conn) Answer() string { return c.answer }

// Send hands a mail over. Without an error the server has answered for it. The
// error is a [*Failure]; after one the mail may have been taken all the same, if
// the answer was lost.
func (c *Conn) Send(m Message) error {
	to, wide, err := split(m.To)
	if err != nil {
		return &Failure{Never: true, text: err.Error()}
	}
	if ok, _ := c.smtp.Extension("SMTPUTF8"); wide && !ok {
		return &Failure{Never: true, text: "the address is not ASCII, and the mail server does not know SMTPUTF8"}
	}
	c.smtp.SkipSMTPUTF8(!wide)
	msg, err := c.s.compose(m, to)
	if err != nil {
		return &Failure{Never: true, text: plain(err.Error())}
	}
	err = c.client.SendWithSMTPClient(c.smtp, msg)
	if err == nil {
		c.answer = plain(msg.ServerResponse())
		return nil
	}
	return c.judge(err, to)
}

// judge tells what a failure means for the mail and for the connection.
func (c *Conn) judge(err error, to string) *Failure {
	f := &Failure{text: plain(strings.ReplaceAll(strings.Split(err.Error(), ", affected ")[0], to, "the address"))}
	var e *gomail.SendError
	if !errors.As(err, &e) {
		f.Away, c.broken = true, true
		return f
	}
	switch code := e.ErrorCode(); {
	case code == 421:
		f.Away, c.broken = true, true
	case code >= 400 && e.Reason == gomail.ErrSMTPMailFrom:
		f.Away = true // it refuses the sender: us
	case code >= 500:
		f.Never = true
	case code == 0 && (e.Reason == gomail.ErrConnCheck || e.Reason == gomail.ErrSMTPMailFrom):
		f.Away, c.broken = true, true
	case code == 0:
		c.broken = true // in the middle of it: this mail may be the cause
	}
	if !c.broken && c.smtp.Reset() != nil {
		c.broken = true
	}
	return f
}

// compose makes the mail. All that comes from people was cleaned by their own
// readers; the library encodes what is left in headers.
func (s *Sender) compose(m Message, to string) (*gomail.Msg, error) {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := msg.FromFormat(s.from.Name, s.from.Address); err != nil {
		return nil, err
	}
	if err := msg.To(to); err != nil {
		return nil, err
	}
	msg.Subject(plain(m.Subject))
	msg.SetDateWithValue(m.Date)
	msg.SetMessageIDWithValue(m.ID + "@" + s.from.Domain())
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834
	msg.SetGenHeader("X-Auto-Response-Suppress", "All")  // Exchange asks for it
	msg.SetGenHeader(gomail.HeaderContentLang, m.Language)
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	return msg, nil
}

// plain is text on one line, of no great length, as it may stand in a header, a
// log or a row.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " "))
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 300 {
		s = string(r[:300]) + "…"
	}
	return s
}
