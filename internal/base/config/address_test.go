package config

import (
	"slices"
	"strings"
	"testing"
)

func TestPublicURL(t *testing.T) {
	for value, want := range map[string]string{
		"https://auth.acme.org": "https://auth.acme.org", "https://auth.acme.org/": "https://auth.acme.org",
		"HTTPS://AUTH.Acme.org": "https://auth.acme.org", "https://auth.acme.org:443": "https://auth.acme.org",
		"https://auth.acme.org:0443": "https://auth.acme.org", "http://auth.acme.org:80": "http://auth.acme.org",
		"https://auth.acme.org:8443": "https://auth.acme.org:8443", "http://[2001:DB8::1]:8000": "http://[2001:db8::1]:8000",
		"https://192.0.2.7": "https://192.0.2.7", "https://xn--bcher-kva.de": "https://xn--bcher-kva.de", "http://localhost:3000": "http://localhost:3000",
	} {
		if c := mustLoad(t, "PUBLIC_URL="+value); c.PublicURL != want || c.JWTIssuer != want {
			t.Errorf("%s: %q", value, c.PublicURL)
		}
	}
	for _, bad := range []string{
		"auth.acme.org", "//auth.acme.org", "ftp://auth.acme.org", "javascript:alert(1)", "https:auth.acme.org", "https://", "https:///",
		"https://auth.acme.org/login", "https://auth.acme.org//", "https://auth.acme.org?", "https://auth.acme.org?a=b", "https://auth.acme.org#",
		"https://auth.acme.org#x", "https://user@auth.acme.org", "https://user:Zq7Kx9Wv@auth.acme.org", "https://@auth.acme.org",
		"https://auth.acme.org:65536", "https://auth.acme.org:x", "https://auth..acme.org", "https://-auth.acme.org", "https://bücher.de",
		"https://auth.acme.org.", "https://a_b.acme.org", "https://[::1", "https://[fe80::1%25eth0]", "https://auth acme.org", "https://auth%2eacme.org",
		"https://auth.acme.org\\evil.org", "https://*", "*", "null", "https://" + strings.Repeat("a.", 130) + "org",
	} {
		f := faultsOf(t, second(load("PUBLIC_URL="+bad)))
		if len(f.List) != 1 || f.List[0].Setting != "PUBLIC_URL" {
			t.Errorf("%s: %v", bad, f)
		}
	}
}

// NET-1: with a certificate the public listener may be reached by others.
func TestNET1_OwnTLS(t *testing.T) {
	tls := []string{"LISTEN_ADDR=0.0.0.0:443", "TLS_CERT_FILE=c.pem", "TLS_KEY_FILE=k.pem", "TLS_REDIRECT_ADDR=:80"}
	if c := mustLoad(t, production(tls...)...); !c.OwnTLS() || c.ConnectionsPerAddress != 256 || len(c.Warnings) > 0 || len(c.TrustedProxies) > 0 {
		t.Errorf("%+v", c)
	}
	if c := mustLoad(t, tls...); c.PublicURL != "https://localhost" || len(c.Warnings) > 0 {
		t.Errorf("development: %+v", c)
	}
	if got := mustLoad(t, "LISTEN_ADDR=10.0.0.1:8000", "PUBLIC_URL=https://Auth.acme.org:8443").HostNames(); !slices.Equal(got,
		[]string{"auth.acme.org:8443", "10.0.0.1"}) {
		t.Errorf("development: %q", got)
	}
	if got := mustLoad(t, "LISTEN_ADDR=0.0.0.0:1").HostNames(); !slices.Equal(got, []string{"localhost:1"}) {
		t.Errorf("every address: %q", got)
	}
	if got := mustLoad(t, production()...).HostNames(); len(got) != 1 || got[0] != "auth.acme.org" {
		t.Errorf("production: %q", got)
	}
}

// NET-1, ASVS 5.0 V12.2.1: in production plain HTTP stays on the machine.
func TestNET1_Listeners(t *testing.T) {
	for _, name := range []string{"LISTEN_ADDR", "ADMIN_LISTEN_ADDR"} {
		for _, inside := range []string{"127.0.0.1:7000", "127.9.9.9:7000", "[::1]:7000", "localhost:7000", "127.0.0.1:0", "[::ffff:127.0.0.1]:7000"} {
			mustLoad(t, production(name+"="+inside)...)
			if c := mustLoad(t, name+"="+inside); len(c.Warnings) > 0 {
				t.Errorf("%s: %q", inside, c.Warnings)
			}
		}
		for _, outside := range []string{":7000", "0.0.0.0:7000", "[::]:7000", "192.0.2.7:7000", "[2001:db8::1]:7000", "[::ffff:192.0.2.7]:7000", "10.0.0.1:0"} {
			f := faultsOf(t, second(load(production(name+"="+outside)...)))
			if len(f.List) != 1 || f.List[0].Setting != name {
				t.Errorf("%s=%s: %v", name, outside, f)
			}
			if c := mustLoad(t, name+"="+outside); len(c.Warnings) != 1 || !strings.HasPrefix(c.Warnings[0], name+": ") {
				t.Errorf("%s=%s: %q", name, outside, c.Warnings)
			}
		}
		for _, bad := range []string{"7000", "127.0.0.1", "::1:7000", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:-1", "127.0.0.1:+1", "127.0.0.1:65536", "127.1:80",
			"localhost.:80", "LOCALHOST.evil:80", "http://127.0.0.1:8000", "127.0.0.1:80:80", "unix:/run/x"} {
			if _, err := load(name + "=" + bad); err == nil {
				t.Errorf("%s=%s is accepted", name, bad)
			}
		}
	}
	if c := mustLoad(t, "LISTEN_ADDR=127.0.0.1:0", "ADMIN_LISTEN_ADDR=127.0.0.1:0"); len(c.Warnings) > 0 {
		t.Errorf("two ports of the system's choice: %q", c.Warnings)
	}
}
