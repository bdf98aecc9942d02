package page

import (
	"io/fs"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

// inline is what a policy without unsafe-inline stops.
var inline = regexp.MustCompile(`(?i)<style|\sstyle\s*=|\son[a-z]+\s*=|javascript:|<script[^>]*>\s*[^<\s]|<(iframe|object|embed|base)\b`)

// HDR-1, ASVS 3.4.3: no template counts on what the policy stops.
func TestHDR1_NothingInline(t *testing.T) {
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		b, err := fs.ReadFile(templateFiles, name)
		if err != nil {
			t.Fatal(err)
		}
		if found := inline.FindString(string(b)); found != "" {
			t.Errorf("%s has %q: no browser will run it. Put it into a file under assets", name, found)
		}
	}
}

var nonceOf = regexp.MustCompile(`script-src 'nonce-([A-Za-z0-9_-]{22})'; style-src 'nonce-([A-Za-z0-9_-]{22})'`)

// HDR-1: each answer has a nonce of its own, which is on all that loads something
// and nowhere else; what is smuggled into a page can't have it.
func TestHDR1_Nonce(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		w := httptest.NewRecorder()
		smuggled := `"><script src=/assets/setup.js></script><script nonce="` + strings.Repeat("x", 22) + `">`
		if err := render(w, 200, "setup.html", setupPage{Email: smuggled, Problem: smuggled}); err != nil {
			t.Fatal(err)
		}
		found := nonceOf.FindStringSubmatch(w.Header().Get("Content-Security-Policy"))
		if found == nil || found[1] != found[2] || seen[found[1]] {
			t.Fatalf("the policy %q", w.Header().Get("Content-Security-Policy"))
		}
		seen[found[1]] = true
		body := w.Body.String()
		if n := strings.Count(body, found[1]); n != 4 || strings.Count(body, `nonce="`+found[1]+`"`) != n {
			t.Fatalf("the nonce stands %d times in the page:\n%s", n, body)
		}
		if strings.Contains(body, stencil) || strings.Contains(w.Header().Get("Content-Security-Policy"), "unsafe") {
			t.Fatal("the stencil leaves the process, or the policy allows what it should not")
		}
	}
}
