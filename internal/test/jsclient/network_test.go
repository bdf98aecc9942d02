package jsclient_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
	"github.com/gatehouse-auth/gatehouse/internal/test/proctest"
)

// network stands between browsers and the server: it serves an application under /app/ on the
// same host, counts requests, and loses the answers that a test wants lost, after the server
// has done what was asked.
type network struct {
	*httptest.Server
	server *url.URL

	mu      sync.Mutex
	counted map[string]int
	lost    map[string]int // how many answers are to be lost; below 0: a gateway answers so to all, -503 say
	bearers []string       // what /app/api was asked with
	fresh   bool           // whether the application takes what it is asked with: until it is expired, after a refresh
}

func newNetwork(t *testing.T) *network {
	t.Helper()
	n := &network{counted: map[string]int{}, lost: map[string]int{}}
	n.Server = httptest.NewServer(n)
	t.Cleanup(n.Close)
	return n
}

// before puts it in front of a server.
func (n *network) before(h *harness.Server) {
	h.Helper()
	u, err := url.Parse(h.App.URL())
	if err != nil {
		h.Fatal(err)
	}
	n.server = u
}

// loses has the next answers to a path lost.
func (n *network) loses(path string, answers int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lost[path] = answers
}

// expires says whether the application goes on to take what it is asked with.
func (n *network) expires(fresh bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fresh = fresh
}

// count returns how often a path was asked for since the last time.
func (n *network) count(path string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.counted[path]
	n.counted[path] = 0
	return c
}

func (n *network) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/app/gatehouse.js":
		text, err := os.ReadFile(proctest.File(filepath.Join("clients", "js", "gatehouse.js")))
		if err != nil {
			panic(err)
		}
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = w.Write(text)
	case r.URL.Path == "/app/api":
		n.mu.Lock()
		n.bearers = append(n.bearers, r.Header.Get("Authorization"))
		n.mu.Unlock()
	case r.URL.Path == "/app/guarded":
		n.mu.Lock()
		defer n.mu.Unlock()
		if !n.fresh {
			w.WriteHeader(http.StatusUnauthorized)
		}
	case strings.HasPrefix(r.URL.Path, "/app/"):
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<!doctype html><title>An application</title><script type="module">
import { Gatehouse, GatehouseError } from "./gatehouse.js";
window.told = [];
window.client = new Gatehouse({ mode: "`+strings.TrimPrefix(r.URL.Path, "/app/")+`", patience: 5 });
for (const type of ["signedin", "signedout"]) client.addEventListener(type, () => told.push(type));
window.loaded = true;
</script>`)
	default:
		n.forward(w, r)
	}
}

// forward passes a request on as a proxy does, and its answer back unless that is to be lost.
func (n *network) forward(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	n.mu.Lock()
	n.counted[r.URL.Path]++
	lose := n.lost[r.URL.Path]
	if lose > 0 {
		n.lost[r.URL.Path]--
	}
	n.mu.Unlock()
	if lose < 0 {
		http.Error(w, "the gateway lets nobody through", -lose)
		return
	}
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.RequestURI = n.server.Scheme, n.server.Host, ""
	if !strings.HasPrefix(r.Host, "localhost") { // its PUBLIC_URL is its own address
		out.Host = n.server.Host
	}
	out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	answer, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || lose > 0 {
		panic(http.ErrAbortHandler) // the connection is cut
	}
	if r.URL.Path == "/v1/token/refresh" && answer.StatusCode == http.StatusOK {
		n.expires(true)
	}
	for name, values := range answer.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.StatusCode)
	_, _ = w.Write(text)
}
