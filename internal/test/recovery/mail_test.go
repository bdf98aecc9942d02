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
	if _, text := devMail(h, ""); !strings.Contains(text, "None yet") {
		t.Error(text)
	}
	h.Register("ada@example.org")
	res, text := devMail(h, "")
	if res.StatusCode != 200 || !strings.Contains(text, "ada@example.org") || !strings.Contains(text, `<a href="`+h.App.URL()+`/verify#gatehouse_mt_`) {
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
