package page

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// FuzzForm: a form that is accepted means what net/url says that it means, each
// field once, as text that can be stored, and comes back from its own encoding;
// what is refused is a fault that repeats nothing.
func FuzzForm(f *testing.F) {
	for _, s := range []string{
		"", "token=t&email=ada%40example.org&password=correct+horse", "token=a&token=b", "token=%00", "token=%ff", "token=%zz", "token=a;email=b",
		"email=\xff", "a=b&c", "token=%EF%BF%BD", "password=%F0%9F%98%80&=", "token=a&Token=b",
	} {
		f.Add(s, "application/x-www-form-urlencoded", "")
	}
	f.Add("token=a", "multipart/form-data; boundary=x", "")
	f.Add("token=a", "application/x-www-form-urlencodedX", "")
	f.Add("token=a", "application/x-www-form-urlencoded; charset=utf-16", "")
	f.Add("token=a", "application/x-www-form-urlencoded", "https://evil.example")
	p := &Forms{Cookies: &web.Cookies{Secure: true, Origin: "http://gatehouse.test"}}
	names := []string{"token", "email", "password"}
	f.Fuzz(func(t *testing.T, body, contentType, origin string) {
		read := func(body string) (map[string]string, error) {
			r := httptest.NewRequest("POST", "http://gatehouse.test/setup?token=query&email=query", strings.NewReader(body))
			r.Header["Content-Type"] = []string{contentType}
			if origin != "" {
				r.Header["Origin"] = []string{origin}
			}
			return p.form(httptest.NewRecorder(), r, names...)
		}
		got, err := read(body)
		if err != nil {
			if e := fault.As(err); e == nil || e.Code == "" || e.Message == "" || got != nil {
				t.Fatalf("%q was refused by %#v", body, err)
			}
			return
		}
		want, err := url.ParseQuery(body)
		if err != nil {
			t.Fatalf("%q was accepted; net/url: %v", body, err)
		}
		again := url.Values{}
		for _, name := range names {
			value, there := got[name]
			if there != want.Has(name) || value != want.Get(name) || len(want[name]) > 1 {
				t.Fatalf("%q: %s is %q, and %q to net/url", body, name, value, want[name])
			}
			if !utf8.ValidString(value) || strings.ContainsAny(value, "\x00\ufffd") {
				t.Fatalf("%q: %s is %q", body, name, value)
			}
			if there {
				again.Set(name, value)
			}
		}
		back, err := read(again.Encode())
		if err != nil || len(back) != len(got) {
			t.Fatalf("%q is %q, and comes back as %q, %v", body, got, back, err)
		}
		for name := range got {
			if back[name] != got[name] {
				t.Fatalf("%q is %q, and comes back as %q", body, got, back)
			}
		}
	})
}
