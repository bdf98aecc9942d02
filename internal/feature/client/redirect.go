package client

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// privateScheme is a scheme that belongs to a native application: a domain name of its maker, reversed (RFC 8252 section 7.1).
var privateScheme = regexp.MustCompile(`^[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+$`)

// hosts are names and addresses as browsers write them.
var hosts = regexp.MustCompile(`^([a-z0-9]([a-z0-9.-]*[a-z0-9])?|[0-9a-f:]+)$`)

// loopback are the hosts of a person's own computer.
var loopback = []string{"127.0.0.1", "[::1]", "localhost"}

// checkURI tells whether an application may register a URI. What browsers and servers read in two ways is refused
// (RFC 9700 section 4.1).
func checkURI(field, uri string, t Type, development bool) error {
	code := "invalid_redirect_uri"
	if field == backchannelField {
		code = invalidBackchannel
	}
	bad := func(why string) error { return fault.Field(field, code, "This address can't be registered: %s.", why) }
	if len(uri) > mostURI {
		return bad("it is longer than 2 KiB")
	}
	if strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`*\"<>^{}|`+"`", r) }) {
		return bad("it has a character that must be percent-encoded, or a *: patterns are not taken")
	}
	u, err := url.Parse(uri)
	switch {
	case err != nil || u.Scheme == "":
		return bad("it is no absolute address, such as https://app.example.com/callback")
	case strings.Contains(uri, "#"):
		return bad("it has a fragment (#)")
	case u.User != nil:
		return bad("it has a user name")
	case !strings.HasPrefix(uri, u.Scheme+":"):
		return bad("write the scheme in small letters")
	case slices.ContainsFunc(strings.Split(u.EscapedPath(), "/"), dotSegment):
		return bad("its path has a . or .. segment")
	}
	return checkScheme(u, t, development, bad)
}

func dotSegment(s string) bool {
	s = strings.ReplaceAll(strings.ToLower(s), "%2e", ".")
	return s == "." || s == ".."
}

func checkScheme(u *url.URL, t Type, development bool, bad func(string) error) error {
	switch u.Scheme {
	case "https", "http":
		if u.Opaque != "" || !hosts.MatchString(u.Hostname()) {
			return bad("write its host, in small letters")
		}
		if port := u.Port(); port != "" {
			if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || port != strconv.Itoa(n) {
				return bad("its port is none")
			}
		} else if strings.HasSuffix(u.Host, ":") {
			return bad("its port is missing")
		}
		if u.Scheme == "https" || development || isLoopback(u) && t != SPA {
			return nil
		}
		return bad("http is for a person's own computer alone (127.0.0.1, [::1], localhost): write https")
	}
	if t == Native && privateScheme.MatchString(u.Scheme) {
		return nil
	}
	if t == Native {
		return bad("a scheme of its own needs a dot: a domain of yours, reversed, such as com.example.app:/callback")
	}
	return bad("it must begin with https://")
}

func isLoopback(u *url.URL) bool {
	host := u.Host
	if port := u.Port(); port != "" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return slices.Contains(loopback, host)
}

// Redirects reports whether answers may go to an address: it is one of those that are registered, byte for byte. A native
// application's on loopback that was registered without a port takes any (RFC 8252 section 7.3).
func (c Client) Redirects(asked string) bool {
	return slices.ContainsFunc(c.Settings.RedirectURIs, func(registered string) bool {
		return registered == asked || c.Type == Native && anyPort(registered, asked)
	})
}

// anyPort reports whether an address is a registered one on loopback, with a port.
func anyPort(registered, asked string) bool {
	for _, host := range loopback {
		rest, ok := strings.CutPrefix(registered, "http://"+host)
		if !ok || strings.HasPrefix(rest, ":") {
			continue
		}
		behind, ok := strings.CutPrefix(asked, "http://"+host+":")
		if !ok {
			return false
		}
		digits := len(behind) - len(strings.TrimLeft(behind, "0123456789"))
		port, err := strconv.Atoi(behind[:digits])
		return err == nil && port >= 1 && port <= 65535 && strconv.Itoa(port) == behind[:digits] && behind[digits:] == rest
	}
	return false
}

// Impersonable reports whether any program on a person's computer could take the answer to an address, and pretend to be the
// application: on loopback, or under a scheme of its own (RFC 8252 section 8.6).
func Impersonable(redirect string) bool { return !strings.HasPrefix(redirect, "https://") }

// Origin returns the origin of an address as a page's policy names it: scheme and host, or a private scheme alone.
func Origin(uri string) string {
	u, err := url.Parse(uri)
	switch {
	case err != nil || u.Scheme == "":
		return ""
	case u.Scheme == "https" || u.Scheme == "http":
		return u.Scheme + "://" + u.Host
	}
	return u.Scheme + ":"
}
