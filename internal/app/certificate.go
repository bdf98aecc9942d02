package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/acme"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
)

// certificate is that of the public listener: in files, or ordered by ACME.
type certificate interface {
	Get(hello *tls.ClientHelloInfo) (*tls.Certificate, error)
	Watch(ctx context.Context)
	// Validity is zero where there is none yet.
	Validity() (from, until time.Time)
	// Trouble says why no newer one takes its place, or nothing.
	Trouble() string
}

// openCertificateFile reads the certificate, if it is in files.
func openCertificateFile(c *config.Config, log *slog.Logger, now func() time.Time) (certificate, error) {
	if c.TLSCertFile == "" {
		return nil, nil //nolint:nilnil // there is none
	}
	_, host, _ := strings.Cut(c.PublicURL, "://")
	file, err := web.OpenCertificate(c.TLSCertFile, c.TLSKeyFile, host, now, log)
	if err != nil {
		return nil, err
	}
	return file, nil
}

// newCertificate keeps the certificate of the public listener, in a file or ordered by
// ACME. It is nil where there is none.
func newCertificate(ctx context.Context, b *base, file certificate, plainHTTP bool) (certificate, *acme.Certificate, capability, error) {
	authority, err := openACME(ctx, b, plainHTTP)
	if err != nil {
		return nil, nil, capability{}, err
	}
	it := file
	add := capability{name: "certificate"}
	if authority != nil {
		it = authority
		add.jobs = []job.Job{{Name: "renew-certificate", Every: 10 * time.Second, Lease: acme.OrderTime * 3 / 2, Run: authority.Renew}}
	}
	if it != nil {
		add.loops = []func(context.Context){it.Watch}
	}
	add.metrics = []prometheus.Collector{certificateMetric(it)}
	add.warnings = []check{warning("certificate", func(context.Context) string { return certificateTrouble(it, b.now()) })}
	return it, authority, add, nil
}

// openACME takes up the certificate in the database, if it is ordered by ACME; else
// it returns nil.
func openACME(ctx context.Context, b *base, plainHTTP bool) (*acme.Certificate, error) {
	if len(b.config.ACMEDomains) == 0 {
		return nil, nil //nolint:nilnil // there is none
	}
	// A key that was revoked opens nothing: what it sealed may have been read.
	keys := func() (list [][]byte) {
		for _, k := range slices.Backward(b.ring.Keys(keyring.ACME)) {
			if k.RevokedAt.IsZero() {
				list = append(list, k.Material)
			}
		}
		return list
	}
	return acme.Open(ctx, acme.Config{
		Directory: b.config.ACMEDirectory, Domains: b.config.ACMEDomains, PlainHTTP: plainHTTP,
	}, b.db, keys, b.now, b.log)
}

// challengeProtocols are what handshakes speak beside HTTP.
func challengeProtocols(c *config.Config) []string {
	if len(c.ACMEDomains) == 0 {
		return nil
	}
	return []string{acme.Protocol}
}

// challenges answers the authority's over plain HTTP, and leaves the rest to next.
func challenges(c *acme.Certificate, next http.Handler) http.Handler {
	if c == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, ok := strings.CutPrefix(r.URL.Path, acme.ChallengePath)
		if !ok || r.Method != http.MethodGet {
			next.ServeHTTP(w, r)
			return
		}
		text, err := c.Challenge(r.Context(), token)
		switch {
		case errors.Is(err, db.ErrNoRows):
			next.ServeHTTP(w, r)
		case err != nil:
			http.Error(w, "try again", http.StatusServiceUnavailable)
		default:
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Header().Set("X-Content-Type-Options", "nosniff")
			_, _ = w.Write(text) //nolint:gosec // what we stored, by a name of plain characters, and no page
		}
	})
}

// certificateTrouble says what an operator should know of the certificate, or
// nothing: that there is none, that it has ended, that it is not renewed.
func certificateTrouble(c certificate, now time.Time) string {
	if c == nil {
		return ""
	}
	from, until := c.Validity()
	var says []string
	switch {
	case until.IsZero():
		says = append(says, "there is none yet")
	case now.After(until):
		says = append(says, "it ended at "+until.UTC().Format(time.RFC3339))
	case now.After(until.Add(until.Sub(from) / -6)):
		says = append(says, "it ends at "+until.UTC().Format(time.RFC3339))
	}
	if why := c.Trouble(); why != "" {
		says = append(says, fmt.Sprintf("no other can be had (%s)", why))
	}
	if file, ok := c.(*web.Certificate); ok {
		if why := file.Untrusted(); why != "" {
			says = append(says, why)
		}
	}
	return strings.Join(says, "; ")
}

func certificateMetric(c certificate) prometheus.Collector {
	return gauge("gatehouse_certificate_expires_timestamp_seconds",
		"When the certificate of the public listener ends, in seconds since 1970; 0 if there is none.", func() float64 {
			if c == nil {
				return 0
			}
			if _, until := c.Validity(); !until.IsZero() {
				return float64(until.Unix())
			}
			return 0
		})
}
