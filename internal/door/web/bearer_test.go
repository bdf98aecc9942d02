package web

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

func TestBearer(t *testing.T) {
	h := newHouse(t, nil)
	h.handle("GET /", func(w http.ResponseWriter, r *http.Request) error {
		token, ok, err := Bearer(r)
		if err != nil {
			return err
		}
		return WriteJSON(w, http.StatusOK, map[string]any{"token": token, "ok": ok})
	})
	longest := strings.Repeat("a", MaxToken)
	tests := []struct {
		name, headers string
		status        int
		token, code   string
	}{
		{"none", "", 200, "", ""},
		{"another scheme", "Authorization: Basic aHVudGVyMg==\r\n", 200, "", ""},
		{"a scheme that begins alike", "Authorization: BearerX abc\r\n", 200, "", ""},
		{"no space", "Authorization: Bearerabc\r\n", 200, "", ""},
		{"plain", "Authorization: Bearer abc\r\n", 200, "abc", ""},
		{"the alphabet", "Authorization: Bearer aZ09-._~+/==\r\n", 200, "aZ09-._~+/==", ""},
		{"lower case", "authorization: bearer abc\r\n", 200, "abc", ""},
		{"upper case", "AUTHORIZATION: BEARER abc\r\n", 200, "abc", ""},
		{"more spaces", "Authorization:   Bearer   abc  \r\n", 200, "abc", ""},
		{"longest", "Authorization: Bearer " + longest + "\r\n", 200, longest, ""},
		{"too long", "Authorization: Bearer " + longest + "a\r\n", 401, "", "invalid_token"},
		{"two", "Authorization: Bearer abc\r\nAuthorization: Bearer abc\r\n", 400, "", "invalid_request"},
		{"two schemes", "Authorization: Basic abc\r\nAuthorization: Bearer abc\r\n", 400, "", "invalid_request"},
		{"empty", "Authorization:\r\n", 400, "", "invalid_request"},
		{"scheme only", "Authorization: Bearer\r\n", 400, "", "invalid_request"},
		{"scheme and space", "Authorization: Bearer  \r\n", 400, "", "invalid_request"},
		{"two tokens", "Authorization: Bearer abc def\r\n", 401, "", "invalid_token"},
		{"list", "Authorization: Bearer abc, Bearer def\r\n", 401, "", "invalid_token"},
		{"quoted", "Authorization: Bearer \"abc\"\r\n", 401, "", "invalid_token"},
		{"equals inside", "Authorization: Bearer a=b\r\n", 401, "", "invalid_token"},
		{"equals only", "Authorization: Bearer ==\r\n", 401, "", "invalid_token"},
		{"tab", "Authorization: Bearer \tabc\r\n", 401, "", "invalid_token"},
		{"not ASCII", "Authorization: Bearer abcé\r\n", 401, "", "invalid_token"},
		{"bad UTF-8", "Authorization: Bearer abc\xff\r\n", 401, "", "invalid_token"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := h.raw(t, "GET / HTTP/1.1\r\nHost: x\r\n"+test.headers+"\r\n")
			if a.status != test.status || a.problem.Code != test.code {
				t.Fatalf("got %.200v, want %d %s", a, test.status, test.code)
			}
			if want := `"token":"` + test.token + `"`; a.status == 200 && !strings.Contains(a.body, want) {
				t.Errorf("got %.200s, want %.100s", a.body, want)
			}
			if challenge := a.header.Get("WWW-Authenticate"); a.status != 200 &&
				challenge != `Bearer realm="gatehouse", error="`+test.code+`"` {
				t.Errorf("WWW-Authenticate %q", challenge)
			}
			if containsAny(a.problem.Detail, "abc", "aaa") {
				t.Errorf("the answer repeats the token: %s", a.body)
			}
		})
	}
}

// RFC 6750 section 2.1, with the scheme in any case (RFC 9110 section 11.1).
var credentials = regexp.MustCompile(`^(?i:Bearer) +([A-Za-z0-9\-._~+/]+=*)$`)

func FuzzBearer(f *testing.F) {
	for _, seed := range []string{"", "Bearer", "Bearer abc==", "bearer  a.b-c_d", "Basic x", "Bearer a=b", "Bearer \x00", "Bearer é", " 0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Authorization"] = []string{header}
		token, ok, err := Bearer(r)
		want := credentials.FindStringSubmatch(header)
		switch {
		case want != nil && len(want[1]) <= MaxToken:
			if err != nil || !ok || token != want[1] {
				t.Errorf("%q: got %q, %v, %v", header, token, ok, err)
			}
		case ok || token != "":
			t.Errorf("%q was accepted as %q", header, token)
		case err != nil:
			if e := fault.As(err); e == nil || e.Code == "" {
				t.Errorf("%q was refused by %v", header, err)
			}
		}
	})
}
