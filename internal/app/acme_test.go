package app_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/acme/acmetest"
)

// NET-1: two production replicas begin without a certificate, order one between
// them, and serve it both.
func TestNET1_ACME(t *testing.T) {
	t.Parallel()
	secure, plain := acmetest.Port(t), acmetest.Port(t)
	authority := acmetest.Start(t, plain, secure)
	dbURL := dbtest.Serving(t).Serving
	replica := func(settings ...string) *house {
		return open(t, dbURL, append([]string{
			"ENVIRONMENT=production", "PUBLIC_URL=https://" + tlsName, "BCRYPT_COST=12",
			"TLS_ACME_DOMAINS=" + tlsName, "TLS_ACME_DIRECTORY=" + authority.Directory,
		}, settings...)...)
	}
	reached := replica(fmt.Sprint("LISTEN_ADDR=127.0.0.1:", secure), fmt.Sprint("TLS_REDIRECT_ADDR=127.0.0.1:", plain))
	replicas := []*house{reached, replica("LISTEN_ADDR=127.0.0.1:0")}
	serials := map[string]bool{}
	for _, h := range replicas {
		h.eventually("a certificate", func() (string, bool) {
			s, err := h.handshake(&tls.Config{})
			if err != nil {
				_, ready := h.admin("/readyz")
				return err.Error() + ready, false
			}
			serials[s.PeerCertificates[0].SerialNumber.String()] = true
			return "", s.PeerCertificates[0].VerifyHostname(tlsName) == nil
		})
		if _, text := h.admin("/readyz"); strings.Contains(text, `"certificate"`) {
			t.Errorf("readyz: %s", text)
		}
		if _, text := h.admin("/metrics"); !regexp.MustCompile(`(?m)^gatehouse_certificate_expires_timestamp_seconds 1\.\d+e\+09$`).MatchString(text) {
			t.Errorf("no metric of it:\n%s", text)
		}
		if res, err := h.tlsClient(true).Get("https://" + tlsName + "/.well-known/jwks.json"); err != nil || res.StatusCode != 200 || res.ProtoMajor != 2 {
			t.Errorf("%v, %v", res, err)
		} else {
			_ = res.Body.Close()
		}
	}
	if orders := strings.Count(replicas[0].log.String()+replicas[1].log.String(), "A certificate was ordered."); orders != 1 || len(serials) != 1 {
		t.Errorf("%d orders, serials %v", orders, serials)
	}
	for _, path := range []string{"nothing", "..%2fv1", "a/b", ""} {
		r, err := http.NewRequest("GET", reached.server.RedirectURL()+"/.well-known/acme-challenge/"+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = tlsName
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if _ = res.Body.Close(); res.StatusCode != 403 {
			t.Errorf("a challenge that is none, %s: %d", path, res.StatusCode)
		}
	}
}

// NET-1: before the first certificate a server starts, and says what it lacks.
func TestNET1_ACMEWithoutAuthority(t *testing.T) {
	t.Parallel()
	h := open(t, dbtest.SQLite(t), "PUBLIC_URL=https://"+tlsName, "TLS_ACME_DOMAINS="+tlsName, "TLS_ACME_DIRECTORY=https://127.0.0.1:1/directory")
	h.eventually("the warning", func() (string, bool) {
		status, text := h.admin("/readyz")
		return text, status == 200 && strings.Contains(text, `"certificate":"there is none yet; no other can be had (the account: `) && strings.Contains(text, "refused")
	})
	if _, err := h.handshake(&tls.Config{}); err == nil {
		t.Error("a handshake without a certificate")
	}
}
