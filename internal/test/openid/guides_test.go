package openid

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
	"github.com/gatehouse-auth/gatehouse/internal/test/proctest"
)

// guide returns a page of docs/guides.
func guide(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(proctest.File("docs/guides/" + name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// program is the first block of a guide in a language, with texts changed that must be there.
func program(t *testing.T, name, language string, pairs ...string) string {
	t.Helper()
	_, after, _ := strings.Cut(guide(t, name), "\n```"+language+"\n")
	text, _, ok := strings.Cut(after, "\n```\n")
	for i := 0; i < len(pairs); i += 2 {
		if ok = ok && strings.Contains(text, pairs[i]); !ok {
			t.Fatalf("%s has no block of %s with %q", name, language, pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

// The page of the guide to single-page applications, in Chromium: somebody signs in, is named, and signs out.
func TestGuide_SinglePageApplication(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	verified(h, ada)
	library := filepath.Join(proctest.Modules(t), "oidc-client-ts/dist/browser/oidc-client-ts.min.js")
	text := ""
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/oidc-client-ts.min.js" {
			http.ServeFile(w, r, library)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(text))
	}))
	defer page.Close()
	a := register(h, "shop", client.SPA, firstParty, func(s *client.Settings) {
		s.RedirectURIs, s.PostLogoutURIs = []string{page.URL + "/"}, []string{page.URL + "/"}
	})
	text = program(t, "single-page-application.md", "html", "https://auth.example.org", h.App.URL(), "the client id", a.ID)
	tab := chromium(t)[0]
	do := func(what string, actions ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(tab, actions...); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	says := func(want string) {
		t.Helper()
		h.Eventually(want, func() (string, bool) {
			got, err := chromedp.Run(tab, chromedp.Evaluate[string](`document.getElementById('who')?.textContent ?? ''`))
			return got, err == nil && got == want
		})
	}
	do("the page", chromedp.Navigate(page.URL+"/"))
	says("nobody")
	do("sign in", chromedp.Click("#in"), chromedp.WaitVisible("#password"), chromedp.SendKeys("#email", ada), chromedp.SendKeys("#password", harness.Passphrase),
		chromedp.Click(".btn.main"))
	says(ada)
	do("sign out", chromedp.Click("#out"))
	says("nobody")
	if n := h.Count(`SELECT COUNT(*) FROM session WHERE ended_at IS NULL`); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

// The program of the guide to native applications: it listens on loopback, where the person's browser ends.
func TestGuide_NativeApplication(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	verified(h, ada)
	a := register(h, "notes", client.Native, func(s *client.Settings) {
		s.RedirectURIs, s.PostLogoutURIs = []string{"http://127.0.0.1/callback"}, nil
	})
	cmd := proctest.Node(t, program(t, "native-application.md", "js", "https://auth.example.org", h.App.URL(), "the client id", a.ID,
		"oidc.None())", "oidc.None(), { execute: [oidc.allowInsecureRequests] })")) // it runs on this machine
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said = append(said, lines.Text())
		if at, ok := strings.CutPrefix(lines.Text(), "Open in your browser: "); ok {
			to, err := url.Parse(at)
			if err != nil {
				t.Fatal(err)
			}
			res, err := http.Get(a.whereTo(h.Browser(), to.RequestURI()).String()) //nolint:noctx // the program's own
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
		}
	}
	if err := cmd.Wait(); err != nil || len(said) != 3 || said[1] != "Hello, "+ada || said[2] != "Refreshed: "+ada {
		t.Errorf("%v: it says %q", err, said)
	}
}

// What the guides to applications call Gatehouse's addresses are those that discovery names.
func TestGuide_AddressesAreServed(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	served := map[string]bool{"/.well-known/openid-configuration": true}
	for _, value := range h.Expect(200, "", harness.Get("/.well-known/openid-configuration")).Fields {
		if at, ok := value.(string); ok {
			served[strings.TrimPrefix(at, h.URL())] = true
		}
	}
	address := regexp.MustCompile(`https://auth\.example\.org(/(?:oauth2|\.well-known)/[a-z-]+)`)
	found := 0
	for _, name := range []string{
		"grafana.md", "gitea.md", "oauth2-proxy.md", "mod-auth-openidc.md", "single-page-application.md", "native-application.md", "openid-connect.md",
	} {
		for _, m := range address.FindAllStringSubmatch(guide(t, name), -1) {
			if found++; !served[m[1]] {
				t.Errorf("%s names %s, which nothing serves", name, m[0])
			}
		}
	}
	if found < 6 {
		t.Errorf("only %d addresses were found", found)
	}
}
