package pages_test

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// axe is axe-core, with its licence next to it (MPL-2.0): a test's asset, and in no binary.
//
//go:embed testdata/axe.min.js
var axe string

// look is how a page is looked at.
type look struct {
	width int
	dark  bool
	lang  string
}

func (l look) String() string {
	theme := "light"
	if l.dark {
		theme = "dark"
	}
	return fmt.Sprintf("%s-%d-%s", l.lang, l.width, theme)
}

// soaking reports whether the long proofs were asked for.
func soaking() bool { return os.Getenv("GATEHOUSE_SOAK") != "" }

// looks returns a few looks, in which each width, scheme and language is tried, or every one there is for the long proofs.
func looks(few ...look) []look {
	if !soaking() {
		return few
	}
	var all []look
	for _, width := range []int{320, 768, 1360} {
		for _, dark := range []bool{false, true} {
			for _, lang := range []string{"en", "ar"} {
				all = append(all, look{width, dark, lang})
			}
		}
	}
	return all
}

// call makes a call of the browser's protocol.
func call[P, R any](c *chromium, what string, command cdp.Command[P, R], in P) R {
	c.Helper()
	out, err := chromedp.Call(c.ctx, command, in)
	if err != nil {
		c.Fatalf("%s: %v", what, err)
	}
	return out
}

// see makes the window as wide and the scheme as dark as the look wants.
func (c *chromium) see(l look) {
	c.Helper()
	call(c, "the window", emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: int64(l.width), Height: 900, DeviceScaleFactor: 1})
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	call(c, "the scheme", emulation.SetEmulatedMedia,
		emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
}

// script switches the page's scripts on or off.
func (c *chromium) script(on bool) {
	c.Helper()
	call(c, "script", emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on})
}

// shot keeps what is seen, for people to look at: artefacts/pages of the repository, which git ignores.
func (c *chromium) shot(name string) {
	c.Helper()
	png, err := chromedp.Run(c.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		c.Fatalf("%s: %v", name, err)
	}
	dir := filepath.Join("..", "..", "..", "artefacts", "pages")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		c.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600); err != nil {
		c.Fatal(err)
	}
}

// accessible fails the test for what axe-core finds, with every disclosure open.
func (c *chromium) accessible(where string) {
	c.Helper()
	c.eval(`document.querySelectorAll("details").forEach((d) => { d.removeAttribute("name"); d.open = true }), 0`)
	c.eval(`(() => { ` + axe + `; window.found = "waiting"; axe.run(document, {resultTypes: ["violations"], iframes: false}).then((r) => {
		window.found = r.violations.map((v) => v.id + ": " + v.nodes.slice(0, 3).map((n) => n.html + " " + n.failureSummary).join("; ")).join("\n");
	}, (e) => { window.found = String(e) }) })()`)
	c.Eventually("axe-core is done", func() (string, bool) {
		found := c.eval("window.found")
		return found, found != "waiting"
	})
	if found := c.eval("window.found"); found != "" {
		c.Errorf("%s: axe-core finds %s", where, found)
	}
}

// shift is how much the page has moved while it was drawn (the sum of its layout shifts).
func (c *chromium) shift(where string) float64 {
	c.Helper()
	n, err := strconv.ParseFloat(c.eval(`(() => { const o = new PerformanceObserver(() => {});
		o.observe({type: "layout-shift", buffered: true});
		return o.takeRecords().reduce((n, e) => n + e.value, 0) })()`), 64)
	if err != nil {
		c.Errorf("%s: %v", where, err)
	}
	return n
}

// fits fails the test if the page scrolls sideways, moved while it was drawn, weighs too much, or asked
// another host for something.
func (c *chromium) fits(where string, most int) {
	c.Helper()
	c.still(where)
	c.fitsOnce(where, most)
}

// still fails the test if the page moved while it was drawn. What moves a page moves it again; what moved it once was the
// machine, which drew it before all had come.
func (c *chromium) still(where string) {
	c.Helper()
	if first := c.shift(where); first > 0.001 {
		c.run(where+", again", chromedp.Reload())
		if n := c.shift(where); n > 0.001 {
			c.Errorf("%s shifts by %v, and by %v", where, first, n)
		}
	}
}

// fitsOnce is fits for a page that is shown once, and would be another when it is loaded again.
func (c *chromium) fitsOnce(where string, most int) {
	c.Helper()
	if over := c.eval(`document.documentElement.scrollWidth - innerWidth`); strings.TrimLeft(over, "-0123456789") == "" && !strings.HasPrefix(over, "-") &&
		over != "0" {
		c.Errorf("%s scrolls sideways by %s px: %s", where, over,
			c.eval(`[...document.querySelectorAll("body *")]
				.filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll,.say"))
				.slice(0, 4).map((e) => e.outerHTML.slice(0, 120)).join("\n")`))
	}
	loaded := c.eval(`[performance.getEntriesByType("navigation")[0], ...performance.getEntriesByType("resource")]
		.map((e) => e.name + " " + e.decodedBodySize).join("\n")`)
	sum := 0
	for _, line := range strings.Split(loaded, "\n") {
		name, size, _ := strings.Cut(line, " ")
		n, err := strconv.Atoi(size)
		if err != nil || !strings.HasPrefix(name, c.App.URL()) {
			c.Errorf("%s asked for %s", where, line)
		}
		sum += n
	}
	if sum > most || sum < 10_000 {
		c.Errorf("%s weighs %d bytes, of %d:\n%s", where, sum, most, loaded)
	}
}

// forget takes the browser's cookies away.
func (c *chromium) forget() {
	c.Helper()
	call(c, "cookies", network.ClearBrowserCookies, cdp.Empty{})
}
