package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// form has a field of each type that Decode takes.
type form struct {
	Email    string   `json:"email"`
	Password string   `json:"password" most:"65536"`
	Cookies  bool     `json:"cookies"`
	Count    int      `json:"count"`
	Large    int64    `json:"large,omitempty"`
	Name     *string  `json:"name"`
	Keep     *bool    `json:"keep"`
	Limit    *int     `json:"limit"`
	Roles    []string `json:"roles"`
}

func containsAny(s string, parts ...string) bool {
	for _, p := range parts {
		if strings.Contains(s, p) {
			return true
		}
	}
	return false
}

// formHouse answers what it decoded.
func formHouse(t *testing.T, change func(*Stack, *http.Server)) *house {
	h := newHouse(t, change)
	h.handle("POST /form", func(w http.ResponseWriter, r *http.Request) error {
		var in form
		if err := Decode(w, r, &in); err != nil {
			return err
		}
		return WriteJSON(w, http.StatusOK, in)
	})
	h.handle("POST /optional", func(w http.ResponseWriter, r *http.Request) error {
		in := form{Email: "default"}
		if err := DecodeOptional(w, r, &in); err != nil {
			return err
		}
		return WriteJSON(w, http.StatusOK, in)
	})
	return h
}

func p[T any](v T) *T { return &v }

func TestDecodeAccepts(t *testing.T) {
	h := formHouse(t, nil)
	tests := []struct {
		body string
		want form
	}{
		{`{}`, form{}},
		{" \t\r\n{ } \n", form{}},
		{`{"email":"a@b.c","password":"  p\"\\/\b\f\n\r\té😀\ud83d\ude00 "}`, form{Email: "a@b.c", Password: "  p\"\\/\b\f\n\r\té😀😀 "}},
		{`{"\u0065mail":"x"}`, form{Email: "x"}},
		{`{"cookies" : true , "count" : -12 }`, form{Cookies: true, Count: -12}},
		{`{"cookies":false,"count":-0,"large":9223372036854775807}`, form{Large: 9223372036854775807}},
		{`{"name":null,"keep":null,"limit":null}`, form{}},
		{`{"name":"","keep":false,"limit":0}`, form{Name: p(""), Keep: p(false), Limit: p(0)}},
		{`{"roles":[]}`, form{Roles: []string{}}},
		{`{"roles":[ "a" , "b" ]}`, form{Roles: []string{"a", "b"}}},
		{`{"password":"` + strings.Repeat("x", MaxBody-15) + `"}`, form{Password: strings.Repeat("x", MaxBody-15)}},
	}
	for _, test := range tests {
		a := h.do(t, "POST", "/form", test.body, "Content-Type", "application/json")
		var got form
		if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != 200 {
			t.Errorf("%.60s: %v", test.body, a)
			continue
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%.60s (-want +got):\n%s", test.body, diff)
		}
	}
}

// ASVS 1.5.2, 1.5.3, 2.2.1, 15.3.3, 15.3.5, 15.3.7. The value "hunter2" stands
// for a password and may show in no answer and in no log.
func TestDecodeRefuses(t *testing.T) {
	h := formHouse(t, nil)
	tests := []struct {
		name, body  string
		code, field string
	}{
		{"empty", ``, "empty_body", ""},
		{"blank", " \r\n\t ", "empty_body", ""},
		{"text", `hunter2`, "invalid_json", ""},
		{"string", `"hunter2"`, "not_an_object", ""},
		{"number", `7`, "not_an_object", ""},
		{"null", `null`, "not_an_object", ""},
		{"list", `[{"email":"hunter2"}]`, "not_an_object", ""},
		{"byte order mark", "\ufeff{}", "invalid_json", ""},
		{"open", `{`, "invalid_json", ""},
		{"open value", `{"password":"hunter2`, "invalid_json", "password"},
		{"no colon", `{"password" "hunter2"}`, "invalid_json", "password"},
		{"no comma", `{"email":"a" "password":"hunter2"}`, "invalid_json", ""},
		{"comma at the end", `{"email":"hunter2",}`, "invalid_json", ""},
		{"comma at the start", `{,"email":"hunter2"}`, "invalid_json", ""},
		{"wrong brace", `{"email":"hunter2"]`, "invalid_json", ""},
		{"comment", `{/* hunter2 */}`, "invalid_json", ""},
		{"single quotes", `{'email':'hunter2'}`, "invalid_json", ""},
		{"bare name", `{email:"hunter2"}`, "invalid_json", ""},
		{"bare value", `{"password":hunter2}`, "invalid_json", "password"},
		{"line break in a string", "{\"password\":\"hunter2\n\"}", "invalid_json", "password"},
		{"unknown escape", `{"password":"hunter2\x41"}`, "invalid_json", "password"},
		{"NaN", `{"count":NaN}`, "invalid_json", "count"},
		{"leading zero", `{"count":012}`, "invalid_json", ""},
		{"hexadecimal", `{"count":0x1}`, "invalid_json", ""},
		{"two objects", `{} {"password":"hunter2"}`, "trailing_data", ""},
		{"text behind", `{}hunter2`, "trailing_data", ""},
		{"brace behind", `{}}`, "trailing_data", ""},
		{"comma behind", `{},`, "trailing_data", ""},
		{"NUL behind", "{}\x00", "trailing_data", ""},
		{"unknown", `{"hunter3":"hunter2"}`, "unknown_field", "hunter3"},
		{"unknown, empty", `{"":"hunter2"}`, "unknown_field", ""},
		{"unknown, prototype", `{"__proto__":{"admin":true}}`, "unknown_field", "__proto__"},
		{"other capitals", `{"Email":"hunter2"}`, "unknown_field", "Email"},
		{"name of the Go field", `{"Password":"hunter2"}`, "unknown_field", "Password"},
		{"folds to ASCII", "{\"coo\u212aies\":true}", "unknown_field", "coo\u212aies"},
		{"unknown, long", `{"` + strings.Repeat("é", 500) + `":1}`, "unknown_field", strings.Repeat("é", 32)},
		{"unknown, dirty", `{"a\u001b[31m\nb\u202e":1}`, "unknown_field", "a\ufffd[31m\ufffdb\ufffd"},
		{"unknown and a bomb", `{"x":` + strings.Repeat("[", 60000), "unknown_field", "x"},
		{"twice", `{"email":"a","password":"hunter2","email":"b"}`, "duplicate_field", "email"},
		{"twice the same", `{"email":"a","email":"a"}`, "duplicate_field", "email"},
		{"twice, escaped", `{"email":"a","\u0065mail":"b"}`, "duplicate_field", "email"},
		{"twice, null", `{"name":null,"name":"hunter2"}`, "duplicate_field", "name"},
		{"null string", `{"password":null}`, "wrong_type", "password"},
		{"null bool", `{"cookies":null}`, "wrong_type", "cookies"},
		{"null int", `{"count":null}`, "wrong_type", "count"},
		{"null list", `{"roles":null}`, "wrong_type", "roles"},
		{"number for string", `{"password":1234567}`, "wrong_type", "password"},
		{"bool for string", `{"password":true}`, "wrong_type", "password"},
		{"object for string", `{"password":{"hunter2":"hunter2"}}`, "wrong_type", "password"},
		{"list for string", `{"password":["hunter2"]}`, "wrong_type", "password"},
		{"string for bool", `{"cookies":"true"}`, "wrong_type", "cookies"},
		{"number for bool", `{"cookies":1}`, "wrong_type", "cookies"},
		{"string for int", `{"count":"1"}`, "wrong_type", "count"},
		{"fraction", `{"count":1.0}`, "wrong_type", "count"},
		{"exponent", `{"count":1e3}`, "wrong_type", "count"},
		{"too large an int", `{"count":9223372036854775808}`, "wrong_type", "count"},
		{"number for pointer", `{"name":1}`, "wrong_type", "name"},
		{"string for list", `{"roles":"hunter2"}`, "wrong_type", "roles"},
		{"number in list", `{"roles":["a",1]}`, "wrong_type", "roles"},
		{"null in list", `{"roles":[null]}`, "wrong_type", "roles"},
		{"list in list", `{"roles":[["hunter2"]]}`, "wrong_type", "roles"},
		{"nesting bomb", `{"email":` + strings.Repeat("[", 60000) + `}`, "invalid_json", "email"},
		{"nesting, closed", `{"email":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`, "wrong_type", "email"},
		{"nesting bomb of objects", `{"email":` + strings.Repeat(`{"a":`, 12000), "invalid_json", "email"},
		{"raw NUL", "{\"password\":\"hunter2\x00\"}", "nul_character", "password"},
		{"raw NUL in a name", "{\"pass\x00word\":\"hunter2\"}", "nul_character", ""},
		{"escaped NUL", `{"password":"hunter2\u0000"}`, "nul_character", "password"},
		{"escaped NUL in a list", `{"roles":["a","\u0000"]}`, "nul_character", "roles"},
		{"escaped NUL in a pointer", `{"name":"\u0000"}`, "nul_character", "name"},
		{"escaped NUL in a name", `{"email\u0000":"hunter2"}`, "nul_character", "email\ufffd"},
		{"UTF-16", "{\x00}\x00", "nul_character", ""},
		{"raw bytes", "{\"password\":\"hunter2\xff\"}", "invalid_utf8", "password"},
		{"overlong", "{\"password\":\"hunter2\xc0\x80\"}", "invalid_utf8", "password"},
		{"raw surrogate", "{\"password\":\"hunter2\xed\xa0\x80\"}", "invalid_utf8", "password"},
		{"cut character", "{\"password\":\"hunter2\xe2\x82\"}", "invalid_utf8", "password"},
		{"raw bytes in a list", "{\"roles\":[\"\xff\"]}", "invalid_utf8", "roles"},
		{"raw bytes in a name", "{\"email\xff\":\"hunter2\"}", "invalid_utf8", "email\ufffd"},
		{"raw bytes outside", "{\xff}", "invalid_utf8", ""},
		{"high surrogate", `{"password":"hunter2\ud800"}`, "invalid_utf8", "password"},
		{"low surrogate", `{"password":"hunter2\udc00"}`, "invalid_utf8", "password"},
		{"surrogates reversed", `{"password":"hunter2\udc00\ud800"}`, "invalid_utf8", "password"},
		{"high surrogate and a letter", `{"password":"hunter2\ud800a"}`, "invalid_utf8", "password"},
		{"replacement character", `{"password":"hunter2` + "\ufffd" + `"}`, "invalid_utf8", "password"},
		{"escaped replacement character", `{"password":"hunter2\ufffd"}`, "invalid_utf8", "password"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := h.do(t, "POST", "/form", test.body, "Content-Type", "application/json")
			if a.status != 400 || a.problem.Code != test.code || a.problem.Field != test.field {
				t.Errorf("got %v, want code %s and field %q", a, test.code, test.field)
			}
			if containsAny(a.body, "hunter2", "1234567") {
				t.Errorf("the answer repeats a value: %s", a.body)
			}
		})
	}
	h.log.line(t, len(tests)-1)
	if containsAny(h.log.text(), "hunter2", "1234567") {
		t.Error("the log repeats a value")
	}
}

// A refusal says which type is wanted, and how a name is written.
func TestDecodeMessagesHelp(t *testing.T) {
	for body, want := range map[string]string{
		`{"email":1}`:   "must be a string",
		`{"cookies":1}`: "must be true or false",
		`{"count":"1"}`: "must be a whole number",
		`{"roles":1}`:   "must be a list of strings",
		`{"limit":"1"}`: "must be a whole number",
		`{"Email":"1"}`: "written email",
	} {
		err := decodeObject([]byte(body), &form{})
		if f := fault.As(err); f == nil || !strings.Contains(f.Message, want) {
			t.Errorf("%s: %v, want %q", body, err, want)
		}
	}
}

// ASVS 3.5.2: JSON only under its own name, in one encoding.
func TestDecodeMediaType(t *testing.T) {
	h := formHouse(t, nil)
	tests := []struct {
		header []string
		status int
	}{
		{[]string{"Content-Type", "application/json"}, 200},
		{[]string{"Content-Type", "application/json; charset=utf-8"}, 200},
		{[]string{"Content-Type", "Application/JSON;charset=\"UTF-8\""}, 200},
		{[]string{"Content-Type", "application/json", "Content-Encoding", "Identity"}, 200},
		{nil, 415},
		{[]string{"Content-Type", ""}, 415},
		{[]string{"Content-Type", "text/plain"}, 415},
		{[]string{"Content-Type", "text/plain; application/json"}, 415},
		{[]string{"Content-Type", "application/x-www-form-urlencoded"}, 415},
		{[]string{"Content-Type", "application/jsonp"}, 415},
		{[]string{"Content-Type", "application/problem+json"}, 415},
		{[]string{"Content-Type", "application/json, text/plain"}, 415},
		{[]string{"Content-Type", "application/json; charset=utf-16"}, 415},
		{[]string{"Content-Type", "application/json; charset=iso-8859-1"}, 415},
		{[]string{"Content-Type", "application/json; version=2"}, 415},
		{[]string{"Content-Type", "application/json; charset=utf-8; charset=utf-16"}, 415},
		{[]string{"Content-Type", "application/json", "Content-Type", "text/plain"}, 415},
		{[]string{"Content-Type", "application/json", "Content-Encoding", "gzip"}, 415},
		{[]string{"Content-Type", "application/json", "Content-Encoding", "identity", "Content-Encoding", "br"}, 415},
		{[]string{"Content-Type", "application/json", "Content-Encoding", "identity, gzip"}, 415},
	}
	for _, test := range tests {
		if a := h.do(t, "POST", "/form", `{}`, test.header...); a.status != test.status ||
			(a.status == 415) != (a.problem.Code == "unsupported_media_type") {
			t.Errorf("%q: got %v, want %d", test.header, a, test.status)
		}
	}
}

// A text has as many characters as its field's tag says, or 1,024: characters, not bytes.
func TestASVS_V2_1_1_TextsAreBounded(t *testing.T) {
	type bounded struct {
		Short string   `json:"short" most:"3"`
		Usual string   `json:"usual"`
		Maybe *string  `json:"maybe" most:"3"`
		List  []string `json:"list" most:"3"`
	}
	for body, field := range map[string]string{
		`{"short":"äöü","maybe":"äöü","list":["äöü","abc"]}`: "", `{"usual":"` + strings.Repeat("ü", 1024) + `"}`: "", `{"maybe":null}`: "",
		`{"short":"abcd"}`: "short", `{"usual":"` + strings.Repeat("a", 1025) + `"}`: "usual", `{"maybe":"abcd"}`: "maybe", `{"list":["abc","abcd"]}`: "list",
	} {
		err := decodeObject([]byte(body), &bounded{})
		f := fault.As(err)
		if (err == nil) != (field == "") || err != nil && (f == nil || f.Code != "too_long" || f.Field != field || f.Kind != fault.Invalid) {
			t.Errorf("%.40s: %v", body, err)
		}
	}
}

func TestDecodeOptional(t *testing.T) {
	h := formHouse(t, nil)
	tests := []struct {
		name, request string
		status        int
		email, code   string
	}{
		{"nothing", "\r\n", 200, "default", ""},
		{"length of nothing", "Content-Length: 0\r\n\r\n", 200, "default", ""},
		{"a body", "Content-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"email\":\"x\"}", 200, "x", ""},
		{"a body without type", "Content-Length: 13\r\n\r\n{\"email\":\"x\"}", 415, "", "unsupported_media_type"},
		{"a type without body", "Content-Type: application/json\r\n\r\n", 200, "default", ""},
		{"D1 chunks of nothing", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, "default", ""},
		{"untyped chunks of something", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 415, "", "unsupported_media_type"},
		{"D1 typed chunks of nothing", "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, "default", ""},
	}
	for _, test := range tests {
		a := h.raw(t, "POST /optional HTTP/1.1\r\nHost: x\r\n"+test.request)
		var got form
		if a.status == 200 {
			if err := json.Unmarshal([]byte(a.body), &got); err != nil {
				t.Fatal(err)
			}
		}
		if a.status != test.status || got.Email != test.email || a.problem.Code != test.code {
			t.Errorf("%s: got %v", test.name, a)
		}
	}
}

func TestDecodeTooLarge(t *testing.T) {
	h := formHouse(t, nil)
	const head = "POST /form HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
	long := `{"password":"` + strings.Repeat("x", MaxBody) + `"}`
	for name, request := range map[string]string{
		"sent":          head + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(long), long),
		"only declared": head + "Content-Length: 99999999999\r\n\r\n",
		"one too many":  head + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", MaxBody+1, long[:MaxBody+1]),
		"in chunks":     head + "Transfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(long), long),
		"expected":      head + "Expect: 100-continue\r\nContent-Length: 70000\r\n\r\n",
	} {
		a := h.raw(t, request)
		if a.status != 413 || a.problem.Code != "body_too_large" || !a.closes {
			t.Errorf("%s: got %v, closes %v", name, a, a.closes)
		}
	}
	// A common client that sends the whole before it reads gets its answer too.
	if a := h.do(t, "POST", "/form", strings.Repeat("x", 300<<10), "Content-Type", "application/json"); a.status != 413 {
		t.Errorf("client: got %v", a)
	}
}

func TestDecodeBodyThatDoesNotCome(t *testing.T) {
	h := formHouse(t, func(_ *Stack, s *http.Server) { s.ReadTimeout = 100 * time.Millisecond })
	const head = "POST /form HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
	a := h.raw(t, head+"Content-Length: 20\r\n\r\n{\"email\":")
	if a.status != 408 || a.problem.Code != "request_timeout" || !a.closes {
		t.Errorf("slow: got %v, closes %v", a, a.closes)
	}
	for name, body := range map[string]string{
		"no number":  "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
		"long chunk": "Transfer-Encoding: chunked\r\n\r\n2\r\n{}{}\r\n0\r\n\r\n",
	} {
		if a := h.raw(t, head+body); a.status != 400 || a.problem.Code != "unreadable_body" {
			t.Errorf("%s: got %v", name, a)
		}
	}
	conn := h.dial(t, head+"Content-Length: 20\r\n\r\n{}")
	if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(conn); !strings.Contains(string(got), "unreadable_body") {
		t.Errorf("cut short: got %q", got)
	}
}

// A struct that can't be filled strictly is found the first time it is used.
func TestDecodeKnowsItsStructs(t *testing.T) {
	for _, into := range []any{
		&struct{ Email string }{},
		&struct {
			Email map[string]string `json:"email"`
		}{},
		&struct {
			Email struct{} `json:"email"`
		}{},
		&struct {
			Email **string `json:"email"`
		}{},
		&struct {
			Email *[]string `json:"email"`
		}{},
		&struct {
			Share float64 `json:"share"`
		}{},
		// The next two are made here since vet would refuse them.
		reflect.New(reflect.StructOf([]reflect.StructField{
			{Name: "email", PkgPath: "web", Type: reflect.TypeFor[string](), Tag: `json:"email"`},
		})).Interface(),
		reflect.New(reflect.StructOf([]reflect.StructField{
			{Name: "A", Type: reflect.TypeFor[string](), Tag: `json:"a"`},
			{Name: "B", Type: reflect.TypeFor[string](), Tag: `json:"a"`},
		})).Interface(),
		p(""),
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%T was taken", into)
				}
			}()
			_ = decodeObject([]byte(`{}`), into)
		}()
	}
}

// FuzzDecode: what is accepted is what encoding/json reads too, and comes back
// the same from its own encoding; what is refused has a kind and a code.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `{"email":"a","password":"\u0000"}`, `{"email":"a","email":"b"}`, `{"Email":1}`, "{\"email\":\"\xff\"}",
		`{"roles":["a","\ud83d\ude00"],"name":null,"keep":true,"limit":-1,"count":12,"large":1}`, `{}{}`, `[[[[`,
		`{"email":"\ud800"}`, "\ufeff{}", `{"count":1e2}`, `{"email" :"a" , "cookies": false }`, "{\"\x00\":1}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest("POST", "/", strings.NewReader(string(body)))
		r.Header.Set("Content-Type", "application/json")
		var got form
		if err := Decode(httptest.NewRecorder(), r, &got); err != nil {
			var e *fault.Error
			if !errors.As(err, &e) || e.Kind != fault.Invalid || e.Code == "" || e.Message == "" {
				t.Fatalf("%q was refused by %#v", body, err)
			}
			return
		}
		var theirs form
		if err := json.Unmarshal(body, &theirs); err != nil {
			t.Fatalf("%q was accepted; encoding/json: %v", body, err)
		}
		if !reflect.DeepEqual(got, theirs) {
			t.Fatalf("%q is %+v to us and %+v to encoding/json", body, got, theirs)
		}
		if got.Roles == nil {
			got.Roles = []string{} // a plain list has no null
		}
		again, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		var back form
		if err := decodeObject(again, &back); err != nil {
			t.Fatalf("%q was accepted, but not its own encoding %q: %v", body, again, err)
		}
		if !reflect.DeepEqual(got, back) {
			t.Fatalf("%+v came back as %+v", got, back)
		}
	})
}
