package openid

import (
	"bufio"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
	"github.com/gatehouse-auth/gatehouse/internal/test/proctest"
)

// TestOAuth4WebAPISignsIn: a certified client library that is not ours finds the endpoints, has people sign in, checks what it gets,
// refreshes, introspects and revokes.
func TestOAuth4WebAPISignsIn(t *testing.T) {
	h := harness.Open(t, "sqlite:"+filepath.Join(t.TempDir(), "gatehouse.db"))
	verified(h, ada)
	a, b := register(h, "app", client.Web), h.Browser()
	script, err := os.ReadFile("testdata/oauth4webapi.mjs")
	if err != nil {
		t.Fatal(err)
	}
	cmd := proctest.Node(t, string(script), h.App.URL(), a.ID, a.secret, redirect)
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
