package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/mail"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
)

const (
	// mailPatience is how long the mail server has for each phase of the dialogue.
	mailPatience = 5 * time.Second
	// namePatience is how long DNS has for an answer.
	namePatience = 5 * time.Second
)

// mailChecks ask the mail server, and DNS, what receivers of our mails ask it.
func (e Deployment) mailChecks() []doctor.Check {
	rehearse := sync.OnceValues(e.rehearse)
	return []doctor.Check{
		e.ofMail("tls", "Mails leave encrypted", doctor.High, func(context.Context) doctor.Answer {
			s, err := mail.Parse(e.Config.SMTPURL.Reveal())
			switch {
			case err != nil:
				return doctor.Fail("Set SMTP_URL to what `gatehouse config check` takes.", "SMTP_URL: %v", err)
			case s.Clear():
				return doctor.Fail("Write smtps:// in SMTP_URL, or smtp:// without tls=off: mails have links that open accounts.",
					"everything goes to another machine in the clear")
			case !s.Remote() && !s.Implicit && !s.StartTLS:
				return doctor.Pass("the mail server is on this machine")
			}
			r, err := rehearse()
			if r.TLS == 0 {
				return doctor.Skip("See MAIL-2/dialogue.", fmt.Errorf("no connection with TLS came about: %w", err))
			}
			return doctor.Pass("%s, and nothing is said before it", tls.VersionName(r.TLS))
		}),
		e.ofMail("dialogue", "The mail server takes mails from us", doctor.High, func(context.Context) doctor.Answer {
			r, err := rehearse()
			if err != nil {
				return doctor.Fail("gatehouse mail test ADDRESS shows what it answers; see MAIL_FROM, and the password in SMTP_URL.", "%v", err)
			}
			return doctor.Pass("it took a sender and a recipient, and no mail; a password was asked for: %t", r.SignedIn)
		}),
		e.ofNames("spf", "Receivers know which servers send for MAIL_FROM (SPF)", doctor.Medium, e.spf),
		e.ofNames("dkim", "Receivers can check that mails are yours (DKIM)", doctor.Medium, e.dkim),
		e.ofNames("dmarc", "Receivers turn away who writes in your name (DMARC)", doctor.Medium, e.dmarc),
	}
}

// rehearse has a dialogue with the mail server, once for all checks, about a mail to those who operate it.
func (e Deployment) rehearse() (mail.Rehearsal, error) {
	sender, err := MailSender(e.Config, mailPatience)
	if err != nil {
		return mail.Rehearsal{}, err
	}
	to := e.Config.MailFrom.Address
	if len(e.Config.Alerts.MailTo) > 0 {
		to = e.Config.Alerts.MailTo[0]
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*mailPatience) // shared by checks: no one's context
	defer cancel()
	return sender.Rehearse(ctx, to)
}

// ofMail is a check that means nothing where no mails are sent: that is another's finding.
func (e Deployment) ofMail(name, title string, s doctor.Severity, ask func(context.Context) doctor.Answer) doctor.Check {
	return doctor.Check{ID: "MAIL-2", Name: name, Title: title, Severity: s, Ask: func(ctx context.Context) doctor.Answer {
		if !canMail(e.Config) {
			return doctor.Excuse("SMTP_URL is not set")
		}
		return ask(ctx)
	}}
}

// ofNames is a check of what DNS says of MAIL_FROM's domain.
func (e Deployment) ofNames(name, title string, s doctor.Severity, judge func(ctx context.Context, domain string) (doctor.Answer, error)) doctor.Check {
	return e.ofMail(name, title, s, func(ctx context.Context) doctor.Answer {
		domain := e.Config.MailFrom.Domain()
		if !strings.Contains(domain, ".") {
			return doctor.Excuse("MAIL_FROM is of " + domain + ", which is in nobody's DNS")
		}
		ctx, cancel := context.WithTimeout(ctx, namePatience)
		defer cancel()
		a, err := judge(ctx, domain)
		if err != nil {
			return doctor.Skip("See that DNS answers on this machine: dig TXT "+domain, err)
		}
		return a
	})
}

// texts returns the TXT records of a name that begin with a version; none if there is no such name.
func (e Deployment) texts(ctx context.Context, name, version string) (list []string, err error) {
	all, err := e.Names.LookupTXT(ctx, name+".")
	var none *net.DNSError
	if errors.As(err, &none) && none.IsNotFound {
		return nil, nil
	}
	for _, text := range all {
		if first, _, _ := strings.Cut(text, " "); strings.EqualFold(strings.TrimRight(first, "; "), version) || strings.HasPrefix(text, version+";") {
			list = append(list, text)
		}
	}
	return list, err
}

// spf looks for RFC 7208's record.
func (e Deployment) spf(ctx context.Context, domain string) (doctor.Answer, error) {
	list, err := e.texts(ctx, domain, "v=spf1")
	if err != nil {
		return doctor.Answer{}, err
	}
	mend := `A TXT record of ` + domain + `, such as "v=spf1 include:YOUR-MAIL-SERVICE -all"; your mail service says which.`
	if len(list) != 1 {
		return doctor.Fail(mend, "%s has %s, of which there must be one", domain, plural(len(list), "SPF record")), nil
	}
	for term := range strings.FieldsSeq(strings.ToLower(list[0])) {
		if term == "all" || term == "+all" || term == "?all" {
			return doctor.Fail(mend, "it lets everybody send: %s", list[0]), nil
		}
	}
	return doctor.Pass("%s", list[0]), nil
}

// usualSelectors are what mail services call their keys, where MAIL_DKIM_SELECTOR does not say it.
var usualSelectors = []string{"default", "mail", "dkim", "google", "selector1", "selector2", "s1", "s2",
	"k1", "k2", "key1", "smtp", "mx", "pm", "mandrill", "zoho"}

// dkim looks for a key of RFC 6376.
func (e Deployment) dkim(ctx context.Context, domain string) (doctor.Answer, error) {
	selectors := usualSelectors
	if s := e.Config.Doctor.DKIMSelector; s != "" {
		selectors = []string{s}
	}
	for _, selector := range selectors {
		name := selector + "._domainkey." + domain
		all, err := e.Names.LookupTXT(ctx, name+".")
		var none *net.DNSError
		if errors.As(err, &none) && none.IsNotFound {
			continue
		}
		if err != nil {
			return doctor.Answer{}, err
		}
		for _, text := range all {
			if why := weakDKIM(text); why != "" {
				return doctor.Fail("Have the mail service make a new key of 2048 bits, and publish it.", "%s: %s", name, why), nil
			}
		}
		return doctor.Pass("%s has a key", name), nil
	}
	if e.Config.Doctor.DKIMSelector != "" {
		return doctor.Fail("Publish the record that your mail service shows, under the name that it shows.", "%s._domainkey.%s is not there",
			e.Config.Doctor.DKIMSelector, domain), nil
	}
	return doctor.Skip("Set MAIL_DKIM_SELECTOR to what s= says in the DKIM-Signature of a mail: gatehouse mail test ADDRESS sends one.",
		errors.New("DNS does not list keys, and none has one of the usual names")), nil
}

// leastDKIM is how many bits of RSA receivers take for good (RFC 8301).
const leastDKIM = 1024

// weakDKIM says what is wrong with a key's record, or nothing.
func weakDKIM(text string) string {
	tags := map[string]string{"k": "rsa"}
	for tag := range strings.SplitSeq(text, ";") {
		name, value, _ := strings.Cut(tag, "=")
		tags[strings.TrimSpace(name)] = strings.Join(strings.Fields(value), "")
	}
	raw, err := base64.StdEncoding.DecodeString(tags["p"])
	switch {
	case tags["p"] == "" || err != nil:
		return "the key was revoked, or can't be read"
	case strings.Contains(tags["t"], "y"):
		return "it is marked as a test (t=y), which receivers need not believe"
	case tags["k"] != "rsa":
		return ""
	}
	key, err := x509.ParsePKIXPublicKey(raw)
	sized, ok := key.(interface{ Size() int })
	if err != nil || !ok {
		return "the key can't be read"
	}
	if bits := sized.Size() * 8; bits < leastDKIM {
		return fmt.Sprintf("a key of %d bits, which receivers don't believe", bits)
	}
	return ""
}

// dmarc looks for RFC 7489's record, of the domain or of the nearest above it that has one.
func (e Deployment) dmarc(ctx context.Context, domain string) (doctor.Answer, error) {
	const mend = `A TXT record of _dmarc.%s: "v=DMARC1; p=quarantine; rua=mailto:YOU"; read the reports for some weeks, then p=reject.`
	for at := domain; strings.Contains(at, "."); _, at, _ = strings.Cut(at, ".") {
		list, err := e.texts(ctx, "_dmarc."+at, "v=DMARC1")
		if err != nil {
			return doctor.Answer{}, err
		}
		if len(list) == 0 {
			continue
		}
		policy := ""
		for tag := range strings.SplitSeq(strings.ToLower(list[0]), ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(tag), "=")
			if name == "p" && policy == "" || name == "sp" && at != domain {
				policy = strings.TrimSpace(value)
			}
		}
		if len(list) > 1 || policy != "quarantine" && policy != "reject" {
			return doctor.Fail(fmt.Sprintf(mend, at), "_dmarc.%s says %s", at, strings.Join(list, " and ")), nil
		}
		return doctor.Pass("_dmarc.%s says %s", at, policy), nil
	}
	return doctor.Fail(fmt.Sprintf(mend, domain), "there is no record: receivers believe whoever writes in the name of %s", domain), nil
}
