package operate

import (
	"net/netip"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
)

func TestWhichSessionsAreMeant(t *testing.T) {
	for _, c := range []struct {
		network, address string
		want             bool
	}{
		{"203.0.113.0/24", "203.0.113.7", true},
		{"203.0.113.0/24", "::ffff:203.0.113.7", true},
		{"203.0.113.0/24", "203.0.114.7", false},
		{"203.0.113.7/32", "203.0.113.7", true},
		{"2001:db8::/32", "2001:db8:1::1", true},
		{"2001:db8::/32", "2001:db9::1", false},
		{"0.0.0.0/0", "2001:db8::1", false},
		{"::/0", "203.0.113.7", false},
		{"0.0.0.0/0", "", false}, // nobody knows from where
		{"0.0.0.0/0", "nonsense", false},
	} {
		w := Which{Network: netip.MustParsePrefix(c.network)}
		if got := w.holds(session.Info{Account: "a", Address: c.address}); got != c.want {
			t.Errorf("%s in %s: %v", c.address, c.network, got)
		}
		w.Account = "b"
		if w.holds(session.Info{Account: "a", Address: c.address}) {
			t.Error("another account's session is meant")
		}
	}
	if !(Which{}).everybody() || (Which{Account: "a"}).everybody() {
		t.Error("whose sessions are everybody's is wrong")
	}
}
