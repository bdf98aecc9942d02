package factor

import (
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"
)

// The codes are those of an implementation that nobody here wrote.
func TestCodesAreThoseOfTheOracle(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		s := make([]byte, appSecretSize)
		for i := range s {
			s[i] = byte(r.Uint32())
		}
		at := time.Unix(r.Int64N(1<<33), 0)
		want, err := totp.GenerateCode(Text(s), at)
		if got := codeOf(s, stepOf(at)); err != nil || got != want {
			t.Fatalf("secret %x at %d: %s, want %s; %v", s, at.Unix(), got, want, err)
		}
	}
}

// The vectors of RFC 6238, appendix B, cut to six digits.
func TestVectorsOfRFC6238(t *testing.T) {
	for at, want := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		if got := codeOf([]byte("12345678901234567890"), stepOf(time.Unix(at, 0))); got != want {
			t.Errorf("at %d: %s, want %s", at, got, want)
		}
	}
}

// A code is good in its step, the one before and the one after; and each later than the last alone (ASVS 6.5.5, 6.5.1).
func TestASVS_V6_5_5_TheWindow(t *testing.T) {
	appSecret, at := []byte("12345678901234567890"), time.Unix(1_800_000_000, 0)
	now := stepOf(at)
	for _, c := range []struct {
		of, last int64
		want     Verdict
	}{
		{now - 2, 0, Wrong}, {now - 1, 0, Right}, {now, 0, Right}, {now + 1, 0, Right}, {now + 2, 0, Wrong},
		{now, now, Used}, {now - 1, now, Used}, {now + 1, now, Right}, {now, now + 1, Used}, {now - 1, now - 2, Right},
	} {
		step, got := Judge(appSecret, codeOf(appSecret, c.of), c.last, at)
		if got != c.want || got == Right && step != c.of {
			t.Errorf("the code of step %+d after %+d: %v of step %+d, want %v", c.of-now, c.last-now, got, step-now, c.want)
		}
	}
	for _, code := range []string{"", "00000", "0000000", "abcdef", "00000\u0660"} {
		if _, v := Judge(appSecret, ParseAppCode(code), 0, at); v != Wrong {
			t.Errorf("%q: %v", code, v)
		}
	}
}

func TestCodesAsTheyAreTyped(t *testing.T) {
	for typed, want := range map[string]string{
		"123456": "123456", " 123 456 ": "123456", "123-456": "123456", "123\u00a0456": "123456",
		"12345": "", "1234567": "", "12345x": "", "١٢٣٤٥٦": "", "": "",
	} {
		if got := ParseAppCode(typed); got != want {
			t.Errorf("%q: %q, want %q", typed, got, want)
		}
	}
	for typed, want := range map[string]string{
		"abcd-efgh-jklm-npqr-stuv-wxyz": "ABCDEFGHJKLMNPQRSTUVWXYZ", "ABCD EFGH JKLM NPQR STUV WXYZ": "ABCDEFGHJKLMNPQRSTUVWXYZ",
		"ABCDEFGHJKLMNPQRSTUVWXY": "", "ABCDEFGHJKLMNPQRSTUVWXYZ2": "", "ABCD-EFGH-JKLM-NPQR-STUV-WXY1": "", "": "",
	} {
		if got := ParseRecoveryCode(typed); got != want {
			t.Errorf("%q: %q, want %q", typed, got, want)
		}
	}
}

// What is in the URI is read back by the oracle, whatever is in the names.
func TestTheURIIsReadBack(t *testing.T) {
	for _, issuer := range []string{"Acme", "Äcme & Söhne: Fußball", "a+b c/d?e#f%20"} {
		address := strings.Repeat("a", 60) + "+x:y@" + "exämple.org"
		uri := URI(issuer, address, []byte("12345678901234567890"))
		k, err := otp.NewKeyFromURL(uri)
		if err != nil {
			t.Fatal(err)
		}
		want := strings.ReplaceAll(issuer, ":", "")
		if k.Issuer() != want || k.AccountName() != strings.ReplaceAll(address, ":", "") || k.Secret() != "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" {
			t.Errorf("%s: %q %q %q", uri, k.Issuer(), k.AccountName(), k.Secret())
		}
		if u, err := url.Parse(uri); err != nil || strings.Contains(u.RawQuery, "+") {
			t.Errorf("%s: a space is %%20; %v", uri, err)
		}
	}
}
