package deploy_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/gatehouse-auth/gatehouse/internal/test/proctest"
)

// gatehouse returns the program.
var gatehouse = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "gatehouse-deploy-")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(folder, "gatehouse")
	if out, err := exec.Command("go", "build", "-ldflags=-w", "-o", binary, proctest.File("cmd/gatehouse")).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return binary, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if binary, err := gatehouse(); err == nil {
		_ = os.RemoveAll(filepath.Dir(binary))
	}
	os.Exit(code)
}

// house is deploy/compose after ./setup, with what the containers would find under other paths.
type house struct {
	*testing.T
	compose string
	paths   *strings.Replacer
}

func newHouse(t *testing.T) *house {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("setup gives files to the containers' users, for which it must be root")
	}
	compose := filepath.Join(copied(t), "compose")
	for folder := compose; len(folder) > len(os.TempDir()); folder = filepath.Dir(folder) {
		if err := os.Chmod(folder, 0o755); err != nil { //nolint:gosec // other users' programs read it
			t.Fatal(err)
		}
	}
	if said := run(t, filepath.Join(compose, "setup"), "auth.gatehouse.test", "0.1.0"); !strings.Contains(said, "docker compose up -d") {
		t.Errorf("setup says %s", said)
	}
	h := &house{T: t, compose: compose}
	made := func(name string) string { return filepath.Join(compose, "made", name) }
	if open := run(t, "find", made(""), "-maxdepth", "0", "-perm", "/077"); open != "" {
		t.Errorf("others get into %s: on the host, the containers' users are other services' accounts", open)
	}
	// The programs here find by their paths what Docker, as root, binds into the containers.
	if err := os.Chmod(made(""), 0o711); err != nil { //nolint:gosec // see above
		t.Fatal(err)
	}
	var project struct {
		Secrets map[string]struct{ File string }
	}
	text, err := os.ReadFile(filepath.Join(compose, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &project); err != nil {
		t.Fatal(err)
	}
	var pairs []string
	for name, s := range project.Secrets {
		if _, err := os.Stat(filepath.Join(compose, s.File)); err != nil {
			t.Errorf("setup does not make the secret %s: %v", name, err)
		}
		pairs = append(pairs, "/run/secrets/"+name, made(filepath.Base(s.File)))
	}
	// The longest first: one name begins another.
	h.paths = strings.NewReplacer(longestFirst(pairs)...)
	return h
}

func longestFirst(pairs []string) (sorted []string) {
	for length := 100; length > 0; length-- {
		for i := 0; i < len(pairs); i += 2 {
			if len(pairs[i]) == length {
				sorted = append(sorted, pairs[i], pairs[i+1])
			}
		}
	}
	return sorted
}

// read returns a file of compose/ with this machine's paths.
func (h *house) read(name string) string {
	h.Helper()
	text, err := os.ReadFile(filepath.Join(h.compose, name))
	if err != nil {
		h.Fatal(err)
	}
	return h.paths.Replace(strings.TrimRight(string(text), "\n"))
}

// writes puts a text into a file of compose/ that everybody may read.
func (h *house) writes(name, text string) string {
	h.Helper()
	path := filepath.Join(h.compose, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil { //nolint:gosec // other users' programs read it
		h.Fatal(err)
	}
	return path
}

// starts runs a server as a user of the containers until the test's end.
func (h *house) starts(user string, args ...string) {
	h.Helper()
	c := exec.Command("setpriv", append([]string{"--reuid=" + user, "--regid=" + user, "--clear-groups", "--pdeathsig=KILL", "--"}, args...)...)
	c.Dir = h.compose
	var log strings.Builder
	c.Stdout, c.Stderr = &log, &log
	if err := c.Start(); err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGINT)
		_ = c.Wait()
		if h.Failed() {
			h.Logf("%s: %s", args[0], &log)
		}
	})
}

// soon waits until a command goes well, and returns what it says.
func (h *house) soon(args ...string) string {
	h.Helper()
	var out []byte
	var err error
	for start := time.Now(); time.Since(start) < 30*time.Second; time.Sleep(50 * time.Millisecond) {
		if out, err = exec.Command(args[0], args[1:]...).CombinedOutput(); err == nil {
			return string(out)
		}
	}
	h.Fatalf("%v: %v\n%s", args, err, out)
	return ""
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// What setup makes is each reader's own, is never made twice, and its certificates are those of
// its authority, whose key is gone.
func TestSetup(t *testing.T) {
	h := newHouse(t)
	for _, name := range []string{"postgres", "redis", "site"} {
		run(t, "openssl", "verify", "-CAfile", filepath.Join(h.compose, "made/authority.pem"), filepath.Join(h.compose, "made", name+".pem"))
	}
	if loose := run(t, "find", filepath.Join(h.compose, "made"), "-type", "f", "-perm", "/077", "-not", "-name", "authority.pem"); loose != "" {
		t.Errorf("others can read %s", loose)
	}
	if left := run(t, "find", filepath.Join(h.compose, "made"), "-name", "authority.key", "-o", "-name", "redis_password"); left != "" {
		t.Errorf("there still is %s", left)
	}
	secret := h.read("made/jwt_secret")
	setup := func(host string) (string, error) {
		out, err := exec.Command(filepath.Join(h.compose, "setup"), host).CombinedOutput()
		return string(out), err
	}
	if out, err := setup("auth.gatehouse.test"); err == nil || !strings.Contains(out, "there already") {
		t.Errorf("a second setup: %v %s", err, out)
	}
	if h.read("made/jwt_secret") != secret {
		t.Error("the second setup made another secret")
	}
	if out, err := setup("not a host; rm -rf /"); err == nil || !strings.Contains(out, "usage") {
		t.Errorf("a host that is none: %v %s", err, out)
	}
}

// The nginx of the containers is the block that `gatehouse nginx` prints, and nginx takes it.
func TestNginx(t *testing.T) {
	h := newHouse(t)
	text, err := os.ReadFile(proctest.File("internal/app/nginx.conf"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\n\n")
	want := strings.NewReplacer("PUBLIC", "https://NAME", "UPSTREAM", "172.31.81.3:8000", "PORT", "8443", "/etc/letsencrypt/live/NAME/fullchain.pem",
		"/run/secrets/site_certificate", "/etc/letsencrypt/live/NAME/privkey.pem", "/run/secrets/site_key",
		"listen 80;", "listen 8080;", "[::]:80;", "[::]:8080;").Replace(rest)
	if _, got, _ := strings.Cut(h.read("nginx.conf.in"), "\n\n"); strings.TrimSpace(got) != strings.TrimSpace(h.paths.Replace(want)) {
		t.Error("deploy/compose/nginx.conf.in is not what internal/app/nginx.conf is any more: carry the change over")
	}
	conf := h.writes("test.conf", "pid "+h.compose+"/nginx.pid; error_log stderr; events {} http {\n"+h.read("made/nginx.conf")+"\n}")
	run(t, "env", "PATH="+os.Getenv("PATH")+":/usr/sbin", "nginx", "-t", "-q", "-c", conf)
}

// Redis, with its configuration and rights: the one user counts, and does nothing else; there is
// no way in without TLS, or as anybody else.
func TestRedis(t *testing.T) {
	h := newHouse(t)
	port := freePort(t)
	conf := h.writes("test-redis.conf", strings.Replace(h.read("redis.conf"), "tls-port 6379", "tls-port "+port+"\nbind 127.0.0.1", 1))
	h.starts("999", "redis-server", conf)
	url := strings.Replace(h.read("made/redis_url"), "@redis/0", "@redis:"+port+"/0", 1)
	password := url[len("rediss://gatehouse:"):strings.Index(url, "@")]
	redis := []string{"redis-cli", "-h", "127.0.0.1", "-p", port, "--tls", "--sni", "redis", "--cacert", filepath.Join(h.compose, "made/authority.pem")}
	as := append(redis, "--user", "gatehouse", "--pass", password, "--no-auth-warning")
	h.soon(append(as, "SET", "gatehouse:limit:x", "1")...)
	if said := h.soon(append(as, "GET", "gatehouse:limit:x")...); strings.TrimSpace(said) != "1" {
		t.Errorf("the count is %s", said)
	}
	for _, command := range [][]string{{"SET", "other", "1"}, {"FLUSHALL"}, {"CONFIG", "GET", "*"}, {"ACL", "LIST"}, {"KEYS", "*"}} {
		if said := h.soon(append(as, command...)...); !strings.Contains(said, "NOPERM") {
			t.Errorf("%v: %s", command, said)
		}
	}
	if said := h.soon(append(redis, "GET", "gatehouse:limit:x")...); !strings.Contains(said, "NOAUTH") {
		t.Errorf("without a name: %s", said)
	}
	if out, err := exec.Command("redis-cli", "-h", "127.0.0.1", "-p", port, "PING").CombinedOutput(); err == nil && strings.Contains(string(out), "PONG") {
		t.Errorf("without TLS: %s", out)
	}
}

// The settings of the containers and of the pods are safe for production: Gatehouse says so.
func TestTheSettingsAreTaken(t *testing.T) {
	h := newHouse(t)
	binary, err := gatehouse()
	if err != nil {
		t.Fatal(err)
	}
	var project struct {
		Settings struct{ Environment map[string]string } `json:"x-gatehouse"`
	}
	if err := yaml.Unmarshal([]byte(h.read("compose.yaml")), &project); err != nil {
		t.Fatal(err)
	}
	settings := map[string][]string{"compose": nil, "kubernetes": nil}
	for name, value := range project.Settings.Environment {
		settings["compose"] = append(settings["compose"], name+"="+strings.Replace(value, "${GATEHOUSE_HOST:?run ./setup first}", "auth.gatehouse.test", 1))
	}
	pods, err := os.ReadFile(proctest.File("deploy/kubernetes/gatehouse.env"))
	if err != nil {
		t.Fatal(err)
	}
	made := filepath.Join(h.compose, "made")
	settings["kubernetes"] = strings.Split(strings.TrimSpace(strings.NewReplacer("/etc/gatehouse/secrets", made, "auth.yourdomain.com", "auth.gatehouse.test").
		Replace(string(pods))), "\n")
	authority := "/run/secrets/authority"
	for _, name := range []string{"database_url", "redis_url"} {
		change(t, filepath.Join(made, name), authority, h.paths.Replace(authority))
	}
	for name, environ := range settings {
		if len(environ) < 8 {
			t.Errorf("%s has %d settings", name, len(environ))
		}
		c := exec.Command(binary, "config")
		c.Env, c.Dir = append(environ, "PATH=/usr/bin"), t.TempDir()
		out, err := c.CombinedOutput()
		if err != nil || strings.Contains(string(out), "not a setting") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
