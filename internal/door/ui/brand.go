package ui

import (
	"bytes"
	"errors"
	"fmt"
	"image/png"
	"math"
	"os"
	"regexp"
	"strconv"
)

// BrandColor is the design's own colour.
const BrandColor = "#0a6a65"

var colorText = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)

var errColor = errors.New("a colour is written as #rrggbb, such as #0a6a65")

// brandRule is the rule that ends the style sheet: the brand's colour. What is written on it and the accent
// are computed by the browser; for those from before 2024 they are computed here in the same way.
func brandRule(color string) (string, error) {
	if color == "" {
		return "", nil
	}
	p, err := PaletteOf(color)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf(":root{--brand:%s}\n@supports not (color:oklch(from red l c h)){:root{--on-brand:%s;--accent:%s}"+
		"@media (prefers-color-scheme:dark){:root{--accent:%s}}}\n", color, p.On, p.Accent, p.AccentDark), nil
}

// Palette is what a brand's colour leads to: the colour of what is written on it, and of links and charts on
// light and on dark ground.
type Palette struct{ Brand, On, Accent, AccentDark string }

// PaletteOf computes it. White or black stands on the brand by its luminance, so that the contrast is 4.5:1
// or more for any colour; the accent has the brand's hue in a lightness that reads.
func PaletteOf(color string) (Palette, error) {
	if !colorText.MatchString(color) {
		return Palette{}, errColor
	}
	n, err := strconv.ParseUint(color[1:], 16, 32)
	if err != nil {
		return Palette{}, err
	}
	r, g, b := linear(uint8(n>>16)), linear(uint8(n>>8)), linear(uint8(n)) //nolint:gosec // bytes on purpose
	p := Palette{Brand: color, On: "#ffffff"}
	if .2126*r+.7152*g+.0722*b > .1791 {
		p.On = "#000000"
	}
	l, c, h := oklch(r, g, b)
	p.Accent, p.AccentDark = hex(min(l, .475), min(c, .13), h), hex(max(l, .78), min(c, .11), h)
	return p, nil
}

// linear is a channel of sRGB as light.
func linear(v uint8) float64 {
	x := float64(v) / 255
	if x <= .04045 {
		return x / 12.92
	}
	return math.Pow((x+.055)/1.055, 2.4)
}

// oklch is a colour's lightness, chroma and hue (Björn Ottosson, Oklab; CSS Color 4 section 10).
func oklch(r, g, b float64) (l, c, h float64) {
	x := math.Cbrt(.4122214708*r + .5363325363*g + .0514459929*b)
	y := math.Cbrt(.2119034982*r + .6806995451*g + .1073969566*b)
	z := math.Cbrt(.0883024619*r + .2817188376*g + .6299787005*b)
	l = .2104542553*x + .7936177850*y - .0040720468*z
	a, bb := 1.9779984951*x-2.4285922050*y+.4505937099*z, .0259040371*x+.7827717662*y-.8086757660*z
	return l, math.Hypot(a, bb), math.Atan2(bb, a)
}

// hex is the sRGB colour of the lightness and hue, with as much of the chroma as sRGB has.
func hex(l, c, h float64) string {
	for ; c > 0; c -= .004 {
		if s, ok := rgb(l, c, h); ok {
			return s
		}
	}
	s, _ := rgb(l, 0, h)
	return s
}

func rgb(l, c, h float64) (string, bool) {
	a, b := c*math.Cos(h), c*math.Sin(h)
	x, y, z := l+.3963377774*a+.2158037573*b, l-.1055613458*a-.0638541728*b, l-.0894841775*a-1.2914855480*b
	x, y, z = x*x*x, y*y*y, z*z*z
	out, fits := "#", true
	for _, v := range []float64{
		4.0767416621*x - 3.3077115913*y + .2309699292*z, -1.2684380046*x + 2.6097574011*y - .3413193965*z,
		-.0041960863*x - .7034186147*y + 1.7076147010*z,
	} {
		if v < -1e-4 || v > 1+1e-4 {
			fits = false
		}
		v = min(max(v, 0), 1)
		if v <= .0031308 {
			v *= 12.92
		} else {
			v = 1.055*math.Pow(v, 1/2.4) - .055
		}
		out += fmt.Sprintf("%02x", int(math.Round(v*255)))
	}
	return out, fits
}

// mostLogo is the largest logo, in bytes: it is part of every page's weight.
const mostLogo = 16 << 10

// logoHeight is how high a logo is, in CSS pixels.
const logoHeight = 28

// addLogo reads the operator's logo.
func (k *Kit) addLogo() error {
	if k.Config.Logo == "" {
		return nil
	}
	b, err := os.ReadFile(k.Config.Logo)
	if err != nil {
		return err
	}
	if len(b) > mostLogo {
		return fmt.Errorf("the logo has %d bytes, of %d: it is part of every page", len(b), mostLogo)
	}
	var width, height float64
	name := "logo.svg"
	if bytes.HasPrefix(b, []byte("\x89PNG")) {
		c, err := png.DecodeConfig(bytes.NewReader(b))
		if err != nil {
			return fmt.Errorf("the logo is no PNG that can be read: %w", err)
		}
		name, width, height = "logo.png", float64(c.Width), float64(c.Height)
	} else if width, height, err = svgSize(b); err != nil {
		return err
	}
	k.logoSize = [2]int{min(max(int(math.Round(logoHeight*width/height)), 8), 160), logoHeight}
	k.add("logo", name, string(b))
	return nil
}

var errSVG = errors.New("the logo is neither a PNG nor an SVG with a viewBox")

// viewBox is the size that an SVG's own element says.
var viewBox = regexp.MustCompile(`^(?s:[^<]|<\?.*?\?>|<!.*?>)*<svg\b[^>]*\bviewBox\s*=\s*["']\s*[-0-9.]+[ ,]+[-0-9.]+[ ,]+([0-9.]+)[ ,]+([0-9.]+)\s*["']`)

// svgSize returns the size of an SVG's viewBox. It is served as an image, in which nothing runs.
func svgSize(b []byte) (width, height float64, err error) {
	found := viewBox.FindSubmatch(b)
	if found == nil {
		return 0, 0, errSVG
	}
	width, _ = strconv.ParseFloat(string(found[1]), 64)
	height, _ = strconv.ParseFloat(string(found[2]), 64)
	if width <= 0 || height <= 0 {
		return 0, 0, errSVG
	}
	return width, height, nil
}
