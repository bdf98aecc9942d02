package web

import (
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

// maxUserAgent is the size in bytes of the longest user agent that is stored.
const maxUserAgent = 256

// Origin returns where the request came from: the connection's remote address, or
// the address that trusted proxies name.
func Origin(r *http.Request) event.Origin {
	o := event.Origin{Address: callerOf(r).address, UserAgent: printable(r.UserAgent(), maxUserAgent)}
	if x := exchangeOf(r.Context()); x != nil {
		o.RequestID, o.TraceID = x.id, x.trace
	}
	return o
}

// printable returns text of a stranger's in a form that can be stored, logged
// and shown: at most limit bytes, cut between characters, with U+FFFD for each
// byte that is not UTF-8 and each character that does not print (control
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
