package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
)

// Health is what the admin listener of a running server says of it.
type Health struct {
	// Status is ok or ready; or not_ready.
	Status string `json:"status"`
	// Checks and Warnings are readyz's.
	Checks   map[string]string `json:"checks,omitempty"`
	Warnings map[string]string `json:"warnings,omitempty"`
}

// AskHealth asks the server that runs on this machine with these settings: whether it
// should be sent requests, or, for live, whether it is there at all. An error says why
// there is no answer.
func AskHealth(ctx context.Context, c *config.Config, live bool) (h Health, healthy bool, err error) {
	at, err := adminAt(c)
	if err != nil {
		return h, false, err
	}
	path := "/readyz"
	if live {
		path = "/healthz"
	}
	client, err := healthClient(c)
	if err != nil {
		return h, false, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at+path, nil)
	if err != nil {
		return h, false, err
	}
	answer, err := client.Do(r)
	if err != nil {
		return h, false, fmt.Errorf("nobody answers at %s%s: %w", at, path, errors.Unwrap(err))
	}
	defer answer.Body.Close()
	err = json.NewDecoder(io.LimitReader(answer.Body, 64<<10)).Decode(&h)
	if err != nil || h.Status == "" {
		return h, false, fmt.Errorf("what answers at %s%s is no gatehouse: %s", at, path, answer.Status)
	}
	return h, answer.StatusCode == http.StatusOK, nil
}

// adminAt is the URL of the admin listener as this machine reaches it.
func adminAt(c *config.Config) (string, error) {
	host, port, err := net.SplitHostPort(c.AdminListenAddr)
	if err != nil || port == "0" {
		return "", errors.New("ADMIN_LISTEN_ADDR leaves its port to the system, so that nobody knows where to ask: give it one, such as 127.0.0.1:9000")
	}
	if a, err := netip.ParseAddr(host); host == "" || err == nil && a.IsUnspecified() && a.Is4() {
		host = "127.0.0.1"
	} else if err == nil && a.IsUnspecified() {
		host = "::1"
	}
	scheme := "http://"
	if c.AdminTLS() {
		scheme = "https://"
	}
	return scheme + net.JoinHostPort(host, port), nil
}

// healthClient trusts the very certificate in TLS_CERT_FILE, under PUBLIC_URL's name,
// whoever signed it; one by ACME is of the system's authorities.
func healthClient(c *config.Config) (*http.Client, error) {
	transport := &http.Transport{DisableKeepAlives: true} // and no proxy of the environment's
	if c.AdminTLS() {
		u, err := url.Parse(c.PublicURL)
		if err != nil {
			return nil, err
		}
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: u.Hostname()}
		if c.TLSCertFile != "" {
			pem, err := os.ReadFile(c.TLSCertFile)
			if err != nil {
				return nil, fmt.Errorf("TLS_CERT_FILE: %w", err)
			}
			transport.TLSClientConfig.RootCAs = x509.NewCertPool()
			transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem)
		}
	}
	return &http.Client{Transport: transport, Timeout: 5 * time.Second}, nil
}

// String says it on a line.
func (h Health) String() string {
	said := []string{h.Status}
	for _, part := range []struct {
		name string
		of   map[string]string
	}{{"", h.Checks}, {"warning: ", h.Warnings}} {
		for _, name := range slices.Sorted(maps.Keys(part.of)) {
			if part.of[name] != "ok" {
				said = append(said, part.name+name+" "+part.of[name])
			}
		}
	}
	return strings.Join(said, "; ")
}
