package web

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxReturnTo is the longest address that is returned to, in bytes: longer than any that
// nginx takes from a client by default (large_client_header_buffers, 8 KiB).
const maxReturnTo = 12 << 10

// ReturnTo returns where a person goes after signing in: exactly the address that was asked for,
// if it is on this server or at an application's origin (CORS_ORIGINS); for anything else, and for
// nothing, it is home.
//
// Only the origin is looked at: what follows it can't make it another host, whatever a
// browser, or an application behind a path, reads into it. So a path that browsers would take for
// a host, such as //example.org, is returned with the origin before it, and what can't stand in a
// header is percent-encoded.
func (c *Cookies) ReturnTo(s, home string) string {
	if s = headerText(s); s == "" || len(s) > maxReturnTo {
		return home
	}
	if s[0] == '/' && !hostLike(s) {
		return s
	}
	if rest, ok := under(s, c.Origin); ok {
		if hostLike(rest) {
			return c.Origin + rest
		}
		return rest
	}
	for _, o := range c.Applications {
		if rest, ok := under(s, o); ok {
			return o + rest
		}
	}
	return home
}

// under returns what follows an origin, from its path on.
func under(s, origin string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(s, origin)
	switch {
	case !ok || origin == "":
		return "", false
	case rest == "" || rest[0] == '?' || rest[0] == '#':
		return "/" + rest, true
	}
	return rest, rest[0] == '/'
}

// hostLike reports whether browsers take a path for a host: they read a backslash as a slash.
func hostLike(path string) bool {
	return len(path) > 1 && path[0] == '/' && (path[1] == '/' || path[1] == '\\')
}

// headerText percent-encodes what can't stand in a header, or what browsers leave out of an
// address: control characters, spaces, and all that is not ASCII.
func headerText(s string) string {
	return escape(s, func(b byte) bool { return b <= ' ' || b >= 0x7f })
}

func escape(s string, must func(byte) bool) string {
	const digits = "0123456789ABCDEF"
	var out strings.Builder
	for i := range len(s) {
		if b := s[i]; must(b) {
			out.Write([]byte{'%', digits[b>>4], digits[b&15]})
		} else {
			out.WriteByte(b)
		}
	}
	return out.String()
}

// longParameter is from how many bytes on an address is escaped no more than it has to be: some
// proxies take no more than 8 KiB of a request line.
const longParameter = 3 << 10

// WithReturnTo returns the address of the sign-in page that leads back.
func WithReturnTo(login, back string) string {
	if back == "" {
		return login
	}
	if escaped := url.QueryEscape(back); len(escaped) <= longParameter {
		return login + "?return_to=" + escaped
	}
	return login + "?return_to=" + escape(headerText(back), func(b byte) bool { return strings.IndexByte("%&+#;\\\"<>`{}|^", b) >= 0 })
}

// Parameter returns a parameter of a page's address, or nothing. Pages are led to by mails,
// messengers and search engines, which add parameters of their own: others are passed over, and
// what is not well formed is taken as it is. Of several of one name the first counts. (The API is strict: [Query].)
func Parameter(r *http.Request, name string) string {
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		key, value, _ := strings.Cut(pair, "=")
		if key != name {
			continue
		}
		if plain, err := url.QueryUnescape(value); err == nil {
			return plain
		}
		return value
	}
	return ""
}

// PageOf returns the address of the page that a proxy asks about, as [Cookies.ReturnTo] takes it:
// empty where it is not ours. A proxy may leave the port out of X-Forwarded-Host, as nginx's $host does.
func (c *Cookies) PageOf(f Forwarded) string {
	if c.ReturnTo(f.URL, "") != "" {
		return f.URL
	}
	scheme, rest, ok := strings.Cut(f.URL, "://")
	host, path, slash := strings.Cut(rest, "/")
	own, err := url.Parse(c.Origin)
	if !ok || !slash || err != nil || own.Scheme != scheme || host == "" || own.Hostname() != host || own.Port() == "" {
		return ""
	}
	return c.Origin + "/" + path
}

// withoutDefaultPort takes the port off a host that browsers leave out.
func withoutDefaultPort(scheme, host string) string {
	name, port, err := net.SplitHostPort(host)
	if err != nil || !(scheme == "https" && port == "443" || scheme == "http" && port == "80") {
		return host
	}
	if strings.Contains(name, ":") {
		return "[" + name + "]"
	}
	return name
}

const (
	// returnCookie keeps where a person wanted to go while they register, confirm their address or
	// set a new password.
	returnCookie = "gatehouse_to"
	// returnLife is for how long: the way through a mailbox, and not much more.
	returnLife = time.Hour
	// returnCookieMost keeps the cookie below the 4,096 bytes that browsers take, with its name and
	// attributes, and the header below what applications take.
	returnCookieMost = 3 << 10
)

// PutReturnTo has the browser keep where the person wants to go. What is too long even when it is
// compressed is not kept.
func (c *Cookies) PutReturnTo(w http.ResponseWriter, to string) {
	value := base64.RawURLEncoding.EncodeToString(append([]byte{'-'}, to...))
	if len(value) > returnCookieMost {
		var b bytes.Buffer
		b.WriteByte('z')
		z, err := flate.NewWriter(&b, flate.BestCompression)
		if err != nil {
			return // a level that there is
		}
		_, _ = z.Write([]byte(to)) // memory takes everything
		_ = z.Close()
		value = base64.RawURLEncoding.EncodeToString(b.Bytes())
	}
	if len(value) <= returnCookieMost {
		c.set(w, returnCookie, value, returnLife, false)
	}
}

// Returning returns where the person wanted to go, as PutReturnTo was given, or nothing. It comes from
// the browser, so it goes through [Cookies.ReturnTo] again.
func (c *Cookies) Returning(r *http.Request) string {
	b, err := base64.RawURLEncoding.DecodeString(c.get(r, returnCookie))
	if err != nil || len(b) == 0 {
		return ""
	}
	if b[0] != 'z' {
		return string(b[1:])
	}
	text, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(b[1:])), maxReturnTo+1))
	if err != nil {
		return ""
	}
	return string(text)
}

// ClearReturnTo takes it away, if the browser has it.
func (c *Cookies) ClearReturnTo(w http.ResponseWriter, r *http.Request) {
	if len(r.CookiesNamed(c.name(returnCookie))) > 0 {
		c.set(w, returnCookie, "", 0, false)
	}
}
