// Package crashtest_test kills real servers, and real databases under them,
// while many clients use them, and makes sure that nothing that was
// acknowledged is missing afterwards. What the clients saw is checked for
// linearizability, with crashes and without.
//
// It drives the built binary, since only a process can be killed. With
// GATEHOUSE_SOAK=1 the same tests run long.
package crashtest_test

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// soak returns the long measure of a test under GATEHOUSE_SOAK=1, else the
// short one.
func soak(short, long int) int {
	if os.Getenv("GATEHOUSE_SOAK") == "1" {
		return long
	}
	return short
}

// binaries are built once a set of tags, in a folder that TestMain removes.
var binaries struct {
	sync.Mutex
	dir  string
	path map[string]string
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "gatehouse-crashtest-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binaries.dir, binaries.path = dir, map[string]string{}
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// build returns the binary, built with a tag if that is not empty.
func build(t *testing.T, tag string) string {
	t.Helper()
	binaries.Lock()
	defer binaries.Unlock()
	if path, ok := binaries.path[tag]; ok {
		return path
	}
	path := filepath.Join(binaries.dir, "gatehouse"+tag)
	if out, err := exec.Command("go", "build", "-ldflags", "-s -w", "-tags", tag, "-o", path, "../../../cmd/gatehouse").CombinedOutput(); err != nil {
		t.Fatalf("go build -tags %q: %v\n%s", tag, err, out)
	}
	binaries.path[tag] = path
	return path
}

// house is a server that can be killed and started again, on one database.
type house struct {
	*testing.T
	binary, dbURL string
	dir           string
	listen        string // where, if that is to stay the same
	settings      []string
	hears         time.Duration // how long it takes all replicas to hear of the end of a session; 0 if there is one

	process *exec.Cmd
	address atomic.Pointer[endpoint] // nil while it is down
}

// endpoint is one life of the server.
type endpoint struct {
	url string
	// grace is its REFRESH_REUSE_GRACE_SECONDS.
	grace int
}

// longGrace is the longest that the setting allows, in seconds: a history within
// it has races only, and no retries.
const longGrace = 60

// newHouse starts no server yet.
func newHouse(t *testing.T, binary, dbURL string) *house {
	h := &house{T: t, binary: binary, dbURL: dbURL, dir: t.TempDir()}
	t.Cleanup(func() {
		if h.process != nil {
			h.kill()
		}
		if t.Failed() {
			log, _ := os.ReadFile(h.logFile())
			t.Logf("the end of the server's log:\n%s", log[max(0, len(log)-4000):])
		}
	})
	return h
}

func (h *house) logFile() string { return filepath.Join(h.dir, "log") }

// serves finds the server's address in what it prints at the start.
var serves = regexp.MustCompile(`API +(\S+)/openapi\.json`)

// start starts the server and returns when it serves.
func (h *house) start(grace int) {
	h.Helper()
	select {
	case url := <-h.launch(grace):
		h.address.Store(&endpoint{url, grace})
	case <-time.After(time.Minute):
		h.Fatal("the server did not start within a minute")
	}
}

// startInVain starts the server and kills it within the time that it takes to
// serve, or a little later.
func (h *house) startInVain() {
	h.Helper()
	h.launch(0)
	time.Sleep(rand.N(60 * time.Millisecond))
	h.kill()
}

// launch starts the server and returns at once; its URL comes when it serves.
func (h *house) launch(grace int) <-chan string {
	h.Helper()
	log, err := os.OpenFile(h.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		h.Fatal(err)
	}
	defer log.Close()
	out := &greeting{found: make(chan string, 1)}
	c := exec.Command(h.binary, "serve")
	c.Dir, c.Stdout, c.Stderr = h.dir, out, log
	c.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + h.dir, "DATABASE_URL=" + h.dbURL,
		"LISTEN_ADDR=" + cmp.Or(h.listen, "127.0.0.1:0"), "ADMIN_LISTEN_ADDR=127.0.0.1:0", "LOG_LEVEL=WARNING",
		"EVENT_KEY=Hs4kPz8vWd2Qx7LmTn5RbYc9JgFa3EuK", "JWT_SECRET_KEY=q7Vx2mZp9LtRw4KcYb8NsHf3GdJ6TaEu", "BCRYPT_COST=4", "TRUSTED_PROXIES=127.0.0.1",
		"LOCKOUT_AFTER=10", "LOCKOUT_DELAY_SECONDS=1",
		"PUBLIC_URL=http://gatehouse.test", // else the port, and with it the issuer, were another one each time
		"API_RATE_LIMIT_REQUESTS=1000000", "LOGIN_RATE_LIMIT_ATTEMPTS=1000000", "REGISTRATION_RATE_LIMIT_ATTEMPTS=1000000",
		fmt.Sprintf("REFRESH_REUSE_GRACE_SECONDS=%d", grace),
	}
	c.Env = append(c.Env, h.settings...)
	if err := c.Start(); err != nil {
		h.Fatal(err)
	}
	h.process = c
	return out.found
}

// kill ends the server as a crash does: at once, wherever it is.
func (h *house) kill() {
	h.Helper()
	h.address.Store(nil)
	_ = h.process.Process.Kill()
	_ = h.process.Wait() // reports the signal
	h.process = nil
}

// stop ends the server as an operator does.
func (h *house) stop() {
	h.Helper()
	h.address.Store(nil)
	_ = h.process.Process.Signal(syscall.SIGTERM)
	if err := h.process.Wait(); err != nil {
		h.Errorf("the server did not stop well: %v", err)
	}
	h.process = nil
}

// errors returns the lines of the log that report a bug.
func (h *house) errors() []string {
	h.Helper()
	log, err := os.ReadFile(h.logFile())
	if err != nil {
		h.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, `"level":"ERROR"`) || strings.HasPrefix(line, "panic:") {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}

// greeting is the server's standard output; it picks out the address.
type greeting struct {
	text  bytes.Buffer
	found chan string
	done  bool
}

func (g *greeting) Write(p []byte) (int, error) {
	if !g.done {
		g.text.Write(p)
		if m := serves.FindSubmatch(g.text.Bytes()); m != nil {
			g.done = true
			g.found <- string(m[1])
		}
	}
	return len(p), nil
}
