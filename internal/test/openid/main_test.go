package openid

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

const (
	ada      = "ada@example.org"
	redirect = "https://app.example.org/cb"
	verifier = "a-verifier-of-forty-three-characters-or-more"
)

// each runs a test on SQLite, and on PostgreSQL as the serving role.
func each(t *testing.T, test func(h *harness.Server, clock *harness.Clock), settings ...string) {
	t.Helper()
	dbtest.EachProduction(t, func(t *testing.T, url string) {
		clock := &harness.Clock{}
		test(harness.OpenAt(t, url, clock.Now, settings...), clock)
	})
}

// app is a registered application.
type app struct {
	*harness.Server
	client.Client
	secret string
}

// register registers an application that takes answers at redirect.
func register(h *harness.Server, name string, kind client.Type, change ...func(*client.Settings)) app {
	h.Helper()
	s := client.Settings{RedirectURIs: []string{redirect}, PostLogoutURIs: []string{"https://app.example.org/bye"}}
	for _, c := range change {
		c(&s)
	}
	c, secret, err := h.Operator().RegisterClient(h.Context(), name, kind, s, harness.OriginOfTests)
	if err != nil {
		h.Fatal(err)
	}
	a := app{h, c, secret}
	h.Eventually("the registration of "+name, func() (string, bool) {
		got := h.Do(harness.Get("/oauth2/authorize?" + a.parameters("redirect_uri", s.RedirectURIs[0]).Encode()))
		return got.Text, got.Status != 400
	})
	return a
}

// verified registers an account whose address is verified.
func verified(h *harness.Server, email string) {
	h.Helper()
	h.Register(email)
	if err := h.Operator().Verify(h.Context(), email, harness.OriginOfTests); err != nil {
		h.Fatal(err)
	}
}

// altered is a code or a token with one character in its middle changed.
func altered(s string) string {
	b := []byte(s)
	if b[len(b)/2]++; b[len(b)/2] > 'y' {
		b[len(b)/2] = 'b'
	}
	return string(b)
}

func firstParty(s *client.Settings) { s.FirstParty = true }

// parameters are those of a request for a person, with others in the place of some; "" leaves one out.
func (a app) parameters(more ...string) url.Values {
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"client_id": {a.ID}, "redirect_uri": {redirect}, "response_type": {"code"}, "scope": {"openid profile email"}, "state": {"the state"},
		"nonce": {"the nonce"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(more); i += 2 {
		q.Set(more[i], more[i+1])
		if more[i+1] == "" {
			q.Del(more[i])
		}
	}
	return q
}

// walk goes to an address as a browser does, through our own redirects, and returns where it ends: at a page, or at an
// application's address.
func walk(b *harness.Browser, path string) (a harness.Answer, at *url.URL) {
	b.Helper()
	site := "cross-site" // an application led here
	for range 10 {
		a = b.Send(harness.Request{Method: "GET", Path: path, Header: http.Header{
			"Accept": {"text/html"}, "Sec-Fetch-Site": {site}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"},
		}})
		to := a.Header.Get("Location")
		if again := a.Header.Get("Refresh"); again != "" { // it has our strict cookies then
			if site, again = "same-origin", strings.TrimPrefix(again, "0; url="); again != "0" {
				path = again
			}
			continue
		}
		if a.Status != 303 {
			u, _ := url.Parse(path)
			return a, u
		}
		if to[0] != '/' {
			u, err := url.Parse(to)
			if err != nil {
				b.Fatal(err)
			}
			return a, u
		}
		path = to
	}
	b.Fatalf("it goes round in circles at %s", path)
	return a, nil
}

// ask begins a request for a person.
func (a app) ask(b *harness.Browser, more ...string) (harness.Answer, *url.URL) {
	b.Helper()
	return walk(b, "/oauth2/authorize?"+a.parameters(more...).Encode())
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([a-z_]+)" value="([^"]*)">`)

// fields are those of a page's form that its person does not see.
func fields(page string) harness.Body {
	out := harness.Body{}
	for _, m := range hidden.FindAllStringSubmatch(page, -1) {
		out[m[1]] = strings.NewReplacer("&amp;", "&", "&#43;", "+").Replace(m[2])
	}
	return out
}

// press sends a form, and follows as walk does.
func press(b *harness.Browser, path string, in harness.Body) (harness.Answer, *url.URL) {
	b.Helper()
	a := b.Send(harness.Press(path, in))
	if to := a.Header.Get("Location"); a.Status == 303 && to[0] == '/' {
		return walk(b, to)
	} else if a.Status == 303 {
		u, _ := url.Parse(to)
		return a, u
	}
	u, _ := url.Parse(path)
	return a, u
}

// say answers the page that asks.
func say(b *harness.Browser, page harness.Answer, what string) *url.URL {
	b.Helper()
	if !strings.Contains(page.Text, "/oauth2/consent") {
		b.Fatalf("this page asks for no consent: %d\n%s", page.Status, page.Text)
	}
	a, to := press(b, "/oauth2/consent", fields(page.Text).With("say", what))
	if to.Host == "" {
		b.Fatalf("it leads to no application: %d\n%s", a.Status, a.Text)
	}
	return to
}

// signIn signs in on the page that a request has led to.
func signIn(b *harness.Browser, page harness.Answer, email string) (harness.Answer, *url.URL) {
	b.Helper()
	if !strings.Contains(page.Text, `action="/login"`) {
		b.Fatalf("this is no sign-in page: %d\n%s", page.Status, page.Text)
	}
	in := fields(page.Text)
	delete(in, "csrf_token")
	in["email"], in["password"] = email, harness.Passphrase
	return press(b, "/login", in)
}

// code returns the code of an answer, which goes where it should and says who answers.
func (a app) code(to *url.URL) string {
	a.Helper()
	q := to.Query()
	if to.Scheme+"://"+to.Host+to.Path != redirect || q.Get("iss") != a.URL() || q.Get("state") != "the state" || q.Get("error") != "" || q.Get("code") == "" {
		a.Fatalf("it leads to %s", to)
	}
	return q.Get("code")
}

// refused checks that an answer is an error for the application.
func (a app) refused(to *url.URL, want string) {
	a.Helper()
	q := to.Query()
	if to.Host == "" || q.Get("error") != want || q.Get("code") != "" || q.Get("iss") != a.URL() {
		a.Fatalf("it leads to %s, want the error %s", to, want)
	}
}

// form is a request of the application with its secret, if it has one.
func (a app) form(path string, in url.Values) harness.Request {
	r := harness.Request{Method: "POST", Path: path, Body: in.Encode(), ContentType: "application/x-www-form-urlencoded"}
	if a.secret != "" {
		r.Header = http.Header(harness.Basic(a.ID, a.secret))
	} else {
		in.Set("client_id", a.ID)
		r.Body = in.Encode()
	}
	return r
}

// exchanging is the request that exchanges a code, with others in the place of some parameters.
func (a app) exchanging(code string, more ...string) harness.Request {
	in := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirect}, "code_verifier": {verifier}}
	for i := 0; i < len(more); i += 2 {
		in.Set(more[i], more[i+1])
		if more[i+1] == "" {
			in.Del(more[i])
		}
	}
	return a.form("/oauth2/token", in)
}

func (a app) refreshing(token string) harness.Request {
	return a.form("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
}

// grant signs somebody in who agrees to all, in a browser of their own if it is signed in already or not, and returns the tokens.
func (a app) grant(b *harness.Browser, more ...string) harness.Answer {
	a.Helper()
	return a.Expect(200, "", a.exchanging(a.code(a.through(b, more...))))
}

// through leads a request through whatever page it needs, to the application.
func (a app) through(b *harness.Browser, more ...string) *url.URL {
	a.Helper()
	page, to := a.ask(b, more...)
	if to.Host == "" && strings.Contains(page.Text, `action="/login"`) {
		page, to = signIn(b, page, ada)
	}
	if to.Host == "" {
		to = say(b, page, "yes")
	}
	return to
}

// invalid checks that a request to the token endpoint is refused in OAuth's words.
func (a app) invalid(status int, want string, r harness.Request) {
	a.Helper()
	got := a.Do(r)
	if got.Status != status || got.Str("error") != want || got.Str("access_token") != "" {
		a.Fatalf("%v: answered %d %s, want %d %s\n%s", r, got.Status, got.Str("error"), status, want, got.Text)
	}
}

// userInfo asks who somebody is.
func (a app) userInfo(access string) harness.Answer {
	a.Helper()
	return a.Do(harness.Get("/oauth2/userinfo", access))
}

// claims reads an ID token with the published keys, as an application does, and fails the test unless it is for this one.
func (a app) claims(idToken string) (out map[string]any) {
	a.Helper()
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(a.Expect(200, "", harness.Get("/.well-known/jwks.json")).Text), &keys); err != nil {
		a.Fatal(err)
	}
	jws, err := jose.ParseSignedCompact(idToken, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(a.Settings.IDAlgorithm())})
	if err != nil {
		a.Fatal(err)
	}
	found := keys.Key(jws.Signatures[0].Header.KeyID)
	if len(found) != 1 || !found[0].IsPublic() {
		a.Fatalf("the key %s is published %d times", jws.Signatures[0].Header.KeyID, len(found))
	}
	payload, err := jws.Verify(found[0])
	if err == nil {
		err = json.Unmarshal(payload, &out)
	}
	if err != nil || out["aud"] != a.ID || out["iss"] != a.URL() {
		a.Fatalf("%v: %v", err, out)
	}
	return out
}
