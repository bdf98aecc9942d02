package outbound_test

import (
	"net"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/outbound"
)

// FuzzParse: what is accepted goes to a file, to this machine, or over TLS; a
// refusal says why.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"file:/var/log/anchor", "https://collector.example.org/in?ca=/etc/ca.pem", "syslog+tls://log.example.org:6514", "http://127.0.0.1:8080/x",
		"syslog://[::1]:514", "syslog://log.example.org:514", "http://example.org", "file:", "https://", "ftp://x", ":", "https://a@b@c",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := outbound.Parse(s)
		if err != nil {
			if err.Error() == "" {
				t.Error("a refusal that says nothing")
			}
			return
		}
		local := net.ParseIP(u.Hostname())
		switch {
		case u.Scheme == "file", u.Scheme == "https" && u.Hostname() != "", u.Scheme == "syslog+tls" && u.Port() != "":
		case (u.Scheme == "http" || u.Scheme == "syslog") && local != nil && local.IsLoopback():
		default:
			t.Errorf("%q is taken", s)
		}
		if again, err := outbound.Parse(u.String()); err != nil || again.String() != u.String() || strings.Contains(u.String(), "\n") {
			t.Errorf("%q is written as %q, which is %v, %v", s, u, again, err)
		}
	})
}
