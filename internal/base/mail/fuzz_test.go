package mail_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/mail"
)

// FuzzParse: what is accepted names a server, and never a clear connection to
// another machine that was not asked for; a refusal repeats nothing of it.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"smtp://mail.example.org", "smtps://ada:secret%40word@mail.example.org:465", "smtp://127.0.0.1:2525", "smtp://mail.example.org?tls=off",
		"smtp://[::1]:25/?ca=/etc/ca.pem", "smtp://ada@mail.example.org", "smtp://a:b@c@d", "http://mail.example.org", "smtp://x:99999", "smtps://x?tls=off",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		server, err := mail.Parse(s)
		switch {
		case err != nil && err.Error() == "":
			t.Error("a refusal that says nothing")
		case err == nil && (server.Host == "" || server.Port < 1 || server.Port > 65535 || (server.User == "") != (server.Password == "")):
			t.Errorf("%q: %+v", s, server)
		case err == nil && server.Clear() && !strings.Contains(s, "off"):
			t.Errorf("%q would send mails in the clear", s)
		case err == nil && server.Implicit && server.StartTLS:
			t.Errorf("%q asks for TLS twice", s)
		}
	})
}

// FuzzParseFrom: what is accepted can be written and read again, and nothing in it
// can begin another header.
func FuzzParseFrom(f *testing.F) {
	for _, s := range []string{
		"auth@example.org", "Acme <auth@example.org>", `"Acme, Inc." <auth@example.org>`, "=?utf-8?q?=0A?= <a@b.c>", "Bücher <a@bücher.example>", "a@b, c@d",
		"<a@b>", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		from, err := mail.ParseFrom(s)
		if err != nil {
			return
		}
		if strings.ContainsAny(from.Name+from.Address, "\r\n\x00") || strings.Count(from.Address, "@") != 1 || from.Domain() == "" {
			t.Errorf("%q: %+v", s, from)
		}
		if again, err := mail.ParseFrom(from.String()); err != nil || again != from {
			t.Errorf("%q is written as %q, which is %+v, %v", s, from, again, err)
		}
	})
}
