package ui

import (
	"errors"
	"fmt"
	"html/template"
	"strings"

	"rsc.io/qr"
)

// QR is the secret of an app as a picture for its camera, and as a link for the phone itself. It is drawn as numbers in an
// SVG: pages load images from files of ours alone.
type QR struct {
	uri  string
	code *qr.Code
}

// quiet is the white border of a QR code, in modules (ISO/IEC 18004 section 6.3.8).
const quiet = 4

// appPrefix begins the address of a secret that apps read.
const appPrefix = "otpauth://totp/"

var errNotApp = errors.New("this is not the address of an app's secret")

// NewQR draws the address of an app's secret, of level M. It refuses other addresses, and what is not percent-encoded:
// browsers would follow them.
func NewQR(uri string) (QR, error) {
	if !strings.HasPrefix(uri, appPrefix) || strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"'<>\\`", r) }) {
		return QR{}, errNotApp
	}
	code, err := qr.Encode(uri, qr.M)
	return QR{uri, code}, err
}

// Link leads to the app on the device itself.
func (q QR) Link() template.URL { return template.URL(q.uri) } //nolint:gosec // NewQR has looked at it

// Size is the width and the height, in modules.
func (q QR) Size() int {
	if q.code == nil {
		return 2 * quiet
	}
	return q.code.Size + 2*quiet
}

// Path is what is black.
func (q QR) Path() string {
	var b strings.Builder
	if q.code == nil {
		return ""
	}
	for y := range q.code.Size {
		for x := 0; x < q.code.Size; x++ {
			from := x
			for x < q.code.Size && q.code.Black(x, y) {
				x++
			}
			if x > from {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", from+quiet, y+quiet, x-from, x-from)
			}
		}
	}
	return b.String()
}
