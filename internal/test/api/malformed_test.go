package api_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// malformed are requests that no client means. HOST stands for the server's name.
// Each holds a second request inside, or is one that two readers may take apart
// in two ways.
var malformed = map[string]string{
	"length and chunks":            "POST /v1/login HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /openapi.json HTTP/1.1\r\nHost: HOST\r\n\r\n",
	"two lengths":                  "POST /v1/login HTTP/1.1\r\nHost: HOST\r\nContent-Length: 0\r\nContent-Length: 44\r\n\r\nGET /openapi.json HTTP/1.1\r\nHost: HOST\r\n\r\n",
	"a list of lengths":            "POST /v1/login HTTP/1.1\r\nHost: HOST\r\nContent-Length: 0, 44\r\n\r\nGET /openapi.json HTTP/1.1\r\nHost: HOST\r\n\r\n",
	"a length with a sign":         "POST /v1/login HTTP/1.1\r\nHost: HOST\r\nContent-Length: +2\r\n\r\n{}",
	"a length below nothing":       "POST /v1/login HTTP/1.1\r\nHost: HOST\r\nContent-Length: -1\r\n\r\n",
	"a length beyond numbers":      "POST /v1/login HTTP/1.1\r\nHost: HOST\r\nContent-Length: 99999999999999999999\r\n\r\n",
	"chunks twice":                 "POST /v1/login HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"chunks and something":         "POST /v1/login HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
	"chunks of another name":       "POST /v1/login HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
	"a space before the colon":     "POST /v1/login HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
	"a folded header":              "GET /v1/me HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
	"a chunk that is no number":    "POST /v1/login HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
	"a chunk beyond numbers":       "POST /v1/login HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n",
	"a chunk without its end":      "POST /v1/login HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}XX0\r\n\r\n",
	"no host":                      "GET /openapi.json HTTP/1.1\r\n\r\n",
	"two hosts":                    "GET /openapi.json HTTP/1.1\r\nHost: HOST\r\nHost: evil.example\r\n\r\n",
	"another host":                 "GET /openapi.json HTTP/1.1\r\nHost: evil.example\r\n\r\n",
	"another host in the line":     "GET http://evil.example/openapi.json HTTP/1.1\r\nHost: HOST\r\n\r\n",
	"a host with a name before it": "GET /openapi.json HTTP/1.1\r\nHost: HOST@evil.example\r\n\r\n",
	"two tokens":                   "GET /v1/me HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n",
	"a NUL in a header":            "GET /v1/me HTTP/1.1\r\nHost: HOST\r\nX-A: a\x00b\r\n\r\n",
	"a NUL in the path":            "GET /v1/me%00 HTTP/1.1\r\nHost: HOST\r\n\r\n",
	"a newline in the path":        "GET /v1/me%0d%0aX-A:%20b HTTP/1.1\r\nHost: HOST\r\n\r\n",
	"an overlong slash":            "GET /v1%c0%afme HTTP/1.1\r\nHost: HOST\r\n\r\n",
	"a way up":                     "GET /v1/../../etc/passwd HTTP/1.1\r\nHost: HOST\r\n\r\n",
	"a way up behind escapes":      "GET /v1/%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: HOST\r\n\r\n",
	"a slash behind an escape":     "GET /v1%2fme HTTP/1.1\r\nHost: HOST\r\n\r\n",
	"backslashes":                  "GET /v1\\me HTTP/1.1\r\nHost: HOST\r\n\r\n",
	"a bad escape":                 "GET /v1/%zz HTTP/1.1\r\nHost: HOST\r\n\r\n",
	"a method by a header":         "GET /v1/logout HTTP/1.1\r\nHost: HOST\r\nX-HTTP-Method-Override: POST\r\nX-Method-Override: POST\r\n\r\n",
	"a method by the query":        "GET /v1/logout?_method=POST HTTP/1.1\r\nHost: HOST\r\n\r\n",
	"TRACE":                        "TRACE /v1/me HTTP/1.1\r\nHost: HOST\r\n\r\n",
	"CONNECT":                      "CONNECT evil.example:443 HTTP/1.1\r\nHost: HOST\r\n\r\n",
	"a method of no kind":          "G\x01T /v1/me HTTP/1.1\r\nHost: HOST\r\n\r\n",
	"a version of no kind":         "GET /v1/me HTTP/9.9\r\nHost: HOST\r\n\r\n",
	"no request":                   "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
	"a huge header":                "GET /v1/me HTTP/1.1\r\nHost: HOST\r\nX-A: " + strings.Repeat("a", 80<<10) + "\r\n\r\n",
	"headers without number":       "GET /v1/me HTTP/1.1\r\nHost: HOST\r\n" + strings.Repeat("X-A: aaaaaaaa\r\n", 6000) + "\r\n",
	"a huge path":                  "GET /" + strings.Repeat("a", 80<<10) + " HTTP/1.1\r\nHost: HOST\r\n\r\n",
	"a body without UTF-8":         "POST /v1/login HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{\"email\":\"\xff\"",
}

var statusLine = regexp.MustCompile(`(?m)^HTTP/1\.[01] ([0-9]{3})`)

// NET-1, NET-5: whatever comes, the answer is a refusal or a closed connection: no
// mistake of ours, no success, and none to the request that was smuggled in.
func TestNET1_Malformed(t *testing.T) {
	t.Parallel()
	listens := harness.FreePort(t)
	h := harness.Open(t, dbtest.SQLite(t), "PUBLIC_URL=http://"+harness.GuideHost, "TRUSTED_PROXIES=127.0.0.1")
	bare := strings.TrimPrefix(h.App.URL(), "http://")
	harness.Nginx(t, listens, `server { listen `+listens+`; location / { proxy_pass http://`+bare+
		`; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr; } }`)
	for where, address := range map[string]string{"bare": bare, "nginx": listens} {
		var all sync.WaitGroup
		for name, request := range malformed {
			all.Go(func() {
				for _, line := range statusLine.FindAllStringSubmatch(sendRaw(t, address, strings.ReplaceAll(request, "HOST", harness.GuideHost)), -1) {
					// 501 and 505 say that a coding or a version is not known (RFC 9112 section 6.1).
					if s := line[1]; s[0] != '4' && s != "501" && s != "505" {
						t.Errorf("%s, %s: %s", where, name, s)
					}
				}
			})
		}
		all.Wait()
		res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(sendRaw(t, address,
			"GET /openapi.json HTTP/1.1\r\nHost: "+harness.GuideHost+"\r\nConnection: close\r\n\r\n"))), nil)
		if err != nil || res.StatusCode != 200 {
			t.Errorf("%s, a good request after them: %v", where, err)
		}
	}
}

// sendRaw sends bytes, and returns what came back until the connection ended or
// nothing more came.
func sendRaw(t *testing.T, address, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		t.Error(err)
	}
	// A server that has refused the beginning may not read the end.
	_, _ = io.WriteString(conn, request)
	b, _ := io.ReadAll(conn)
	return string(b)
}
