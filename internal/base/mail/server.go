// Package mail sends mails through an SMTP server: the one that an operator has
// set, over TLS unless it is on this machine, with a timeout.
package mail

import (
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// Server is where mails are handed over.
type Server struct {
	Host           string
	Port           int
	User, Password string
	// Implicit is TLS from the first byte (smtps); StartTLS is required before
	// anything is said. With neither everything travels in the clear.
	Implicit, StartTLS bool
	// Auth is the mechanism by which the password is said, such as PLAIN; empty for the
	// best that the server offers.
	Auth string
	// CA is the file of an authority of one's own; empty for the system's.
	CA string
}

// Parse reads smtp://USER:PASSWORD@HOST:PORT or smtps://…. Behind smtp, STARTTLS is
// required for any host but this machine, unless ?tls=off. ?ca=PATH names an
// authority of one's own, and asks for TLS; ?auth=plain, login or scram-sha-256 is how
// the password is said. An error repeats nothing of the URL.
func Parse(s string) (Server, error) {
	u, err := parseURL(s)
	if err != nil || u.Host == "" || u.Hostname() == "" || strings.ContainsAny(u.Hostname(), "% \t@") {
		return Server{}, errors.New("it is not a URL that can be read")
	}
	out := Server{Host: u.Hostname()}
	switch u.Scheme {
	case "smtps":
		out.Implicit, out.Port = true, 465
	case "smtp":
		out.Port = 587
		out.StartTLS = out.Remote()
	default:
		return Server{}, errors.New("it begins with neither smtp:// nor smtps://")
	}
	if u.Path != "" && u.Path != "/" || u.Fragment != "" || u.Opaque != "" {
		return Server{}, errors.New("something follows the host that has no meaning here; an @, /, ? or # in a password must be percent-encoded")
	}
	if p := u.Port(); p != "" {
		if out.Port, err = strconv.Atoi(p); err != nil || out.Port < 1 || out.Port > 65535 {
			return Server{}, errors.New("its port is not a number from 1 to 65535")
		}
	}
	if u.User != nil {
		password, set := u.User.Password()
		if out.User, out.Password = u.User.Username(), password; !set || out.User == "" || out.Password == "" {
			return Server{}, errors.New("it names a user and no password, or a password and no user")
		}
	}
	err = out.options(u.RawQuery)
	return out, err
}

// parseURL is url.Parse that takes in a user and password what can mean nothing else
// there, and what RFC 3986 wants encoded all the same: ^ { | } " < > \ ` and letters
// outside ASCII.
func parseURL(s string) (*url.URL, error) {
	if scheme, rest, ok := strings.Cut(s, "://"); ok {
		if at := strings.LastIndexByte(rest, '@'); at > 0 && !strings.ContainsAny(rest[:at], "/?#") {
			var b strings.Builder
			for _, c := range []byte(rest[:at]) {
				if c > '~' || strings.IndexByte("^{|}\"<>\\`", c) >= 0 {
					fmt.Fprintf(&b, "%%%02X", c)
				} else {
					b.WriteByte(c)
				}
			}
			s = scheme + "://" + b.String() + rest[at:]
		}
	}
	return url.Parse(s)
}

func (s *Server) options(query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("its parameters can't be read")
	}
	for name, list := range values {
		if len(list) != 1 || list[0] == "" || !slices.Contains([]string{"ca", "tls", "auth"}, name) {
			return errors.New("it has a parameter that is neither ca=PATH nor tls=off nor auth=plain")
		}
	}
	if s.CA = values.Get("ca"); s.CA != "" && !s.Implicit {
		s.StartTLS = true
	}
	if s.Auth = strings.ToUpper(values.Get("auth")); s.Auth != "" && (!slices.Contains(mechanisms, s.Auth) || s.User == "") {
		return errors.New("auth is plain, login or scram-sha-256, and only where there is a user with a password")
	}
	if t := values.Get("tls"); t != "" {
		if t != "off" || s.Implicit || s.CA != "" {
			return errors.New("tls may only be off, with smtp:// and without ca")
		}
		s.StartTLS = false
	}
	return nil
}

// Remote reports whether the server may be another machine.
func (s Server) Remote() bool {
	if s.Host == "localhost" {
		return false
	}
	a, err := netip.ParseAddr(s.Host)
	return err != nil || !a.IsLoopback()
}

// Clear reports whether mails would travel to another machine in the clear.
func (s Server) Clear() bool { return s.Remote() && !s.Implicit && !s.StartTLS }

// Masked returns the URL as it may be shown: without its password.
func Masked(s string) string {
	u, err := parseURL(s)
	if err != nil {
		return ""
	}
	return strings.Replace(u.Redacted(), ":xxxxx@", ":*****@", 1)
}

func (s Server) address() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// From is who sends.
type From struct{ Name, Address string }

// ParseFrom reads an address, or a name and an address: Acme <auth@acme.com>. The
// domain is kept in its ASCII form, which every server understands.
func ParseFrom(s string) (From, error) {
	a, err := mail.ParseAddress(s)
	if err != nil {
		return From{}, errors.New("it is neither an email address nor a name with one in <>")
	}
	ascii, wide, err := split(a.Address)
	if err != nil || wide {
		return From{}, errors.New("its address can't be written in ASCII, and not every server accepts that")
	}
	if strings.ContainsFunc(a.Name, control) {
		return From{}, errors.New("its name contains a character that can't be printed")
	}
	return From{Name: a.Name, Address: ascii}, nil
}

// String writes what ParseFrom reads.
func (f From) String() string {
	if f.Name == "" {
		return f.Address
	}
	plain := f.Name + " <" + f.Address + ">"
	if again, err := ParseFrom(plain); err != nil || again != f {
		return (&mail.Address{Name: f.Name, Address: f.Address}).String() // quoted
	}
	return plain
}

// Domain is the part after the @.
func (f From) Domain() string { return f.Address[strings.LastIndexByte(f.Address, '@')+1:] }

func control(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r <= 0x9f }

// split returns the address with its domain in ASCII (IDNA 2008), and whether the
// rest is not, so that it needs SMTPUTF8 (RFC 6531).
func split(address string) (ascii string, wide bool, err error) {
	at := strings.LastIndexByte(address, '@')
	if at < 1 || strings.ContainsFunc(address, control) || strings.ContainsAny(address, " <>\"(),:;[\\]") || strings.Contains(address[:at], "@") {
		return "", false, errors.New("it is not an email address")
	}
	domain, err := idna.Lookup.ToASCII(address[at+1:])
	if err != nil || domain == "" {
		return "", false, errors.New("the part after the @ is not a domain")
	}
	for _, b := range []byte(address[:at]) {
		wide = wide || b >= 0x80
	}
	return address[:at] + "@" + domain, wide, nil
}
