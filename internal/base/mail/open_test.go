package mail_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/gatehouse-auth/gatehouse/internal/base/mail"
	"github.com/gatehouse-auth/gatehouse/internal/base/mail/mailtest"
)

// scripted is a server on loopback that answers each command by a function of it, and
// keeps what it received.
type scripted struct {
	addr     string
	mu       sync.Mutex
	received []string
}

func (s *scripted) commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.received...)
}

func newScripted(t *testing.T, greet time.Duration, answer func(line string) string) *scripted {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &scripted{addr: l.Addr().String()}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c, greet, answer)
		}
	}()
	return s
}

func (s *scripted) serve(c net.Conn, greet time.Duration, answer func(string) string) {
	defer c.Close()
	time.Sleep(greet)
	fmt.Fprintf(c, "220 mail.test\r\n")
	for lines := bufio.NewScanner(c); lines.Scan(); {
		s.mu.Lock()
		s.received = append(s.received, lines.Text())
		s.mu.Unlock()
		a := answer(lines.Text())
		if a == "" {
			return
		}
		fmt.Fprintf(c, "%s\r\n", a)
	}
}

// usual answers as a server does that offers these mechanisms, takes the passwords of
// those that are named, and then every mail.
func usual(auth string, takes ...string) func(string) string {
	within := false
	return func(line string) string {
		word, rest, _ := strings.Cut(line, " ")
		mechanism, _, _ := strings.Cut(rest, " ")
		switch strings.ToUpper(word) {
		case "EHLO":
			return "250-mail.test\r\n250 " + auth
		case "AUTH":
			for _, m := range takes {
				if mechanism == m && m == "LOGIN" {
					within = true
					return "334 VXNlcm5hbWU6"
				} else if mechanism == m {
					return "235 welcome"
				}
			}
			return "535 5.7.8 not by this mechanism"
		case "QUIT":
			return "221 bye"
		case "*":
			return "501 aborted"
		}
		if within && word == "Z2F0ZQ==" {
			return "334 UGFzc3dvcmQ6"
		} else if within {
			within = false
			return "235 welcome"
		}
		return "250 OK"
	}
}

func openTo(t *testing.T, url string, most time.Duration) error {
	t.Helper()
	server, err := mail.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	sender, err := mail.NewSender(server, mail.From{Address: "no-reply@example.org"}, most)
	if err != nil {
		t.Fatal(err)
	}
	c, err := sender.Open(context.Background())
	if err == nil {
		c.Close()
	}
	return err
}

// G4: SCRAM that is offered and fails gives way to PLAIN, or LOGIN where there is no
// PLAIN; a wrong password is tried twice at most; the URL's choice is the only one.
func TestCaseG4_AMechanismThatFails(t *testing.T) {
	for name, c := range map[string]struct {
		offers, query string
		takes         []string
		tried         string
		fails         bool
	}{
		"SCRAM fails, PLAIN works":          {"AUTH SCRAM-SHA-256 PLAIN LOGIN", "", []string{"PLAIN"}, "SCRAM-SHA-256 PLAIN", false},
		"SCRAM fails, LOGIN works":          {"AUTH LOGIN SCRAM-SHA-256", "", []string{"LOGIN"}, "SCRAM-SHA-256 LOGIN", false},
		"a wrong password":                  {"AUTH SCRAM-SHA-256 PLAIN LOGIN", "", nil, "SCRAM-SHA-256 PLAIN", true},
		"the URL asks for PLAIN":            {"AUTH SCRAM-SHA-256 PLAIN LOGIN", "?auth=plain", []string{"PLAIN"}, "PLAIN", false},
		"the URL asks for LOGIN":            {"AUTH SCRAM-SHA-256 PLAIN LOGIN", "?auth=login", []string{"LOGIN"}, "LOGIN", false},
		"the URL asks for what isn't there": {"AUTH PLAIN", "?auth=scram-sha-256", []string{"PLAIN"}, "", true},
		"keywords in small letters":         {"auth plain login", "", []string{"PLAIN"}, "PLAIN", false},
		"the old form":                      {"AUTH=LOGIN PLAIN", "", []string{"PLAIN"}, "PLAIN", false},
		"no AUTH":                           {"SIZE 1000", "", nil, "", true},
	} {
		s := newScripted(t, 0, usual(c.offers, c.takes...))
		err := openTo(t, "smtp://gate:secret@"+s.addr+c.query, 5*time.Second)
		var tried []string
		for _, line := range s.commands() {
			if f := strings.Fields(line); len(f) > 1 && f[0] == "AUTH" {
				tried = append(tried, f[1])
			}
		}
		var f *mail.Failure
		if strings.Join(tried, " ") != c.tried || (err != nil) != c.fails ||
			err != nil && (!errors.As(err, &f) || !f.Away || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%s: tried %v, %v", name, tried, err)
		}
	}
}

// F7: a greeting that comes late is waited for.
func TestCaseF7_ALateGreeting(t *testing.T) {
	s := newScripted(t, 300*time.Millisecond, usual("SIZE 1000"))
	if err := openTo(t, "smtp://"+s.addr, 0); err != nil {
		t.Error(err)
	}
	if err := openTo(t, "smtp://"+s.addr, 100*time.Millisecond); err == nil {
		t.Error("a bound is kept as well")
	}
}

// N1: the two ports taken for each other, and a server without STARTTLS: the words say
// what to write.
func TestCaseN1_PortsTakenForEachOther(t *testing.T) {
	plain, upgraded, wrapped := mailtest.New(t, mailtest.Options{}), mailtest.New(t, mailtest.Options{StartTLS: true}),
		mailtest.New(t, mailtest.Options{Implicit: true})
	for name, c := range map[string]struct{ url, says string }{
		"smtp:// to a port of TLS":       {strings.Replace(wrapped.URL, "smtps:", "smtp:", 1), "write smtps://"},
		"smtps:// to a port of STARTTLS": {strings.Replace(upgraded.URL, "smtp:", "smtps:", 1), "write smtp://"},
		"no STARTTLS":                    {plain.URL + query(upgraded.URL), "offers no STARTTLS"},
	} {
		if err := openTo(t, c.url, time.Second); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// N2: what can mean nothing else in a password is taken as it stands.
func TestCaseN2_PasswordsWithOtherCharacters(t *testing.T) {
	for raw, want := range map[string]string{
		"a^b{c|d}e": "a^b{c|d}e", "pässwörd": "pässwörd", "%5E^": "^^", `q"<>` + "`": `q"<>` + "`", "a%40b": "a@b",
	} {
		s, err := mail.Parse("smtp://gate:" + raw + "@mail.example.org")
		if err != nil || s.Password != want || s.Host != "mail.example.org" {
			t.Errorf("%s: %+v, %v", raw, s, err)
		}
		if m := mail.Masked("smtp://gate:" + raw + "@mail.example.org"); strings.Contains(m, raw) || !strings.Contains(m, "gate:*****@") {
			t.Errorf("%s: shown as %s", raw, m)
		}
	}
}

// A rehearsal goes as far as the recipient, and no mail is sent; what the server refuses is told.
func TestARehearsalSendsNothing(t *testing.T) {
	s := mailtest.New(t, mailtest.Options{Implicit: true, User: "gate", Password: "word"})
	at, err := mail.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	from, err := mail.ParseFrom("auth@acme.org")
	if err != nil {
		t.Fatal(err)
	}
	sender, err := mail.NewSender(at, from, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	r, err := sender.Rehearse(t.Context(), "ops@acme.org")
	if err != nil || r.TLS == 0 || !r.SignedIn || s.Logins() != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, step := range []mailtest.Step{mailtest.AtMail, mailtest.AtRcpt} {
		s.Misbehave(func(now mailtest.Step, _ string) *smtp.SMTPError {
			if now == step {
				return mailtest.Refuse(550, "not from you")
			}
			return nil
		})
		if r, err := sender.Rehearse(t.Context(), "ops@acme.org"); err == nil || !strings.Contains(err.Error(), "not from you") || r.TLS == 0 {
			t.Errorf("refused at %s: %+v, %v", step, r, err)
		}
	}
	if n := len(s.Mails()); n > 0 {
		t.Errorf("%d mails were sent", n)
	}
}
