package upstream

import (
	"bufio"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
	"github.com/gatehouse-auth/gatehouse/internal/test/proctest"
)

// TestACertifiedProvider: people sign in by a provider that nobody here wrote, which tells the address at userinfo alone, has no at_hash, and
// sends iss.
func TestACertifiedProvider(t *testing.T) {
	listens := harness.FreePort(t)
	clock := &harness.Clock{}
	file := upstreams(t, `
- {id: npm, kind: oidc, name: npm, issuer: "http://`+listens+`", client_id: gatehouse, secret_file: secret,
    signup: [corp.example], authoritative_for: [corp.example]}
`)
	w := &world{Server: harness.OpenAt(t, dbtest.SQLite(t), clock.Now, "UPSTREAMS_FILE="+file), clock: clock}
	text, err := os.ReadFile(filepath.Join("testdata", "oidc-provider.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := proctest.Node(t, string(text), "http://"+listens, w.URL()+"/signin/npm/callback")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("the provider says %q, %v", line, err)
	}
	for range 2 { // an account is made, and is the same the second time
		b := w.Browser()
		signedIn(b, back(b, "npm", throughCertified(t, leave(b, "npm"), w.URL())), bob)
	}
	if accounts, linked := w.Count(`SELECT COUNT(*) FROM account`), w.Count(`SELECT COUNT(*) FROM identity`); accounts != 1 || linked != 1 {
		t.Errorf("%d accounts, %d identities", accounts, linked)
	}
}

var actions = regexp.MustCompile(`action="([^"]+)"`)

// throughCertified signs in at the provider as a person does, and returns what it sends back.
func throughCertified(t *testing.T, address, until string) url.Values {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := browser.Get(address)
	for range 12 {
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		at := res.Request.URL
		to := res.Header.Get("Location")
		switch {
		case strings.HasPrefix(to, until):
			u, err := url.Parse(to)
			if err != nil {
				t.Fatal(err)
			}
			return u.Query()
		case to != "":
			next, err := at.Parse(to)
			if err != nil {
				t.Fatal(err)
			}
			res, err = browser.Get(next.String())
			if err != nil {
				t.Fatal(err)
			}
		default:
			form := url.Values{"prompt": {"consent"}}
			if strings.Contains(string(text), `name="login"`) {
				form = url.Values{"prompt": {"login"}, "login": {bob}, "password": {"any"}}
			}
			m := actions.FindSubmatch(text)
			if m == nil {
				t.Fatalf("%s: %d\n%s", at, res.StatusCode, text)
			}
			next, err := at.Parse(string(m[1]))
			if err != nil {
				t.Fatal(err)
			}
			if res, err = browser.PostForm(next.String(), form); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Fatal("it goes round in circles")
	return nil
}
