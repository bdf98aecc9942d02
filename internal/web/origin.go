package web

import (
	"net/http"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/event"
)

// maxUserAgent is the size in bytes of the longest user agent that is kept.
const maxUserAgent = 256

// Origin returns where the request came from. The address is that of the
// connection's other end; no header is believed.
func Origin(r *http.Request) event.Origin {
	o := event.Origin{Address: clientAddress(r), UserAgent: printable(r.UserAgent(), maxUserAgent)}
	if x := exchangeOf(r.Context()); x != nil {
		o.RequestID = x.id
	}
	return o
}

// clientAddress returns the address of the connection's other end: IPv4 as
// IPv4 even where it came in over an IPv6 socket, and without a zone, which
// means something on this machine only. It is invalid if there is none.
func clientAddress(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// printable returns text of a stranger's in a form that can be stored, logged
// and shown: at most limit bytes, cut between characters, with U+FFFD for each
// byte that is no UTF-8 and each character that does not print (control
// characters, and those that reorder the text around them).
func printable(s string, limit int) string {
	if len(s) <= limit && isPlainASCII(s) {
		return s
	}
	var b strings.Builder
	for _, c := range s {
		if !unicode.IsPrint(c) {
			c = utf8.RuneError
		}
		if b.Len()+utf8.RuneLen(c) > limit {
			break
		}
		b.WriteRune(c)
	}
	return b.String()
}

func isPlainASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
