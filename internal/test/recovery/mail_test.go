package recovery_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/mail/mailtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// devMail opens /dev/mail under a host name; empty is the server's own.
func devMail(h *harness.Server, host string) (*http.Response, string) {
	h.Helper()
	req, err := http.NewRequestWithContext(h.Context(), http.MethodGet, h.App.URL()+"/dev/mail", nil)
	if err != nil {
		h.Fatal(err)
	}
	if host != "" {
		req.Host = host
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		h.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		h.Fatal(err)
	}
	return res, string(b)
}

func TestDevelopmentShowsMails(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	if _, text := devMail(h, ""); !strings.Contains(text, "No email yet") {
		t.Error(text)
	}
	h.Register("ada@example.org")
	res, text := devMail(h, "")
	if res.StatusCode != 200 || !strings.Contains(text, "ada@example.org") || !strings.Contains(text, `href="`+h.App.URL()+`/verify#gatehouse_mt_`) {
		t.Errorf("%d\n%s", res.StatusCode, text)
	}
	if csp := res.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", res.Header)
	}
	// A site of somebody else's whose name points to this machine.
	if res, text := devMail(h, "evil.example"); res.StatusCode != 421 || strings.Contains(text, "gatehouse_mt_") {
		t.Errorf("rebinding: %d\n%s", res.StatusCode, text)
	}
}

func TestProductionHasNoPageOfMailsAndSaysThatTheyWait(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), "ENVIRONMENT=production", "PUBLIC_URL=https://auth.acme.org", "BCRYPT_COST=12")
	if res, _ := devMail(h, "auth.acme.org"); res.StatusCode != 404 {
		t.Errorf("/dev/mail: %d", res.StatusCode)
	}
	if status, text := h.Admin("/readyz"); status != 200 || !strings.Contains(text, `"warnings":{"mail":"SMTP_URL is not set; 0 wait"}`) {
		t.Errorf("%d %s", status, text)
	}
}

// A mail goes from the flow to the server over TLS, with the password; while the
// server refuses us readyz says so and stays ready, and nobody waits for it.
func TestMailsAreDelivered(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		s := mailtest.New(t, mailtest.Options{StartTLS: true, User: "gate", Password: "p@ss"})
		s.Misbehave(func(at mailtest.Step, _ string) *smtp.SMTPError {
			if at == mailtest.AtMail {
				return mailtest.Refuse(450, "not now")
			}
			return nil
		})
		h := harness.Open(t, dbURL, "SMTP_URL="+strings.Replace(s.URL, "p@ss", "p%40ss", 1), "MAIL_FROM=Acme <no-reply@acme.org>")
		if res, _ := devMail(h, ""); res.StatusCode != 404 {
			t.Errorf("/dev/mail: %d", res.StatusCode)
		}
		h.Register("ada@example.org")
		h.Eventually("readyz tells", func() (string, bool) {
			status, text := h.Admin("/readyz")
			return text, status == 200 && strings.Contains(text, `"mail":"the mail server takes none; 1 wait"`)
		})
		h.Login("ada@example.org")
		s.Misbehave(nil)
		h.Eventually("the mail comes", func() (string, bool) { return "", len(s.Mails()) > 0 })
		h.Eventually("readyz is content", func() (string, bool) {
			_, text := h.Admin("/readyz")
			return text, !strings.Contains(text, "warnings")
		})
		m := s.Mails()[0]
		if !m.TLS || m.User != "gate" || m.From != "no-reply@acme.org" || m.To != "ada@example.org" {
			t.Errorf("%+v", m)
		}
		head, parts := m.Parse(t)
		if head.Get("Auto-Submitted") != "auto-generated" || !strings.Contains(parts["text/plain"], h.App.URL()+"/verify#gatehouse_mt_") {
			t.Errorf("%v\n%s", head, parts["text/plain"])
		}
	})
}

// Issue 5: sign-in never waits for mail. The server holds the delivery's connection
// and says nothing, while people register, sign in from elsewhere and forget
// passwords; what they are told stands in the outbox meanwhile, and it stops in time.
func TestNobodyWaitsForAMailServerThatHangs(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		held := make(chan net.Conn, 100)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				held <- c
			}
		}()
		h := harness.Open(t, dbURL, "SMTP_URL=smtp://"+l.Addr().String(), harness.BehindProxy)
		const ada = "ada@example.org"
		h.Register(ada)
		h.Expect(200, "", harness.From("203.0.113.7", harness.OnLinux, harness.SignInAs(ada, harness.Passphrase)))
		h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": ada}))
		h.Eventually("a sign-in is answered while the delivery waits for a word", func() (string, bool) {
			c := <-held
			defer c.Close()
			h.Expect(200, "", harness.From("198.51.100.9", harness.OnIPhone, harness.SignInAs(ada, harness.Passphrase)))
			err := c.SetReadDeadline(time.Now().Add(time.Millisecond))
			if err == nil {
				_, err = c.Read(make([]byte, 1))
			}
			return fmt.Sprint(err), errors.Is(err, os.ErrDeadlineExceeded)
		})
		if n := len(h.Mailbox().All(ada)); n != 3 {
			t.Errorf("%d mails wait", n)
		}
	})
}

// C3: an address that the mail server takes no mail for is refused before the answer, by
// every call that would give it to an account, whether or not it has one already; a server
// that takes it gets the mail.
func TestCaseC3_AnAddressThatNoMailReachesIsRefused(t *testing.T) {
	const wide = "用户@example.org"
	for name, c := range map[string]struct{ ascii, refused bool }{"a server of ASCII alone": {true, true}, "one with SMTPUTF8": {false, false}} {
		t.Run(name, func(t *testing.T) {
			server := mailtest.New(t, mailtest.Options{NoUTF8: c.ascii})
			h := harness.Open(t, dbtest.SQLite(t), "SMTP_URL="+server.URL, "MAIL_FROM=auth@example.org")
			register := harness.Post("/v1/register", harness.Body{"email": wide, "password": harness.Passphrase})
			if !c.refused {
				h.Expect(202, "", register)
				h.Eventually("the mail comes", func() (string, bool) { return "", len(server.Mails()) == 1 })
				return
			}
			// It is known soon after the start, without a mail.
			h.Eventually("it is refused", func() (string, bool) {
				a := h.Do(register)
				return a.Text, a.Status == 400 && a.Str("code") == "invalid_email" && a.Str("field") == "email"
			})
			h.Register("ada@example.org")
			h.Expect(202, "", harness.Post("/v1/register", harness.Body{"email": "ada@bücher.example", "password": harness.Passphrase}))
			access := h.Login("ada@example.org").Str("access_token")
			h.Expect(400, "invalid_email", harness.Post("/v1/email/change", harness.Body{"email": wide, "current_password": harness.Passphrase}, access))
			h.Browser().Page(400, "not an email address that we can use", harness.Press("/register", harness.Body{"email": wide, "new_password": harness.Passphrase}))
			// Requesting a mail there reveals nothing, as for any other address.
			h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": "测试@example.org"}))
			if dead := h.Count(`SELECT COUNT(*) FROM outbox WHERE dead_at IS NOT NULL`); dead > 1 { // at most the one from before it was known
				h.Errorf("%d mails are dead", dead)
			}
		})
	}
}
