package harness

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Press sends a page's form.
func Press(path string, b Body) Request {
	form := url.Values{}
	for name, value := range b {
		form.Set(name, value)
	}
	return Request{Method: "POST", Path: path, Body: form.Encode(), ContentType: "application/x-www-form-urlencoded"}
}

// AsksFor are the headers with which a proxy asks about a request for a page.
func AsksFor(method, proto, host, uri string) http.Header {
	return http.Header{
		"X-Forwarded-Method": {method}, "X-Forwarded-Proto": {proto}, "X-Forwarded-Host": {host}, "X-Forwarded-Uri": {uri},
		"X-Forwarded-For": {"192.0.2.9"}, "Accept": {"text/html"},
	}
}

// Answer is what came back: its body as text, and the fields of it if it is a JSON object.
type Answer struct {
	Status int
	Header http.Header
	Text   string
	Fields map[string]any
}

// Str returns a field of the JSON that is a string, or nothing.
func (a Answer) Str(name string) string { s, _ := a.Fields[name].(string); return s }

// Request is a call to be made; fields left out are left out of it.
type Request struct {
	Method, Path string
	Body         any    // encoded as JSON; a string goes as it is
	Bearer       string // an access token
	ContentType  string
	Header       http.Header
}

// String is the request in a line, for a test that failed: method, path, body, and
// the headers that the test gave it.
func (r Request) String() string {
	text := r.Method + " " + r.Path
	switch body := r.Body.(type) {
	case nil:
	case string:
		text += " " + shortened(strconv.Quote(body))
	default:
		j, err := json.Marshal(body)
		if err != nil {
			j = []byte(err.Error())
		}
		text += " " + shortened(string(j))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		text += shortened(fmt.Sprintf(" [%s: %s]", name, strings.Join(r.Header[name], ", ")))
	}
	if r.Bearer != "" {
		text += " with an access token"
	}
	return text
}

// shortened is a text of which a line of a failure has room for.
func shortened(text string) string {
	if len(text) <= 200 {
		return text
	}
	return fmt.Sprintf("%s… (%d bytes)", text[:200], len(text))
}

// Do makes a call and checks the answer against openapi.yaml.
func (h *Server) Do(r Request) Answer {
	h.Helper()
	a, err := h.Try(r)
	if err != nil {
		h.Fatal(err)
	}
	return a
}

// HTTPClient follows no redirects, and keeps enough connections for the load tests.
var HTTPClient = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{MaxIdleConnsPerHost: 64},
}

// Try is do for goroutines other than the test's own.
func (h *Server) Try(r Request) (Answer, error) {
	var body io.Reader
	if r.Body != nil {
		b, ok := r.Body.(string)
		if !ok {
			j, err := json.Marshal(r.Body)
			if err != nil {
				return Answer{}, err
			}
			b = string(j)
		}
		body = strings.NewReader(b)
		if r.ContentType == "" {
			r.ContentType = "application/json"
		}
	}
	req, err := http.NewRequest(r.Method, h.URL()+r.Path, body)
	if err != nil {
		return Answer{}, err
	}
	for name, values := range r.Header {
		req.Header[name] = values
	}
	if r.ContentType != "" {
		req.Header.Set("Content-Type", r.ContentType)
	}
	if r.Bearer != "" {
		req.Header.Set("Authorization", "Bearer "+r.Bearer)
	}
	send := HTTPClient.Do
	if h.Front != nil {
		send = h.Front.Send
	}
	res, err := send(req)
	if err != nil {
		return Answer{}, fmt.Errorf("%v: %w", r, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return Answer{}, fmt.Errorf("%v: reading the answer: %w", r, err)
	}
	a := Answer{Status: res.StatusCode, Header: res.Header, Text: string(b)}
	if kind := res.Header.Get("Content-Type"); strings.Contains(kind, "json") && !strings.Contains(kind, "ndjson") {
		if err := json.Unmarshal(b, &a.Fields); err != nil {
			return a, fmt.Errorf("%v: the answer is not JSON: %w\n%s", r, err, a.Text)
		}
	}
	if err := Document().check(req, a); err != nil {
		return a, fmt.Errorf("%v: %w", r, err)
	}
	return a, nil
}

// Expect makes a call and fails the test unless it is answered so: a status, and
// the code if it is a problem. The first line of the failure is the request, the
// answer and what was expected.
//
// A call that a slow machine had no time for is made again, as Retry-After asks: see
// [Server.again].
func (h *Server) Expect(status int, code string, r Request) Answer {
	h.Helper()
	first := time.Now()
	a := h.Do(r)
	for a.Str("code") != code && h.again(a, first) {
		time.Sleep(time.Second)
		a = h.Do(r)
	}
	if a.Status != status || a.Str("code") != code {
		h.Fatalf("%v: answered %d %q, want %d %q\n%s\n%s", r, a.Status, a.Str("code"), status, code, a.Text, h.Logs.Of(a.Str("request_id")))
	}
	return a
}

// again reports whether a refusal says more about the machine than about the server. One
// that is too slow to tell in time whether a token was revoked says so before it does
// anything. And while a new connection to the tests' own PostgreSQL takes a second or
// more, one of the server's may take longer than it waits. In what is said to recover
// within a time, that is the time for a flow as well.
func (h *Server) again(a Answer, first time.Time) bool {
	switch a.Str("code") {
	case "revocations_unknown":
		return time.Since(first) < 20*time.Second
	case "database_unavailable", "timed_out":
		if time.Now().Before(h.recovers) {
			return true
		}
		return time.Since(first) < Patience && strings.HasPrefix(h.DBURL, "postgres") && machine().worst(first) > time.Second
	}
	return false
}

// BehindProxy lets a test come from any network.
const BehindProxy = "TRUSTED_PROXIES=127.0.0.1"

// SendRaw writes one request to a listener as it stands, which no client would, and
// reads the answer.
func SendRaw(t *testing.T, base, method, path, more string) Answer {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\n%sContent-Length: 0\r\nConnection: close\r\n\r\n", method, path, u.Host, more)
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return Answer{Status: res.StatusCode, Header: res.Header, Text: string(body)}
}

// User agents of browsers that people use.
const (
	OnLinux  = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"
	Newer    = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
	OnIPhone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/604.1"
)

// From is a request from an address, with a user agent.
func From(address, agent string, r Request) Request {
	r.Header = http.Header{"X-Forwarded-For": {address}, "User-Agent": {agent}}
	return r
}

// Through is the request as a proxy on this machine passes it on for an address.
func Through(address string, r Request) Request {
	r.Header = http.Header{"X-Forwarded-For": {address}}
	return r
}

// Body is a request's JSON object.
type Body map[string]string

// With returns the object with one more field.
func (b Body) With(name, value string) Body {
	out := maps.Clone(b)
	out[name] = value
	return out
}

// Get is a request without a body, and with an access token if there is one.
func Get(path string, bearer ...string) Request {
	return Request{Method: "GET", Path: path, Bearer: strings.Join(bearer, "")}
}

// Post is a request with a body (Request.Body), and an access token if there is one.
func Post(path string, body any, bearer ...string) Request {
	return Request{Method: "POST", Path: path, Body: body, Bearer: strings.Join(bearer, "")}
}

// Together makes sixteen requests at once and returns how many were answered with
// the status. The others lost: they are answered 400, or 200 for "done already"; codes also
// 429 once the twenty tries of the address are used up.
func (h *Server) Together(status int, r func(i int) Request) (n int) {
	h.Helper()
	var (
		all sync.WaitGroup
		mu  sync.Mutex
	)
	for i := range 16 {
		all.Go(func() {
			a, err := h.Try(r(i))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				h.Error(err)
			case a.Status == status:
				n++
			case a.Status != 400 && a.Status != 200 && a.Str("code") != "too_many_codes":
				h.Errorf("%v, one of 16 at once: answered %d %q, want %d, 200 or 400\n%s", r(i), a.Status, a.Str("code"), status, a.Text)
			}
		})
	}
	all.Wait()
	return n
}

// HeaderSafe maps a character that no header takes to none (strings.Map).
func HeaderSafe(r rune) rune {
	if r <= ' ' || r > '~' {
		return -1
	}
	return r
}

// StrangersNetwork has the request come from the i-th of many networks, through a
// trusted proxy (see BehindProxy).
func StrangersNetwork(i int, r Request) Request {
	r.Header = http.Header{"X-Forwarded-For": {fmt.Sprintf("203.0.%d.%d", 1+i/200, 1+i%200)}}
	return r
}
