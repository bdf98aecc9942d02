package upstream

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

const (
	ada = "ada@example.org"
	eve = "eve@example.net"
	bob = "bob@corp.example"
)

// world is a server with one provider, or several.
type world struct {
	*harness.Server
	clock *harness.Clock
	// corp is authoritative for corp.example and signs people up; lax vouches for nothing.
	corp, lax *fake
}

// each runs a test on SQLite and PostgreSQL.
func each(t *testing.T, test func(w *world), settings ...string) {
	t.Helper()
	dbtest.EachProduction(t, func(t *testing.T, dbURL string) { test(open(t, dbURL, settings...)) })
}

// once runs a test on SQLite.
func once(t *testing.T, test func(w *world), settings ...string) {
	t.Helper()
	test(open(t, dbtest.SQLite(t), settings...))
}

func open(t *testing.T, dbURL string, settings ...string) *world {
	t.Helper()
	clock := &harness.Clock{}
	corp, lax := newFake(t, clock.Now), newFake(t, clock.Now)
	file := upstreams(t, fmt.Sprintf(`
- {id: corp, kind: oidc, name: Corp, issuer: %q, client_id: gatehouse, secret_file: secret, signup: [corp.example], authoritative_for: [corp.example]}
- {id: lax, kind: oidc, name: Lax, issuer: %q, client_id: gatehouse, secret_file: secret, signup: ["*"]}
`, corp.URL, lax.URL))
	return &world{harness.OpenAt(t, dbURL, clock.Now, append([]string{"UPSTREAMS_FILE=" + file}, settings...)...), clock, corp, lax}
}

// upstreams writes a file of providers.
func upstreams(t *testing.T, providers string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"upstreams.yaml": "providers:" + providers, "secret": "the client's secret\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "upstreams.yaml")
}

// verified registers an account whose address is verified.
func (w *world) verified(email string) {
	w.Helper()
	w.Register(email)
	if err := w.Operator().Verify(w.Context(), email, harness.OriginOfTests); err != nil {
		w.Fatal(err)
	}
}

// go on a page of ours.
func page(path string) harness.Request {
	return harness.Request{Method: "GET", Path: path, Header: http.Header{
		"Accept": {"text/html"}, "Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"},
	}}
}

// leave presses the button of a provider, and returns where the browser goes.
func leave(b *harness.Browser, id string, more ...string) string {
	b.Helper()
	in := harness.Body{"return_to": "/account"}
	for i := 0; i < len(more); i += 2 {
		in[more[i]] = more[i+1]
	}
	return elsewhere(b, b.Send(harness.Press("/signin/"+id, in)))
}

// elsewhere is where an answer sends the browser.
func elsewhere(b *harness.Browser, a harness.Answer) string {
	b.Helper()
	to, ok := strings.CutPrefix(a.Header.Get("Refresh"), "0; url=")
	if a.Status != 200 || !ok || !strings.Contains(html.UnescapeString(a.Text), to) {
		b.Fatalf("it leads nowhere: %d %s\n%s", a.Status, to, a.Text)
	}
	return to
}

// back returns from a provider with an answer, as a browser does: first without cookies, then with them.
func back(b *harness.Browser, id string, q url.Values) harness.Answer {
	b.Helper()
	path := "/signin/" + id + "/callback?" + q.Encode()
	a := b.Do(harness.Request{Method: "GET", Path: path, Header: http.Header{
		"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"},
	}})
	return b.Send(page(elsewhere(b, a)))
}

// by signs in by a provider, and returns the answer of the callback.
func by(b *harness.Browser, f *fake, id string, more ...string) harness.Answer {
	b.Helper()
	return back(b, id, f.authorize(leave(b, id, more...)))
}

// in reports whose account a browser is signed in to; empty for nobody's.
func in(b *harness.Browser) string {
	b.Helper()
	if b.Cookie("gatehouse_at") == "" {
		return ""
	}
	return b.Send(harness.Get("/v1/me")).Str("email")
}

// signedIn fails the test unless a browser is.
func signedIn(b *harness.Browser, a harness.Answer, email string) {
	b.Helper()
	if a.Status != 303 || in(b) != email {
		b.Fatalf("answered %d %s, and %q is signed in, want %q\n%s", a.Status, a.Header.Get("Location"), in(b), email, a.Text)
	}
}

// refused fails the test unless nobody was signed in, and the page says why.
func refused(b *harness.Browser, a harness.Answer, status int, words string) {
	b.Helper()
	if text := html.UnescapeString(a.Text); a.Status != status || !strings.Contains(text, words) || in(b) != "" {
		b.Fatalf("answered %d, and %q is signed in, want %d and %q\n%s", a.Status, in(b), status, words, text)
	}
}

// mailed fails the test unless a browser is led to the page that sends a mail.
func mailed(b *harness.Browser, a harness.Answer) {
	b.Helper()
	if a.Status != 303 || a.Header.Get("Location") != "/join" || in(b) != "" {
		b.Fatalf("answered %d %s, and %q is signed in\n%s", a.Status, a.Header.Get("Location"), in(b), a.Text)
	}
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([a-z_]+)" value="([^"]*)">`)

// csrf is the token of a page's forms.
func csrf(b *harness.Browser, path string) string {
	b.Helper()
	for _, m := range hidden.FindAllStringSubmatch(b.Send(page(path)).Text, -1) {
		if m[1] == "csrf_token" {
			return html.UnescapeString(m[2])
		}
	}
	b.Fatalf("%s has no form", path)
	return ""
}

// act sends a form of the account's page.
func act(b *harness.Browser, do string, more ...string) harness.Answer {
	b.Helper()
	form := harness.Body{"do": do, "csrf_token": csrf(b, "/account")}
	for i := 0; i < len(more); i += 2 {
		form[more[i]] = more[i+1]
	}
	return b.Send(harness.Press("/account", form))
}

// linking links what a provider says to the account of a browser.
func linking(b *harness.Browser, f *fake, id string) harness.Answer {
	b.Helper()
	return back(b, id, f.authorize(elsewhere(b, act(b, "identity-link", "provider", id))))
}

// identities are those that an account has, as its owner sees them.
func identities(b *harness.Browser) (list []map[string]any) {
	b.Helper()
	for _, i := range b.Send(harness.Get("/v1/me/identities")).Fields["identities"].([]any) {
		list = append(list, i.(map[string]any))
	}
	return list
}

// later puts the clock forward.
func (w *world) later(by time.Duration) { w.clock.Shift(by); w.Ready() }

func cookiesOf(a harness.Answer) []*http.Cookie { return (&http.Response{Header: a.Header}).Cookies() }
