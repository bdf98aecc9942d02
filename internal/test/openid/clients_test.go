package openid

import (
	"bufio"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
	"github.com/gatehouse-auth/gatehouse/internal/test/proctest"
)

// TestOAuth4WebAPISignsIn: a certified client library that is not ours finds the endpoints, has people sign in, checks what it gets,
// refreshes, introspects and revokes.
func TestOAuth4WebAPISignsIn(t *testing.T) {
	h := harness.Open(t, "sqlite:"+filepath.Join(t.TempDir(), "gatehouse.db"))
	verified(h, ada)
	a := register(h, "app", client.Web)
	a.oauth4webapi(a.secret)
	private := newKey(t)
	a = register(h, "keyed", client.Web, func(s *client.Settings) { s.JWKS = keySet(t, jose.JSONWebKey{Key: private.Public(), KeyID: "one"}) })
	key, err := jose.JSONWebKey{Key: private}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	a.oauth4webapi(string(key))
}

// oauth4webapi runs the library as the application, which shows who it is with a secret or a key.
func (a app) oauth4webapi(proof string) {
	t, b := a.T, a.Browser()
	script, err := os.ReadFile("testdata/oauth4webapi.mjs")
	if err != nil {
		t.Fatal(err)
	}
	cmd := proctest.Node(t, string(script), a.App.URL(), a.ID, proof, redirect)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var last string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if last = lines.Text(); strings.HasPrefix(last, "done ") {
			break
		}
		to, err := url.Parse(last)
		if err != nil || to.Path != "/oauth2/authorize" {
			t.Fatalf("it prints %q", last)
		}
		page, at := walk(b, to.RequestURI())
		if at.Host == "" && strings.Contains(page.Text, `action="/login"`) {
			page, at = signIn(b, page, ada)
		}
		if at.Host == "" {
			at = say(b, page, "yes")
		}
		if _, err := io.WriteString(in, at.String()+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Wait(); err != nil || !strings.HasPrefix(last, "done ") {
		t.Errorf("%v: %s", err, last)
	}
}
