package web

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func basicOf(values ...string) *http.Request {
	return &http.Request{Header: http.Header{"Authorization": values}}
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestBasicTakesOneSpelling(t *testing.T) {
	for name, c := range map[string]struct{ id, secret, header string }{
		"plain":           {"app", "gatehouse_cs_Ab-_9", "Basic " + b64("app:gatehouse_cs_Ab-_9")},
		"any case":        {"app", "s", "bAsIc " + b64("app:s")},
		"form-encoded":    {"a b", "s:+%", "Basic " + b64(url.QueryEscape("a b")+":"+url.QueryEscape("s:+%"))},
		"colon in secret": {"app", "s:t", "Basic " + b64("app:s:t")},
		"umlaut":          {"ä", "ö", "Basic " + b64("%C3%A4:%C3%B6")},
	} {
		id, secret, ok := Basic(basicOf(c.header))
		if !ok || id != c.id || secret != c.secret {
			t.Errorf("%s: %q %q %v", name, id, secret, ok)
		}
	}
	for name, values := range map[string][]string{
		"none":              nil,
		"two":               {"Basic " + b64("a:b"), "Basic " + b64("a:b")},
		"bearer":            {"Bearer " + b64("a:b")},
		"empty":             {""},
		"scheme alone":      {"Basic"},
		"no colon":          {"Basic " + b64("ab")},
		"no id":             {"Basic " + b64(":b")},
		"no secret":         {"Basic " + b64("a:")},
		"no base64":         {"Basic a:b"},
		"url alphabet":      {"Basic " + strings.NewReplacer("+", "-", "/", "_").Replace(b64("a:\xfb\xff\xfe"))},
		"no padding":        {"Basic " + strings.TrimRight(b64("a:b1"), "=")},
		"odd last bits":     {"Basic YTpiMR=="},
		"line break":        {"Basic " + b64("a:b")[:2] + "\n" + b64("a:b")[2:]},
		"broken escape":     {"Basic " + b64("a:%zz")},
		"cut escape":        {"Basic " + b64("a%:b")},
		"invalid UTF-8":     {"Basic " + b64("a:\xff")},
		"escaped NUL":       {"Basic " + b64("a:%00")},
		"too long":          {"Basic " + b64("a:"+strings.Repeat("x", 2000))},
		"with a parameter":  {"Basic " + b64("a:b") + ", charset=utf-8"},
		"followed by space": {"Basic " + b64("a:b") + " "},
	} {
		if id, secret, ok := Basic(basicOf(values...)); ok {
			t.Errorf("%s was taken as %q %q", name, id, secret)
		}
	}
}

func FuzzBasic(f *testing.F) {
	f.Add("Basic " + b64("app:gatehouse_cs_x"))
	f.Add("Basic " + b64("a%20b:%2B"))
	f.Add("basic  " + b64(":"))
	f.Fuzz(func(t *testing.T, header string) {
		id, secret, ok := Basic(basicOf(header))
		if !ok {
			return
		}
		again, secondly, ok := Basic(basicOf("Basic " + b64(url.QueryEscape(id)+":"+url.QueryEscape(secret))))
		if !ok || again != id || secondly != secret {
			t.Errorf("%q is %q %q, and written again %q %q", header, id, secret, again, secondly)
		}
	})
}
