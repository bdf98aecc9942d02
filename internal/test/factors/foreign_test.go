package factors

import (
	"bytes"
	"encoding/base32"
	"fmt"
	"html"
	"image"
	"image/draw"
	"image/png"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// Programs that nobody here wrote read the QR code and show the codes: zbar, and oathtool.

// foreign runs one, and returns what it says.
func foreign(t *testing.T, in []byte, program string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), program, args...)
	var out, complaints bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(in), &out, &complaints
	if err := c.Run(); err != nil {
		t.Fatalf("%s %q: %v\n%s", program, args, err, complaints.String())
	}
	return strings.TrimSpace(out.String())
}

var (
	drawn = regexp.MustCompile(`<svg class="qr" viewBox="0 0 (\d+) \d+".*?fill="#000" d="([^"]+)"`)
	bar   = regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-(\d+)z`)
)

// photograph is what a camera sees of a page's QR code.
func photograph(t *testing.T, page string) []byte {
	t.Helper()
	const scale = 6
	svg := drawn.FindStringSubmatch(page)
	if svg == nil {
		t.Fatalf("no QR code: %s", page)
	}
	size, x, y, n := 0, 0, 0, 0
	if _, err := fmt.Sscan(svg[1], &size); err != nil {
		t.Fatal(err)
	}
	picture := image.NewGray(image.Rect(0, 0, size*scale, size*scale))
	draw.Draw(picture, picture.Bounds(), image.White, image.Point{}, draw.Src)
	for _, b := range bar.FindAllStringSubmatch(svg[2], -1) {
		if _, err := fmt.Sscan(strings.Join(b[1:4], " "), &x, &y, &n); err != nil {
			t.Fatal(err)
		}
		draw.Draw(picture, image.Rect(x*scale, y*scale, (x+n)*scale, (y+1)*scale), image.Black, image.Point{}, draw.Src)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// oathCodes are the codes that oathtool shows from a time on.
func oathCodes(t *testing.T, secret string, at time.Time, n int) []string {
	t.Helper()
	now := at.UTC().Format("2006-01-02 15:04:05 UTC")
	return strings.Fields(foreign(t, nil, "oathtool", "--totp", "--base32", "--window", fmt.Sprint(n-1), "--now", now, secret))
}

// Whatever the service is called and however long the address is: a scanner reads the page's QR code, an app makes codes of what
// stands in it, and those sign in.
func TestForeignProgramsReadTheQRCodeAndShowTheCodes(t *testing.T) {
	for email, issuer := range map[string]string{
		"ada@example.org": "Helios Energy",
		strings.Repeat("a", 60) + "+tag@" + strings.Repeat("long.", 30) + "example.org": "Äcme & Söhne, Fußball",
	} {
		t.Run(issuer, func(t *testing.T) {
			clock := &harness.Clock{}
			h := harness.OpenAt(t, dbtest.SQLite(t), clock.Now, "TOTP_ISSUER="+issuer, "SECOND_FACTOR=*")
			h.Register(email)
			b := h.Browser()
			b.Send(harness.Press("/login", harness.Body{"email": email, "password": harness.Passphrase}))
			shown := b.Send(harness.Press("/login/enrol", harness.Body{"begin": "1"}))
			read := foreign(t, photograph(t, shown.Text), "zbarimg", "--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", "-")
			if !strings.Contains(html.UnescapeString(shown.Text), `href="`+read+`"`) {
				t.Errorf("the scanner reads %s, which is not the page's link", read)
			}
			u, err := url.Parse(read)
			if err != nil || u.Scheme != "otpauth" || u.Host != "totp" {
				t.Fatalf("the scanner reads %q: %v", read, err)
			}
			if got := u.Query().Get("issuer"); got != issuer || u.Path != "/"+issuer+":"+email {
				t.Errorf("issuer %q, path %q", got, u.Path)
			}
			a := &harness.App{Server: h, Email: email, Clock: clock, Secret: u.Query().Get("secret")}
			code := oathCodes(t, a.Secret, clock.Now(), 1)[0]
			mail := h.Mailbox().Last(email, notice.FactorCode).Code
			codesOf(h, b.Send(harness.Press("/login/enrol", harness.Body{"code": code, "mail_code": mail})))
			a.Next()
			h.Expect(200, "", harness.ShowCode(a.Pending(), oathCodes(t, a.Secret, clock.Now(), 1)[0]))
		})
	}
}

// Our codes are oathtool's, for two thousand steps of several secrets and times.
func TestOurCodesAreThoseOfOathtool(t *testing.T) {
	for i, secret := range []string{"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", strings.Repeat("A", 32), strings.Repeat("7", 32), "MFRGGZDFMZTWQ2LKNNWG23TPOBYXE43U"} {
		plain, err := base32.StdEncoding.DecodeString(secret)
		if err != nil {
			t.Fatal(err)
		}
		for _, from := range []int64{59, 1111111109, 1_800_000_000, 4_102_444_800} {
			at := time.Unix(from+int64(i), 0)
			for step, want := range oathCodes(t, secret, at, 125) {
				now := at.Add(time.Duration(step) * 30 * time.Second)
				if _, v := factor.Judge(plain, want, 0, now); v != factor.Right {
					t.Fatalf("secret %s at %s: oathtool says %s, which is not right here", secret, now, want)
				}
			}
		}
	}
}
