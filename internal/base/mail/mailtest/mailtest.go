// Package mailtest is a real mail server for tests, which records what it gets
// and misbehaves on request.
package mailtest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// Mail is one that the server took.
type Mail struct {
	From, To string
	// UTF8 is whether the client asked for SMTPUTF8, TLS whether it spoke it, and
	// User who it said it was.
	UTF8, TLS bool
	User      string
	// Raw is the mail as it came.
	Raw []byte
}

// Step is where the server may misbehave.
type Step string

// The steps.
const (
	AtMail Step = "MAIL"
	AtRcpt Step = "RCPT"
	AtData Step = "DATA" // the mail has come, its answer has not gone
	InData Step = "in DATA"
)

// What a hook may return other than an SMTP reply.
var (
	// Die closes the connection.
	Die = &smtp.SMTPError{Code: 1}
)

// Refuse is an answer.
func Refuse(code int, text string) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.NoEnhancedCode, Message: text}
}

// Server is a mail server on loopback.
type Server struct {
	// URL is what SMTP_URL is to be.
	URL string

	mu     sync.Mutex
	mails  []Mail
	logins int
	hook   func(Step, string) *smtp.SMTPError
}

// Options are what the server can do.
type Options struct {
	// StartTLS and Implicit are its TLS; User and Password are asked for if set.
	StartTLS, Implicit bool
	User, Password     string
	// NoUTF8 is a server that does not know SMTPUTF8.
	NoUTF8 bool
}

// New starts a server that ends with the test.
func New(t testing.TB, o Options) *Server {
	t.Helper()
	s, stop, err := Start(t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return s
}

// Start starts a server, which puts its certificate into the folder.
func Start(dir string, o Options) (s *Server, stop func(), err error) {
	s = &Server{}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	server := smtp.NewServer(&backend{s, o})
	server.Domain, server.AllowInsecureAuth, server.EnableSMTPUTF8 = "mail.test", true, !o.NoUTF8
	server.ErrorLog = quiet{}
	scheme, query, user := "smtp://", "", ""
	if o.StartTLS || o.Implicit {
		config, ca, err := certificate(dir)
		if err != nil {
			return nil, nil, errors.Join(err, l.Close())
		}
		query = "?ca=" + ca
		if server.TLSConfig = config; o.Implicit {
			l, scheme = tls.NewListener(l, config), "smtps://"
		}
	}
	if o.User != "" {
		user = o.User + ":" + o.Password + "@"
	}
	s.URL = scheme + user + l.Addr().String() + query
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	return s, func() { _ = server.Close(); <-done }, nil
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

// Misbehave asks the hook at each step, with the address that the mail goes to.
func (s *Server) Misbehave(hook func(at Step, to string) *smtp.SMTPError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = hook
}

// Mails are what came, in order.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.mails...)
}

// Logins is how often a client has authenticated, successfully or not.
func (s *Server) Logins() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logins
}

func (s *Server) ask(at Step, to string) *smtp.SMTPError {
	s.mu.Lock()
	hook := s.hook
	s.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(at, to)
}

type backend struct {
	s *Server
	o Options
}

// NewSession implements smtp.Backend.
func (b *backend) NewSession(c *smtp.Conn) (smtp.Session, error) {
	_, secure := c.TLSConnectionState()
	return &session{b: b, conn: c, mail: Mail{TLS: secure}}, nil
}

type session struct {
	b    *backend
	conn *smtp.Conn
	mail Mail
}

func (s *session) answer(at Step) error {
	e := s.b.s.ask(at, s.mail.To)
	switch {
	case e == nil:
		return nil // not e, which would be an error that is nil inside
	case errors.Is(e, Die):
		_ = s.conn.Conn().Close()
		return io.ErrUnexpectedEOF
	}
	return e
}

func (s *session) AuthMechanisms() []string {
	if s.b.o.User == "" {
		return nil
	}
	return []string{sasl.Plain}
}

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		s.b.s.mu.Lock()
		s.b.s.logins++
		s.b.s.mu.Unlock()
		if user != s.b.o.User || password != s.b.o.Password {
			return Refuse(535, "wrong password")
		}
		s.mail.User = user
		return nil
	}), nil
}

func (s *session) Mail(from string, o *smtp.MailOptions) error {
	if s.b.o.User != "" && s.mail.User == "" {
		return Refuse(530, "who are you?")
	}
	s.mail.From, s.mail.UTF8 = from, o.UTF8
	return s.answer(AtMail)
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.mail.To = to
	return s.answer(AtRcpt)
}

func (s *session) Data(r io.Reader) error {
	if err := s.answer(InData); err != nil {
		return err
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m := s.mail
	m.Raw = raw
	if e := s.b.s.ask(AtData, m.To); e != nil && e != Die {
		return e
	} else if e == Die {
		s.b.s.keep(m)
		_ = s.conn.Conn().Close()
		return io.ErrUnexpectedEOF
	}
	s.b.s.keep(m)
	return nil
}

func (s *Server) keep(m Mail) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails = append(s.mails, m)
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

// Parse reads the mail: its headers, and the parts by their type, decoded.
func (m Mail) Parse(t testing.TB) (mail.Header, map[string]string) {
	t.Helper()
	msg, err := mail.ReadMessage(bytes.NewReader(m.Raw))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("a mail of type %s, %v", kind, err)
	}
	parts := map[string]string{}
	for r := multipart.NewReader(msg.Body, params["boundary"]); ; {
		p, err := r.NextRawPart()
		if err == io.EOF { //nolint:errorlint // as documented
			return msg.Header, parts
		}
		if err != nil {
			t.Fatal(err)
		}
		var body io.Reader = p
		if strings.EqualFold(p.Header.Get("Content-Transfer-Encoding"), "quoted-printable") {
			body = quotedprintable.NewReader(p)
		}
		b, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		kind, _, _ := mime.ParseMediaType(p.Header.Get("Content-Type"))
		parts[kind] = strings.ReplaceAll(string(b), "\r\n", "\n")
	}
}

// certificate makes one for 127.0.0.1, and a file with its authority: itself.
func certificate(dir string) (*tls.Config, string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, "", err
	}
	file := filepath.Join(dir, "ca.pem")
	err = os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, file, err
}
