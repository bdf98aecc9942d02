package pages_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/door/handbook"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// The documentation in a browser: it is found by words, with script, and listed without; its policy stops nothing of its own;
// nobody is kept from reading it, light or dark, wide or narrow.
func TestTheHandbookInChromium(t *testing.T) {
	site, err := handbook.Make()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(site)
	t.Cleanup(server.Close)
	c := newChromium(harness.Open(t, dbtest.SQLite(t)))

	c.run("a search", chromedp.Navigate(server.URL+"/search.html?q=LOST+jwt_secret_key"))
	first := c.eval(`document.querySelector("#results a").textContent`)
	if !strings.Contains(first, "JWT_SECRET_KEY") || c.eval(`document.querySelectorAll("#results li").length > 100`) == "true" {
		t.Errorf("the first that was found: %q", first)
	}
	c.run("what was found", chromedp.Navigate(c.eval(`document.querySelector("#results a").href`)))
	if got := c.eval(`document.getElementById(location.hash.slice(1)).textContent`); got != first {
		t.Errorf("%q leads to %q", first, got)
	}
	c.run("markup", chromedp.Navigate(server.URL+"/search.html?q=%3Cimg+src%3Dx+onerror%3Dalert(1)%3E"))
	if got := c.eval(`document.querySelectorAll("main img").length + document.getElementById("count").textContent`); got != "0Nothing has all of these words." {
		t.Errorf("a search for markup: %q", got)
	}
	c.quiet("the search", "/favicon.ico")

	for _, l := range looks(look{320, false, "en"}, look{1360, true, "en"}) {
		c.see(l)
		for _, page := range []string{"/", "/search.html", "/guides/load-testing.html", "/configuration.html"} {
			c.run(page, chromedp.Navigate(server.URL+page))
			c.accessible(l.String() + " " + page)
			if c.eval(`document.documentElement.scrollWidth <= innerWidth`) != "true" {
				t.Errorf("%s scrolls sideways at %d", page, l.width)
			}
		}
	}
	c.script(false)
	c.run("without script", chromedp.Navigate(server.URL+"/search.html?q=tls"))
	c.script(true)
	if n := c.eval(`document.querySelectorAll("#results li").length > 300`); n != "true" {
		t.Errorf("without script it does not list every section")
	}
}
