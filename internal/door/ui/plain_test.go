package ui

import (
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

// A page that is kept is, whoever asked before, the very page that would have been drawn for this request:
// nobody gets another's token, text, language or nonce.
func TestKeptPagesAreNobodyElses(t *testing.T) {
	k := newKit(t, Config{})
	s, err := k.Parse(fstest.MapFS{"templates/in.html": {Data: []byte(`{{template "gate" .}}
{{define "title"}}{{.T "sign-in"}}{{end}}
{{define "content"}}{{template "problem" .}}<form method="post" action="/x">{{template "csrf" .}}
{{template "address" (part . "name" "email" "value" .D.Email)}}{{template "submit" (part . "button" (.T "sign-in"))}}</form>{{end}}`)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	type shown struct{ Email string }
	kept, random := 0, rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		path := "/login" + []string{"", "", "", "?lang=de", "?x=%22%3E"}[random.IntN(5)]
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("Accept-Language", []string{"en", "de", "ar"}[random.IntN(3)])
		v := k.View(r)
		v.D = shown{[]string{"", "", "ada@example.org", evil, fmt.Sprint(random.IntN(1000))}[random.IntN(5)]}
		v.CSRF = []string{"", "", "token of ada", "token of bob"}[random.IntN(4)]
		if random.IntN(4) == 0 {
			v.Problem = &Problem{Level: "bad", Title: fmt.Sprint("problem ", random.IntN(3))}
		}
		if _, ok := v.plain("in"); ok {
			kept++
		}
		got, err := s.drawPlain(v, "in")
		if err != nil {
			t.Fatal(err)
		}
		again := k.View(r)
		again.D, again.CSRF, again.Problem, again.Nonce = v.D, v.CSRF, v.Problem, v.Nonce
		want, err := s.draw(again, "in")
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Fatalf("%s of %+v: %s\nwant %s", path, v.D, got, want)
		}
		if n := strings.Count(string(got), v.Nonce); n < 2 || strings.Contains(string(got), s.plain.mark) {
			t.Fatalf("the nonce stands in it %d times: %s", n, got)
		}
	}
	if kept < 500 || len(s.plain.pages) > mostPlain {
		t.Errorf("%d pages could be kept, %d are", kept, len(s.plain.pages))
	}
}

// What can change without being another value is in no key.
func TestPlainTypes(t *testing.T) {
	type plain struct {
		S string
		B bool
		N int64
		M Markup
	}
	for _, c := range []struct {
		of   any
		want bool
	}{
		{nil, true}, {plain{}, true}, {struct{}{}, true}, {"text", false}, {&plain{}, false}, {[]string{}, false}, {struct{ P *plain }{}, false},
		{struct{ L []string }{}, false}, {struct{ A any }{}, false}, {struct{ F func() }{}, false}, {struct{ M map[string]string }{}, false},
	} {
		v := newKit(t, Config{}).view(nil)
		v.D = c.of
		if _, got := v.plain("x"); got != c.want {
			t.Errorf("%T: %v", c.of, got)
		}
	}
}
