package config

import (
	"slices"
	"testing"
)

// TestTrustedProxiesDefault: nobody; in production the machine itself, where
// nobody else can connect.
func TestTrustedProxiesDefault(t *testing.T) {
	if c := mustLoad(t); len(c.TrustedProxies) > 0 || c.CloudflareProxies {
		t.Errorf("development trusts %v", c.TrustedProxies)
	}
	loopback := networks("127.0.0.0/8", "::1/128")
	for _, addr := range []string{"127.0.0.1:8000", "[::1]:8000", "localhost:80"} {
		if c := mustLoad(t, production("LISTEN_ADDR="+addr)...); !slices.Equal(c.TrustedProxies, loopback) {
			t.Errorf("%s: %v", addr, c.TrustedProxies)
		}
	}
	if c := mustLoad(t, production("TRUSTED_PROXIES=none")...); len(c.TrustedProxies) > 0 {
		t.Errorf("none is %v", c.TrustedProxies)
	}
	for written, shown := range map[string]string{
		"NONE": "none", "cloudflare": "cloudflare", "10.1.2.3/8,Cloudflare,10.0.0.1": "10.0.0.0/8, 10.0.0.1, cloudflare", "2001:DB8::1": "2001:db8::1",
	} {
		for _, row := range mustLoad(t, "TRUSTED_PROXIES="+written).Report() {
			if row.Name == "TRUSTED_PROXIES" && row.Value != shown {
				t.Errorf("%s is shown as %s", written, row.Value)
			}
		}
	}
}
