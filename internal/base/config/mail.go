package config

import (
	"net/netip"
	"net/url"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/mail"
)

//nolint:gosec // a form, no secret
const mendSMTP = "Write smtp://USER:PASSWORD@HOST:587 or smtps://USER:PASSWORD@HOST:465, with each of % / ? # @ : in a password percent-encoded."

// readSMTP takes the URL of a mail server.
func readSMTP(r *reading) {
	s, err := mail.Parse(r.value)
	if err != nil {
		r.refuse("It is not a mail server's URL: "+err.Error()+".", mendSMTP)
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

func warnClearMail(r *reading) {
	if !r.c.Production() && clearMail(r.c) {
		r.warn("Mails are sent to another machine unencrypted, links and codes included. Production refuses that.")
	}
}

func refuseClearMail(r *reading) {
	if clearMail(r.c) {
		r.refuse("Mails would be sent to another machine unencrypted, links and codes included.", "Leave tls=off out, or write smtps://.")
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

// mailSettings are the rows of the table about registration, and the mails that come of it.
var mailSettings = []setting{
	{
		name: "EMAIL_VERIFICATION", initial: "optional",
		derive: func(c *Config) string {
			if c.Production() {
				return string(VerificationRequired)
			}
			return string(VerificationOptional)
		},
		meaning:    "`required`: an account signs in only once its address is verified; or `optional`.",
		production: "`required`, and `optional` is refused",
		field:      choice(func(c *Config) *Verification { return &c.EmailVerification }, nil, VerificationOptional, VerificationRequired),
		safe: func(r *reading) {
			if r.c.EmailVerification == VerificationOptional {
				r.refuse("Anyone could sign in under an address that is not theirs.", "Write required, or remove it.")
			}
		},
	},
	{
		name: "REGISTRATION", initial: "open",
		meaning: "`open`: anyone may register; `invite`: only people whom an administrator invites, who set their password from the mail; `closed`: accounts are " +
			"created only on the command line.",
		field: choice(func(c *Config) *Registration { return &c.Registration }, nil, RegistrationOpen, RegistrationInvite, RegistrationClosed),
	},
	{
		name: "SMTP_URL", cover: passwordCovered, unset: "none",
		meaning: "The mail server to send through: `smtp://USER:PASSWORD@HOST:587` with STARTTLS, or `smtps://…:465`. `?ca=PATH` names an authority of " +
			"your own. " +
			"`?tls=off` after `smtp://` does without TLS, for a server on this machine. See [guides/mail.md](guides/mail.md).",
		production: "`tls=off` for any host but loopback is refused. Unset, mails stay queued, and `/readyz` warns about it; in " +
			"development they are shown at `/dev/mail`",
		field: field{read: readSMTP, show: func(c *Config) string { return c.SMTPURL.Reveal() }},
		check: warnClearMail, safe: refuseClearMail,
	},
	{
		name: "MAIL_FROM", initial: "no-reply@ and PUBLIC_URL's host", derive: mailFrom,
		meaning:    "The sender of mails: an address, or `Acme <no-reply@acme.com>`.",
		production: "required with SMTP_URL",
		field:      field{read: readMailFrom, show: func(c *Config) string { return c.MailFrom.String() }},
		safe: func(r *reading) {
			if r.source == FromDefault && r.c.SMTPURL != "" {
				r.refuse("It is required in production where SMTP_URL is set: mail servers accept only senders that they know.",
					"Write the address that your mail server lets you send from.")
			}
		},
	},
	{
		name: "MAIL_TEMPLATES", unset: "none",
		meaning: "A folder with mail templates that replace the built-in ones: see [guides/mail.md](guides/mail.md). All errors in it are reported at startup.",
		field:   field{read: func(r *reading) { r.c.MailTemplates = r.value }, show: func(c *Config) string { return c.MailTemplates }},
	},
}
