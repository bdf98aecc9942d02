package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

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
func (s *Server) openCertificateFile(o Options) error {
	if s.config.TLSCertFile == "" {
		return nil
	}
	_, host, _ := strings.Cut(s.config.PublicURL, "://")
	c, err := web.OpenCertificate(s.config.TLSCertFile, s.config.TLSKeyFile, host, o.Now, s.log)
	if err == nil {
		s.certificate = c
	}
	return err
}

// openACME takes up the certificate in the database, if it is ordered by ACME; else
// it returns nil.
func (s *Server) openACME(ctx context.Context, ring *keyring.Ring, o Options) (*acme.Certificate, error) {
	if len(s.config.ACMEDomains) == 0 {
		return nil, nil //nolint:nilnil // there is none
	}
	// A key that was revoked opens nothing: what it sealed may have been read.
	keys := func() (list [][]byte) {
		for _, k := range slices.Backward(ring.Keys(keyring.ACME)) {
			if k.RevokedAt.IsZero() {
				list = append(list, k.Material)
			}
		}
		return list
	}
	c, err := acme.Open(ctx, acme.Config{
		Directory: s.config.ACMEDirectory, Domains: s.config.ACMEDomains, PlainHTTP: s.redirect != nil,
	}, s.db, keys, o.Now, s.log)
	if err != nil {
		return nil, err
	}
	s.certificate = c
	return c, nil
}

// challengeProtocols are what handshakes speak beside HTTP.
func (s *Server) challengeProtocols() []string {
	if len(s.config.ACMEDomains) == 0 {
		return nil
	}
	return []string{acme.Protocol}
}

func renewCertificate(c *acme.Certificate) []job.Job {
	if c == nil {
		return nil
	}
	return []job.Job{{Name: "renew-certificate", Every: 10 * time.Second, Lease: acme.OrderTime * 3 / 2, Run: c.Renew}}
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
func (s *Server) certificateTrouble(now time.Time) string {
	if s.certificate == nil {
		return ""
	}
	from, until := s.certificate.Validity()
	var says []string
	switch {
	case until.IsZero():
		says = append(says, "there is none yet")
	case now.After(until):
		says = append(says, "it ended at "+until.UTC().Format(time.RFC3339))
	case now.After(until.Add(until.Sub(from) / -6)):
		says = append(says, "it ends at "+until.UTC().Format(time.RFC3339))
	}
	if why := s.certificate.Trouble(); why != "" {
		says = append(says, fmt.Sprintf("no other can be had (%s)", why))
	}
	return strings.Join(says, "; ")
}

func (s *Server) observeCertificate(registry prometheus.Registerer) {
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "gatehouse_certificate_expires_timestamp_seconds",
		Help: "When the certificate of the public listener ends, in seconds since 1970; 0 if there is none.",
	}, func() float64 {
		if s.certificate == nil {
			return 0
		}
		if _, until := s.certificate.Validity(); !until.IsZero() {
			return float64(until.Unix())
		}
		return 0
	}))
}
