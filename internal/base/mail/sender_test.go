package mail_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/mail"
	"github.com/gatehouse-auth/gatehouse/internal/base/mail/mailtest"
)

// send hands one mail over to the server that the URL names.
func send(t *testing.T, url string, timeout time.Duration, m mail.Message) (answer string, err error) {
	t.Helper()
	server, err := mail.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	sender, err := mail.NewSender(server, mail.From{Name: "Acme", Address: "no-reply@example.org"}, timeout)
	if err != nil {
		t.Fatal(err)
	}
	c, err := sender.Open(context.Background())
	if err != nil {
		return "", err
	}
	defer c.Close()
	err = c.Send(m)
	return c.Answer(), err
}

func to(address string) mail.Message {
	return mail.Message{ID: "1", To: address, Subject: "Hello", Text: "A text.\n", Date: time.Unix(1764000000, 0), Language: "en"}
}

// query is where a URL names the authority.
func query(url string) string {
	_, q, _ := strings.Cut(url, "?")
	return "?" + q
}

// ASVS 12.3: nothing is said to a server, no password either, that offers no TLS
// where it is demanded, or whose certificate is not to be trusted.
func TestMailNeedsTLSThatIsTrusted(t *testing.T) {
	login := mailtest.Options{User: "gate", Password: "p@ss"}
	withTLS, implicit := login, login
	withTLS.StartTLS, implicit.Implicit = true, true
	bare, upgraded, wrapped, other := mailtest.New(t, login), mailtest.New(t, withTLS), mailtest.New(t, implicit), mailtest.New(t, implicit)
	for name, s := range map[string]*mailtest.Server{"STARTTLS": upgraded, "from the first byte": wrapped} {
		answer, err := send(t, s.URL, 5*time.Second, to("ada@example.org"))
		if got := s.Mails(); err != nil || len(got) != 1 || !got[0].TLS || got[0].User != "gate" || s.Logins() != 1 || !strings.Contains(answer, "OK") {
			t.Errorf("%s: %q %v, %+v", name, answer, err, got)
		}
	}
	base := func(s *mailtest.Server) string { return strings.TrimSuffix(s.URL, query(s.URL)) }
	for name, c := range map[string]struct {
		url  string
		s    *mailtest.Server
		says string
	}{
		"no STARTTLS":               {bare.URL + query(upgraded.URL), bare, "STARTTLS"},
		"no TLS at all":             {strings.Replace(bare.URL, "smtp:", "smtps:", 1) + query(upgraded.URL), bare, "tls"},
		"STARTTLS, another CA":      {base(upgraded) + query(other.URL), upgraded, "certificate"},
		"smtps, another CA":         {base(wrapped) + query(other.URL), wrapped, "certificate"},
		"smtps, the system's CAs":   {base(wrapped), wrapped, "certificate"},
		"smtps, for another name":   {strings.Replace(wrapped.URL, "127.0.0.1", "localhost", 1), wrapped, "certificate"},
		"STARTTLS, another name":    {strings.Replace(upgraded.URL, "127.0.0.1", "localhost", 1), upgraded, "certificate"},
		"clear to a server of TLS":  {strings.Replace(base(wrapped), "smtps:", "smtp:", 1), wrapped, ""},
		"a password that is wrong":  {strings.Replace(upgraded.URL, ":p@ss@", ":wrong@", 1), upgraded, ""},
		"a server that has no AUTH": {strings.Replace(mailtest.New(t, mailtest.Options{}).URL, "smtp://", "smtp://gate:p%40ss@", 1), bare, ""},
	} {
		mails, logins := len(c.s.Mails()), c.s.Logins()
		_, err := send(t, c.url, time.Second, to("ada@example.org"))
		var f *mail.Failure
		if !errors.As(err, &f) || !f.Away || f.Never || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "p@ss") {
			t.Errorf("%s: %v", name, err)
		}
		if name == "a password that is wrong" {
			logins++
		}
		if len(c.s.Mails()) != mails || c.s.Logins() != logins {
			t.Errorf("%s: it was sent something: %d mails, %d passwords", name, len(c.s.Mails())-mails, c.s.Logins()-logins)
		}
	}
}

// RFC 6531: an address that is not ASCII goes as it is, to a server that knows how,
// and a domain always in its ASCII form.
func TestMailToAddressesOutsideASCII(t *testing.T) {
	s := mailtest.New(t, mailtest.Options{})
	for _, address := range []string{"jürgen@bücher.example", "ada@bücher.example", "ada@example.org"} {
		if _, err := send(t, s.URL, 5*time.Second, to(address)); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	got := s.Mails()
	if len(got) != 3 || got[0].To != "jürgen@xn--bcher-kva.example" || !got[0].UTF8 || got[1].To != "ada@xn--bcher-kva.example" || got[1].UTF8 || got[2].UTF8 {
		t.Errorf("%+v", got)
	}
	old := mailtest.New(t, mailtest.Options{NoUTF8: true})
	var f *mail.Failure
	if _, err := send(t, old.URL, 5*time.Second, to("jürgen@bücher.example")); !errors.As(err, &f) || !f.Never || f.Away {
		t.Errorf("a server that does not know SMTPUTF8: %v", err)
	}
	if _, err := send(t, old.URL, 5*time.Second, to("ada@bücher.example")); err != nil || len(old.Mails()) != 1 {
		t.Errorf("%v, %d mails", err, len(old.Mails()))
	}
}

// Nothing that a mail is made of begins a header, a command or another mail.
func TestMailTakesNoInjection(t *testing.T) {
	s := mailtest.New(t, mailtest.Options{})
	for _, address := range []string{
		"ada@example.org\r\nRCPT TO:<eve@example.org>", "ada@example.org>\r\nDATA", "ada@example.org, eve@example.org", "ada@example.org\x00",
		"<ada@example.org> BODY=8BITMIME",
		"ada@example.org\nBcc: eve@example.org", "\"ada\r\nBcc: eve@example.org\"@example.org", "ada@eve@example.org", "",
	} {
		var f *mail.Failure
		if _, err := send(t, s.URL, 5*time.Second, to(address)); !errors.As(err, &f) || !f.Never || len(s.Mails()) > 0 {
			t.Errorf("%q: %v", address, err)
		}
	}
	m := to("ada@example.org")
	m.Subject = "Hello\r\nBcc: eve@example.org\r\n\r\nAnother body\u2028\x00"
	m.Text = "First.\r\n.\r\nMAIL FROM:<eve@example.org>\r\n.\n..\nLast.\n"
	m.HTML = "<p>First.</p>\n.\n"
	if _, err := send(t, s.URL, 5*time.Second, m); err != nil {
		t.Fatal(err)
	}
	if got := s.Mails(); len(got) != 1 || got[0].To != "ada@example.org" {
		t.Fatalf("%d mails", len(s.Mails()))
	}
	head, parts := s.Mails()[0].Parse(t)
	if _, ok := head["Bcc"]; ok || head.Get("Subject") != "Hello Bcc: eve@example.org Another body" || len(head["To"]) != 1 {
		t.Errorf("%v", head)
	}
	if got := parts["text/plain"]; got != strings.ReplaceAll(m.Text, "\r\n", "\n") {
		t.Errorf("the text came as %q", got)
	}
}

// halting is a server that says no more after so many lines.
func halting(t *testing.T, lines int) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for _, say := range append([]string{"220 hello", "250 mail.test", "250 sender", "250 recipient", "354 go on"}[:lines:lines], "") {
					if say == "" {
						_, _ = r.WriteTo(ignore{}) // until the client leaves
						return
					}
					fmt.Fprint(c, say+"\r\n")
					if _, err := r.ReadString('\n'); err != nil {
						return
					}
				}
			}()
		}
	}()
	return "smtp://" + l.Addr().String()
}

type ignore struct{}

func (ignore) Write(p []byte) (int, error) { return len(p), nil }

// A server that stops talking, wherever that is, is left after the timeout: before
// DATA it takes none, and in it the mail may be the cause.
func TestMailServerThatHangs(t *testing.T) {
	for lines, where := range []string{"at the greeting", "at EHLO", "at MAIL", "at RCPT", "at DATA", "in DATA"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			_, err := send(t, halting(t, lines), 300*time.Millisecond, to("ada@example.org"))
			var f *mail.Failure
			if !errors.As(err, &f) || f.Never || f.Away != (lines < 3) {
				t.Errorf("%v: %+v", err, f)
			}
		})
	}
}

// Who stops waits for no server that hangs, wherever that is.
func TestMailServerThatHangsIsLeftWhenTheContextEnds(t *testing.T) {
	for lines := range 6 {
		server, err := mail.Parse(halting(t, lines))
		if err != nil {
			t.Fatal(err)
		}
		sender, err := mail.NewSender(server, mail.From{Address: "no-reply@example.org"}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(50*time.Millisecond, cancel)
		c, err := sender.Open(ctx)
		if err == nil {
			err = c.Send(to("ada@example.org"))
			c.Close()
		}
		if err == nil || ctx.Err() == nil {
			t.Errorf("after %d lines: %v", lines, err)
		}
	}
}
