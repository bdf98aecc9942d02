package transport_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/acme/acmetest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// NET-1: two production replicas begin without a certificate, order one between
// them, and serve it both.
func TestNET1_ACME(t *testing.T) {
	t.Parallel()
	secure, plain := acmetest.Port(t), acmetest.Port(t)
	authority := acmetest.Start(t, plain, secure)
	dbURL := dbtest.NewServer(t, "fsync=on").Serving().Serving
	replica := func(settings ...string) *harness.Server {
		return harness.Open(t, dbURL, append([]string{
			"ENVIRONMENT=production", "PUBLIC_URL=https://" + tlsName, "BCRYPT_COST=12",
			"TLS_ACME_DOMAINS=" + tlsName, "TLS_ACME_DIRECTORY=" + authority.Directory,
		}, settings...)...)
	}
	reached := replica(fmt.Sprint("LISTEN_ADDR=127.0.0.1:", secure), fmt.Sprint("TLS_REDIRECT_ADDR=127.0.0.1:", plain))
	replicas := []*harness.Server{reached, replica("LISTEN_ADDR=127.0.0.1:0")}
	serials := map[string]bool{}
	for _, h := range replicas {
		h.Eventually("a certificate", func() (string, bool) {
			s, err := handshake(h, &tls.Config{})
			if err != nil {
				_, ready := h.Admin("/readyz")
				return err.Error() + ready, false
			}
			serials[s.PeerCertificates[0].SerialNumber.String()] = true
			return "", s.PeerCertificates[0].VerifyHostname(tlsName) == nil
		})
		if _, text := h.Admin("/readyz"); strings.Contains(text, `"certificate"`) {
			t.Errorf("readyz: %s", text)
		}
		if _, text := h.Admin("/metrics"); !regexp.MustCompile(`(?m)^gatehouse_certificate_expires_timestamp_seconds 1\.\d+e\+09$`).MatchString(text) {
			t.Errorf("no metric of it:\n%s", text)
		}
		if res, err := tlsClient(h, true).Get("https://" + tlsName + "/.well-known/jwks.json"); err != nil || res.StatusCode != 200 || res.ProtoMajor != 2 {
			t.Errorf("%v, %v", res, err)
		} else {
			_ = res.Body.Close()
		}
	}
	if orders := strings.Count(replicas[0].Logs.String()+replicas[1].Logs.String(), "A certificate was ordered."); orders != 1 || len(serials) != 1 {
		t.Errorf("%d orders, serials %v", orders, serials)
	}
	for _, path := range []string{"nothing", "..%2fv1", "a/b", ""} {
		r, err := http.NewRequest("GET", reached.App.RedirectURL()+"/.well-known/acme-challenge/"+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = tlsName
		res, err := harness.HTTPClient.Do(r)
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
	h := harness.Open(t, dbtest.SQLite(t), "PUBLIC_URL=https://"+tlsName, "TLS_ACME_DOMAINS="+tlsName, "TLS_ACME_DIRECTORY=https://127.0.0.1:1/directory")
	h.Eventually("the warning", func() (string, bool) {
		status, text := h.Admin("/readyz")
		return text, status == 200 && strings.Contains(text, `"certificate":"there is none yet; no other can be had (the account: `) &&
			strings.Contains(text, "refused")
	})
	if _, err := handshake(h, &tls.Config{}); err == nil {
		t.Error("a handshake without a certificate")
	}
}
