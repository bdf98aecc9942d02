package handbook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// policy is what browsers are told on each file, besides what the pages say themselves.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// ServeHTTP answers with a file of the site. It is for this machine: a name that is not loopback's is refused, so that no
// page from elsewhere reads it under a name of its own (DNS rebinding).
func (s Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if address := net.ParseIP(strings.Trim(host, "[]")); host != "localhost" && (address == nil || !address.IsLoopback()) {
		http.Error(w, "This is for localhost alone.", http.StatusMisdirectedRequest)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "There is nothing to change here.", http.StatusMethodNotAllowed)
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/")
	if name == "" || strings.HasSuffix(name, "/") {
		name += "index.html"
	}
	body, ok := s[name]
	if !ok {
		http.Error(w, "There is no such page.", http.StatusNotFound)
		return
	}
	h := w.Header()
	h.Set("Content-Type", kindOf(name))
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", policy)
	if r.Method == http.MethodGet {
		_, _ = w.Write(body) // the browser may have gone
	}
}

// Serve serves the site on an address of this machine until the context ends. It tells where, once somebody can ask.
func (s Site) Serve(ctx context.Context, address string, tell func(url string)) error {
	host, _, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("%s is no address of this machine alone, such as 127.0.0.1:8008", address)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	tell("http://" + listener.Addr().String() + "/")
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Write writes the site into a folder, which is made; what it has under the same names is replaced.
func (s Site) Write(folder string) error {
	for name, body := range s {
		path := filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // a site is for everybody
			return err
		}
		if err := os.WriteFile(path, body, 0o644); err != nil { //nolint:gosec // a site is for everybody
			return err
		}
	}
	return nil
}
