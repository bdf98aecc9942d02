package applications_test

import (
	"bufio"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
	"github.com/gatehouse-auth/gatehouse/internal/test/proctest"
)

// TestTheSampleApplicationInGo runs examples/go as its reader would, against a
// server found by its metadata.
func TestTheSampleApplicationInGo(t *testing.T) {
	h := harness.Open(t, "sqlite:"+filepath.Join(t.TempDir(), "gatehouse.db"))
	c, shown, err := h.Operator().CreateClient(t.Context(), "shop", harness.OriginOfTests)
	if err != nil {
		t.Fatal(err)
	}
	program, secret := filepath.Join(t.TempDir(), "application"), filepath.Join(t.TempDir(), "secret")
	if out, err := exec.Command("go", "build", "-o", program, proctest.File("examples/go")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.WriteFile(secret, []byte(shown+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	get := run(h, exec.Command(program, "-listen", "127.0.0.1:0", "-issuer", h.App.URL(), "-client", c.ID, "-secret-file", secret))
	h.Register("ada@example.org")
	access := h.Login("ada@example.org").Str("access_token")
	h.Eventually("the application", func() (string, bool) { s := get("GET /hello", access); return http.StatusText(s), s == 200 })
	if s := get("GET /admin", access); s != 403 {
		t.Errorf("without the role: %d", s)
	}
	for _, bad := range []string{"", access + "x"} {
		if s := get("GET /hello", bad); s != 401 {
			t.Errorf("the token %q: %d", bad, s)
		}
	}
	h.Expect(204, "", harness.Request{Method: "POST", Path: "/v1/logout", Bearer: access})
	at := time.Now()
	for get("GET /hello", access) != 401 {
		if time.Since(at) > harness.Patience {
			t.Fatal("the application still takes a revoked token")
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Logf("it took %v", time.Since(at))
}

// run starts an application, which prints its URL first, and returns what asks it:
// "METHOD /path" with an access token. It ends with the test.
func run(h *harness.Server, cmd *exec.Cmd) func(what, access string) int {
	h.Helper()
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		h.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		h.Fatal(err)
	}
	return func(what, access string) int {
		h.Helper()
		method, path, _ := strings.Cut(what, " ")
		r, _ := http.NewRequestWithContext(h.Context(), method, strings.TrimSpace(line)+path, nil)
		if access != "" {
			r.Header.Set("Authorization", "Bearer "+access)
		}
		res, err := harness.HTTPClient.Do(r)
		if err != nil {
			h.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
}

// node returns what runs a script in Node, in a folder with the modules of
// examples/node.
func node(h *harness.Server, script string, args ...string) *exec.Cmd {
	h.Helper()
	return proctest.Node(h.T, script, args...)
}

func file(h *harness.Server, path string) string {
	h.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		h.Fatal(err)
	}
	return string(b)
}

// TestTheSampleApplicationInNode runs examples/node, which is shorter than 100
// lines, and has npm's jose and oauth4webapi.
func TestTheSampleApplicationInNode(t *testing.T) {
	h := harness.Open(t, "sqlite:"+filepath.Join(t.TempDir(), "gatehouse.db"))
	c, shown, err := h.Operator().CreateClient(t.Context(), "shop", harness.OriginOfTests)
	if err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(shown+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	script := file(h, proctest.File("examples/node/main.js"))
	if n := strings.Count(script, "\n"); n >= 100 {
		t.Errorf("it has %d lines", n)
	}
	ask := run(h, node(h, script, "--port", "0", "--issuer", h.App.URL(), "--client", c.ID, "--secret-file", secret))
	h.Register("ada@example.org")
	s := h.Login("ada@example.org")
	access := s.Str("access_token")
	header, rest, _ := strings.Cut(access, ".")
	for name, bad := range map[string]string{
		"none": "", "edited": access + "x", "of no algorithm": "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0." + rest,
		"without its signature": header + "." + rest[:strings.Index(rest, ".")+1],
		"a refresh token":       s.Str("refresh_token"),
	} {
		for _, what := range []string{"GET /hello", "POST /orders"} {
			if status := ask(what, bad); status != 401 {
				t.Errorf("%s, a token that is %s: %d", what, name, status)
			}
		}
	}
	for what, want := range map[string]int{"GET /hello": 200, "POST /orders": 200, "GET /orders": 404} {
		if status := ask(what, access); status != want {
			t.Errorf("%s: %d", what, status)
		}
	}
	// It asks where that matters, and checks the keys alone elsewhere.
	h.Expect(204, "", harness.Request{Method: "POST", Path: "/v1/logout", Bearer: access})
	if orders, hello := ask("POST /orders", access), ask("GET /hello", access); orders != 401 || hello != 200 {
		t.Errorf("revoked: %d where it asks, %d where it does not", orders, hello)
	}
	// Without Gatehouse the keys stay good, and nobody is refused.
	access = h.Login("ada@example.org").Str("access_token")
	if err := h.Stop(); err != nil {
		t.Fatal(err)
	}
	if orders, hello := ask("POST /orders", access), ask("GET /hello", access); orders != 503 || hello != 200 {
		t.Errorf("without Gatehouse: %d where it asks, %d where it does not", orders, hello)
	}
}

// TestJoseTakesOurTokens runs the snippet of the guide against each algorithm whose
// keys are published.
func TestJoseTakesOurTokens(t *testing.T) {
	for _, algorithm := range []string{"ES256", "EdDSA", "RS256"} {
		t.Run(algorithm, func(t *testing.T) {
			h := harness.Open(t, "sqlite:"+filepath.Join(t.TempDir(), "gatehouse.db"), "JWT_ALGORITHM="+algorithm)
			_, snippet, _ := strings.Cut(file(h, proctest.File("docs/guides/applications.md")), "```js\n")
			snippet, _, _ = strings.Cut(snippet, "```")
			const said = "https://auth.example.org"
			if !strings.Contains(snippet, "jwtVerify(token, keys") || strings.Count(snippet, said) != 3 || !strings.Contains(snippet, "'ES256'") {
				t.Fatalf("the guide has another snippet: %s", snippet)
			}
			snippet = strings.ReplaceAll(strings.ReplaceAll(snippet, said, h.App.URL()), "ES256", algorithm)
			h.Register("ada@example.org")
			a := h.Login("ada@example.org")
			me := h.Expect(200, "", harness.Get("/v1/me", a.Str("access_token"))).Str("id")
			script := "const token = process.argv[2]\n" + snippet + "console.log(payload.sub, payload.sid)\n"
			if out, err := node(h, script, a.Str("access_token")).CombinedOutput(); err != nil || string(out) != me+" "+a.Str("session_id")+"\n" {
				t.Errorf("%v: %s", err, out)
			}
			edited := []byte(a.Str("access_token"))
			edited[len(edited)-20] ^= 1 // of the signature; '-' and '_' become what is in no token
			if out, err := node(h, script, string(edited)).CombinedOutput(); err == nil || !strings.Contains(string(out), "ERR_JWS_") {
				t.Errorf("edited: %v: %s", err, out)
			}
		})
	}
}

// TestOAuth4WebAPIFindsAsksAndRevokes: a client library that is not ours reads the
// metadata (RFC 8414), introspects (RFC 7662) and revokes (RFC 7009).
func TestOAuth4WebAPIFindsAsksAndRevokes(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		c, shown, err := h.Operator().CreateClient(h.Context(), "shop", harness.OriginOfTests)
		if err != nil {
			h.Fatal(err)
		}
		h.Register("ada@example.org")
		access := h.Login("ada@example.org").Str("access_token")
		me := h.Expect(200, "", harness.Get("/v1/me", access)).Str("id")
		out, err := node(h, file(h, "testdata/oauth4webapi.mjs"), h.App.URL(), c.ID, shown, access).CombinedOutput()
		if err != nil || string(out) != me+"\n" {
			h.Errorf("%v: %s", err, out)
		}
		h.Expect(401, "invalid_token", harness.Get("/v1/me", access))
	})
}
