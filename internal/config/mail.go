package config

import (
	"net/netip"
	"net/url"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/mail"
)

const mendSMTP = "Write smtp://USER:PASSWORD@HOST:587 or smtps://USER:PASSWORD@HOST:465, with each of % / ? # @ : in a password percent-encoded." //nolint:gosec // a form, no secret

// readSMTP takes the URL of a mail server.
func readSMTP(r *reading) {
	s, err := mail.Parse(r.value)
	if err != nil {
		r.refuse("It is no mail server: "+err.Error()+".", mendSMTP)
		return
	}
	if s.Host != "localhost" && !hostname.MatchString(strings.ToLower(s.Host)) {
		if _, err := netip.ParseAddr(s.Host); err != nil {
			r.refuse("Its host is neither a name nor an address.", mendSMTP)
			return
		}
	}
	r.c.SMTPURL = Secret(r.value)
}

// clearMail reports whether mails would travel to another machine in the clear.
func clearMail(c *Config) bool {
	if c.SMTPURL == "" {
		return false
	}
	s, err := mail.Parse(c.SMTPURL.Reveal())
	return err == nil && s.Clear()
}

func tellClearMail(r *reading) {
	if !r.c.Production() && clearMail(r.c) {
		r.tell("Mails travel to another machine in the clear, links and codes included. Production refuses that.")
	}
}

func refuseClearMail(r *reading) {
	if clearMail(r.c) {
		r.refuse("Mails would travel to another machine in the clear, links and codes included.", "Leave tls=off out, or write smtps://.")
	}
}

// mailFrom is the default of MAIL_FROM. It is empty if PUBLIC_URL is at fault.
func mailFrom(c *Config) string {
	u, err := url.Parse(c.PublicURL)
	if err != nil || u.Hostname() == "" {
		return ""
	}
	host := u.Hostname()
	if _, err := netip.ParseAddr(host); err == nil {
		host = "localhost"
	}
	return "no-reply@" + host
}

func readMailFrom(r *reading) {
	from, err := mail.ParseFrom(r.value)
	if err != nil {
		r.refuse("It can't be a sender: "+err.Error()+".", "Write an address, such as no-reply@acme.com, or Acme <no-reply@acme.com>.")
		return
	}
	r.c.MailFrom = from
}
