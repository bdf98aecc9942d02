package ui

import (
	"strings"
	"testing"
)

// An address that is not one of an app's secret, or could break out of its attribute, is not drawn and not linked to.
func TestAQRCodeLeadsToAnApp(t *testing.T) {
	q, err := NewQR("otpauth://totp/Helios%20Energy:ada%40example.org?secret=ABCDEFGHIJKLMNOPQRSTUVWXYZ234567&issuer=Helios%20Energy")
	if err != nil || !strings.HasPrefix(q.Path(), "M4 4h7") || q.Size() < 45 || q.Size() > 77 {
		t.Errorf("size %d, error %v, path %.60s", q.Size(), err, q.Path())
	}
	for _, bad := range []string{
		"", "javascript:alert(1)", "https://example.org/", "otpauth://hotp/x", "otpauth://totp/a b", `otpauth://totp/"x`, "otpauth://totp/<x>", "otpauth://totp/ä",
		"otpauth://totp/\x00", strings.Repeat("otpauth://totp/", 400),
	} {
		if q, err := NewQR(bad); err == nil {
			t.Errorf("%q was drawn, and links to %s", bad, q.Link())
		}
	}
}
