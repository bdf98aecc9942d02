package upstream

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// kind is a server with one provider of a kind, at a small one of ours that has its oddities.
func kind(t *testing.T, block string) *world {
	t.Helper()
	clock := &harness.Clock{}
	f := newFake(t, clock.Now)
	file := upstreams(t, "\n- {id: it, "+fmt.Sprintf(block, f.URL)+", client_id: gatehouse}\n")
	key, err := x509.MarshalPKCS8PrivateKey(appleKey(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "key.p8"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &world{harness.OpenAt(t, dbtest.SQLite(t), clock.Now, "UPSTREAMS_FILE="+file), clock, f, nil}
}

// TestGoogle: authoritative for Gmail, and for the domain of a Workspace; its issuer has two spellings; hd bounds who comes.
func TestGoogle(t *testing.T) {
	w := kind(t, "kind: google, issuer: %q, secret_file: secret, signup: ['*']")
	bare := strings.TrimPrefix(w.corp.URL, "http://")
	for _, c := range []struct {
		sub, email, hd string
		iss            any
		in             bool
	}{
		{"1", "ada@gmail.com", "", w.corp.URL, true}, {"1", "ada@gmail.com", "", bare, true}, {"2", "ada@googlemail.com", "", w.corp.URL, true},
		{"3", bob, "corp.example", w.corp.URL, true}, {"4", "eve@corp.example", "", w.corp.URL, false}, {"5", "eve@example.net", "corp.example", w.corp.URL, false},
	} {
		claims := map[string]any{"iss": c.iss}
		if c.hd != "" {
			claims["hd"] = c.hd
		}
		w.corp.is(c.sub, c.email, true, claims)
		b := w.Browser()
		if a := by(b, w.corp, "it"); c.in {
			signedIn(b, a, c.email)
		} else {
			mailed(b, a)
		}
	}
	if n := w.Count(`SELECT COUNT(*) FROM identity`); n != 3 {
		t.Errorf("%d identities", n)
	}
	w = kind(t, "kind: google, issuer: %q, secret_file: secret, signup: ['*'], hd: [Corp.example]")
	w.corp.is("1", "ada@gmail.com", true)
	b := w.Browser()
	refused(b, by(b, w.corp, "it"), 403, "none of an organisation")
	w.corp.is("2", bob, true, map[string]any{"hd": "corp.example"})
	signedIn(b, by(b, w.corp, "it"), bob)
}

const (
	tenantA = "11111111-2222-3333-4444-555555555555"
	tenantB = "66666666-7777-8888-9999-000000000000"
	tenantC = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
)

// TestMicrosoft: the tenant stands in iss and tid, and only those that are named come in; the address is never believed, but where the token says
// that its domain was verified (nOAuth).
func TestMicrosoft(t *testing.T) {
	w := kind(t, "kind: microsoft, issuer: %q, secret_file: secret, signup: ['*'], trusted_email: true, tenants: ["+tenantA+", "+tenantB+"]")
	base := w.corp.URL + "/"
	w.corp.issuer = base + "{tenantid}/v2.0"
	person := func(sub, tid, iss string, more map[string]any) {
		claims := map[string]any{"tid": tid, "iss": iss}
		for k, v := range more {
			claims[k] = v
		}
		w.corp.is(sub, ada, true, claims)
	}
	own := func(tid string) string { return base + tid + "/v2.0" }
	b := w.Browser()
	person("1", tenantA, own(tenantA), nil) // email_verified is not what it says
	mailed(b, by(b, w.corp, "it"))
	person("1", tenantA, own(tenantB), nil)
	refused(b, by(b, w.corp, "it"), 403, "does not fit")
	person("1", tenantC, own(tenantC), map[string]any{"xms_edov": true})
	refused(b, by(b, w.corp, "it"), 403, "none of an organisation")
	person("1", tenantA, w.corp.issuer, map[string]any{"xms_edov": true})
	refused(b, by(b, w.corp, "it"), 403, "does not fit")
	person("1", "", own(tenantA), map[string]any{"xms_edov": true})
	refused(b, by(b, w.corp, "it"), 403, "does not fit")
	person("1", tenantA, own(tenantA), map[string]any{"xms_edov": "1"})
	signedIn(b, by(b, w.corp, "it"), ada)
	// The same subject of another tenant is another identity.
	b = w.Browser()
	person("1", tenantB, own(tenantB), nil)
	mailed(b, by(b, w.corp, "it"))
	if list := w.Count(`SELECT COUNT(*) FROM identity`); list != 1 {
		t.Errorf("%d identities", list)
	}
	// One tenant has a document of its own.
	w = kind(t, "kind: microsoft, issuer: %q, secret_file: secret, signup: ['*'], trusted_email: true, tenants: ["+tenantA+"]")
	w.corp.issuer = w.corp.URL + "/" + tenantA + "/v2.0"
	w.corp.is("1", ada, true, map[string]any{"tid": tenantA, "xms_edov": true})
	b = w.Browser()
	signedIn(b, by(b, w.corp, "it"), ada)
}

// TestApple: it answers with a form of another site's, to which browsers send no cookies; the client's secret is a JWT of five minutes; email_verified
// is text; the name comes in the form, and once.
func TestApple(t *testing.T) {
	w := kind(t, "kind: apple, issuer: %q, key_file: key.p8, key_id: KEY, team_id: TEAM, signup: ['*'], trusted_email: true")
	w.corp.is("1", ada, true, map[string]any{"email_verified": "true"})
	b := w.Browser()
	address := leave(b, "it")
	u, err := url.Parse(address)
	if err != nil || u.Query().Get("response_mode") != "form_post" || u.Query().Get("scope") != "openid email name" {
		t.Errorf("%s", address)
	}
	q := w.corp.authorize(address)
	form := harness.Body{"code": q.Get("code"), "state": q.Get("state"), "user": `{"name":{"firstName":"Ada","lastName":"L."},"email":"evil@example.net"}`}
	r := harness.Press("/signin/it/callback", form)
	r.Header = http.Header{
		"Origin": {"https://appleid.apple.com"}, "Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"},
	}
	signedIn(b, b.Send(page(elsewhere(b, w.Do(r)))), ada)
	if me := b.Send(harness.Get("/v1/me")); me.Str("name") != "Ada L." {
		t.Errorf("the name: %s", me.Text)
	}
	token, err := jwt.ParseSigned(w.corp.secrets[0], []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	var said jwt.Claims
	if err := token.Claims(appleKey(t).Public(), &said); err != nil || token.Headers[0].KeyID != "KEY" || said.Issuer != "TEAM" || said.Subject != "gatehouse" ||
		!said.Audience.Contains(w.corp.URL) || said.Expiry.Time().Sub(said.IssuedAt.Time()).Minutes() != 5 {
		t.Errorf("%v: %v %v", err, token.Headers, said)
	}
	// Text that does not say yes is no.
	w.corp.is("2", eve, true, map[string]any{"email_verified": "false"})
	b = w.Browser()
	mailed(b, by(b, w.corp, "it"))
}

// TestGitHub: no OpenID Connect. The number is who it is, and never the login name; the primary address that is verified is one that GitHub is
// authoritative for nowhere; errors come with status 200.
func TestGitHub(t *testing.T) {
	w := kind(t, "kind: github, issuer: %q, secret_file: secret, signup: ['*']")
	user := `{"id": 7, "login": "ada", "name": "Ada"}`
	emails := `[{"email":"old@example.org","primary":false,"verified":true},{"email":"` + ada + `","primary":true,"verified":true}]`
	refuses := false
	w.corp.other = func(rw http.ResponseWriter, r *http.Request) bool {
		rw.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/login/oauth/access_token":
			if err := r.ParseForm(); err != nil || r.PostForm.Get("client_secret") == "" || r.PostForm.Get("code_verifier") == "" {
				t.Errorf("%v: %v", err, r.PostForm)
			}
			rw.Header().Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
			if refuses {
				fmt.Fprint(rw, "error=bad_verification_code&error_description=expired")
			} else {
				fmt.Fprint(rw, "access_token=gho_x&scope=user%3Aemail&token_type=bearer")
			}
		case "/api/v3/user":
			if r.Header.Get("Authorization") != "Bearer gho_x" {
				t.Error("without the token")
			}
			fmt.Fprint(rw, user)
		case "/api/v3/user/emails":
			fmt.Fprint(rw, emails)
		default:
			return false
		}
		return true
	}
	w.verified(ada)
	b := w.Browser()
	address := leave(b, "it")
	if !strings.HasPrefix(address, w.corp.URL+"/login/oauth/authorize?") || strings.Contains(address, "nonce") ||
		!strings.Contains(address, "scope=user%3Aemail") {
		t.Error(address)
	}
	mailed(b, back(b, "it", w.corp.authorize(address))) // verified, and yet nobody's word
	b.SignIn(ada)
	if a := linking(b, w.corp, "it"); a.Status != 303 || identities(b)[0]["email"] != ada {
		t.Fatalf("%d %s", a.Status, a.Text)
	}
	// The login name is somebody else's now, who has another number; its owner has another name.
	user = `{"id": 8, "login": "ada", "name": "Eve"}`
	thief := w.Browser()
	mailed(thief, by(thief, w.corp, "it"))
	user, emails = `{"id": 7, "login": "lovelace"}`, `[]`
	b = w.Browser()
	signedIn(b, by(b, w.corp, "it"), ada)
	refuses = true
	b = w.Browser()
	refused(b, by(b, w.corp, "it"), 403, "does not fit")
	refuses, user = false, `{"login": "ada"}`
	refused(b, by(b, w.corp, "it"), 403, "does not fit")
	for _, list := range []string{
		`[{"email":"x@example.org","primary":true,"verified":false}]`, `[{"email":"x@example.org","primary":false,"verified":true}]`,
	} {
		user, emails = `{"id": 9}`, list
		b = w.Browser()
		mailed(b, by(b, w.corp, "it"))
		if mails := w.Mailbox().All("x@example.org"); len(mails) != 0 {
			t.Errorf("%s: %d mails", list, len(mails))
		}
	}
}
