package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
)

// asGatehouse makes the test's own program a gatehouse, for child processes.
const asGatehouse = "GATEHOUSE_TEST_AS_GATEHOUSE"

func init() {
	if os.Getenv(asGatehouse) != "" {
		main()
	}
}

// child is `gatehouse serve` in a process of its own, on a SQLite file.
type child struct {
	*testing.T
	cmd        *exec.Cmd
	out        lockedBuffer
	url, admin string
	done       chan error
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// gatehouse returns the command. Root does without its right to write what it
// has no permission for, so that the tests are the same for every user.
func gatehouse(t *testing.T, database string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args = append([]string{self}, args...)
	if os.Getuid() == 0 {
		args = append([]string{"setpriv", "--bounding-set=-dac_override,-dac_read_search"}, args...)
	}
	c := exec.Command(args[0], args[1:]...)
	c.Dir = t.TempDir()
	c.Env = []string{asGatehouse + "=1", "PATH=" + os.Getenv("PATH"), "DATABASE_URL=sqlite:" + database, "LISTEN_ADDR=127.0.0.1:0",
		"ADMIN_LISTEN_ADDR=127.0.0.1:0", "BCRYPT_COST=4", "EVENT_KEY=Hs4kPz8vWd2Qx7LmTn5RbYc9JgFa3EuK", "JWT_SECRET_KEY=q7Vx2mZp9LtRw4KcYb8NsHf3GdJ6TaEu"}
	return c
}

var servingLine = regexp.MustCompile(`"url":"([^"]+)","admin_url":"([^"]+)"`)

func serveChild(t *testing.T, database string) *child {
	t.Helper()
	c := &child{T: t, cmd: gatehouse(t, database, "serve"), done: make(chan error, 1)}
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.out
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { c.done <- c.cmd.Wait() }()
	t.Cleanup(func() { _ = c.cmd.Process.Kill() })
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if m := servingLine.FindStringSubmatch(c.out.String()); m != nil {
			c.url, c.admin = m[1], m[2]
			return c
		}
		if time.Now().After(deadline) {
			t.Fatalf("it does not serve:\n%s", c.out.String())
		}
	}
}

// call returns the status, Retry-After and the body.
func (c *child) call(method, url, body, bearer string) (int, string, map[string]any) {
	c.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		c.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		c.Fatalf("%v\n%s", err, c.out.String())
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		c.Fatal(err)
	}
	var fields map[string]any
	_ = json.Unmarshal(b, &fields)
	return res.StatusCode, res.Header.Get("Retry-After"), fields
}

func (c *child) post(path, body string) (int, string, map[string]any) {
	c.Helper()
	return c.call("POST", c.url+path, body, "")
}

// limitFiles sets the size that no file of the process may grow beyond: a disk
// that is full, for root and for everybody.
func (c *child) limitFiles(size uint64) {
	c.Helper()
	const maximum = ^uint64(0)
	limit := syscall.Rlimit{Cur: size, Max: maximum}
	var old syscall.Rlimit
	_, _, err := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(c.cmd.Process.Pid), syscall.RLIMIT_FSIZE, 0, uintptr(unsafe.Pointer(&old)), 0, 0)
	if err == 0 {
		limit.Max = old.Max
		limit.Cur = min(size, old.Max)
		_, _, err = syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(c.cmd.Process.Pid), syscall.RLIMIT_FSIZE, uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	}
	if err != 0 {
		c.Fatalf("limiting the size of files: %v", err)
	}
}

// stop sends SIGTERM and wants a clean end.
func (c *child) stop() {
	c.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		c.Fatal(err)
	}
	select {
	case err := <-c.done:
		if err != nil || !strings.Contains(c.out.String(), `"msg":"stopped","clean":true`) {
			c.Errorf("it did not end cleanly: %v\n%s", err, c.out.String())
		}
	case <-time.After(20 * time.Second):
		c.Fatalf("it does not end:\n%s", c.out.String())
	}
}

const ada = `{"email":"ada@example.org","password":"correct horse battery staple"}`

// TestTheDiskIsFull fills the disk under a server: what would write is answered
// 503, what reads is served, readyz says it, nothing that was acknowledged is
// lost, and all goes on when there is room again. A stop meanwhile is clean.
func TestTheDiskIsFull(t *testing.T) {
	database := filepath.Join(t.TempDir(), "gatehouse.db")
	c := serveChild(t, database)
	if status, _, _ := c.post("/v1/register", ada); status != 202 {
		t.Fatalf("registering: %d", status)
	}
	status, _, me := c.post("/v1/login", ada)
	if status != 200 {
		t.Fatalf("signing in: %d", status)
	}
	access, refresh := me["access_token"].(string), me["refresh_token"].(string)
	acknowledged := 0
	full := func() {
		t.Helper()
		info, err := os.Stat(database + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		c.limitFiles(uint64(info.Size()) + 100_000)
		for i := 0; ; i++ {
			status, after, problem := c.post("/v1/register", fmt.Sprintf(`{"email":"user%d@example.org","password":"correct horse battery staple"}`, acknowledged))
			if status == 503 && problem["code"] == "database_unavailable" && after != "" {
				// What is left may be enough for something smaller, or for all of it once
				// the log has been copied into the file.
				c.limitFiles(4096)
				return
			}
			if status != 202 || i > 100 {
				t.Fatalf("registering with little room left: %d %v, Retry-After %q", status, problem, after)
			}
			acknowledged++
		}
	}
	full()
	for path, body := range map[string]string{"/v1/login": ada, "/v1/token/refresh": `{"refresh_token":"` + refresh + `"}`} {
		if status, after, problem := c.post(path, body); status != 503 || after == "" {
			t.Errorf("%s on a full disk: %d %v", path, status, problem)
		}
	}
	if status, _, _ := c.call("GET", c.url+"/v1/me", "", access); status != 200 {
		t.Errorf("reading on a full disk: %d", status)
	}
	if status, _, ready := c.call("GET", c.admin+"/readyz", "", ""); status != 503 || ready["checks"].(map[string]any)["database"] != "disk_failing" {
		t.Errorf("readyz on a full disk: %d %v", status, ready)
	}
	c.limitFiles(^uint64(0))
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		status, _, ready := c.call("GET", c.admin+"/readyz", "", "")
		if status == 200 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("readyz with room again: %d %v", status, ready)
		}
	}
	if status, _, problem := c.post("/v1/token/refresh", `{"refresh_token":"`+refresh+`"}`); status != 200 {
		t.Errorf("the refresh token with room again: %d %v", status, problem)
	}
	full()
	c.stop()
	c = serveChild(t, database)
	for i := range acknowledged {
		if status, _, problem := c.post("/v1/login", fmt.Sprintf(`{"email":"user%d@example.org","password":"correct horse battery staple"}`, i)); status != 200 {
			t.Errorf("account %d of %d that were acknowledged: %d %v", i, acknowledged, status, problem)
		}
	}
	c.stop()
}

// TestADatabaseThatCannotBeServedIsRefusedInWords starts on files that can't be
// written, are damaged or not ours: what to do, no byte changed, and exit 78 where no
// later try does better until somebody has changed the settings or the file.
func TestADatabaseThatCannotBeServedIsRefusedInWords(t *testing.T) {
	filled := filepath.Join(t.TempDir(), "filled.db")
	c := serveChild(t, filled)
	c.post("/v1/register", ada)
	c.stop()
	good, err := os.ReadFile(filled)
	if err != nil {
		t.Fatal(err)
	}
	half := append([]byte{}, good...)
	copy(half[len(half)/2/4096*4096:], bytes.Repeat([]byte{0xde, 0xad}, 4096))
	text := []byte("Dear Ada, this is not a database, and I would like to keep it. Yours, Charles. " + strings.Repeat("PS. ", 50))
	for name, refusal := range map[string]struct {
		content      []byte
		file, folder os.FileMode
		code         int
		says         []string
	}{
		"a read-only file":   {good, 0o400, 0o700, terminal.ExitConfig, []string{"can't be opened for writing", "must own the file"}},
		"a read-only folder": {good, 0o600, 0o500, terminal.ExitConfig, []string{"can't be opened for writing", "its folder"}},
		"neither to be read": {good, 0o000, 0o700, terminal.ExitConfig, []string{"can't be opened for writing"}},
		"a damaged page":     {half, 0o600, 0o700, terminal.ExitFailed, []string{"is damaged", "was not changed", "restore a backup", ".recover"}},
		"a text":             {text, 0o600, 0o700, terminal.ExitConfig, []string{"is not a SQLite database", "was not changed"}},
	} {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "data")
			database := filepath.Join(folder, "gatehouse.db")
			if err := os.Mkdir(folder, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(database, refusal.content, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(database, refusal.file); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(folder, refusal.folder); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := os.Chmod(folder, 0o700); err != nil {
					t.Error(err)
				}
			})
			for _, command := range [][]string{{"serve"}, {"user", "list"}} {
				cmd := gatehouse(t, database, command...)
				began := time.Now()
				out, _ := cmd.CombinedOutput()
				if cmd.ProcessState.ExitCode() != refusal.code || time.Since(began) > 10*time.Second {
					t.Errorf("%v: %v after %v\n%s", command, cmd.ProcessState, time.Since(began), out)
				}
				for _, words := range append(refusal.says, database) {
					if !strings.Contains(string(out), words) {
						t.Errorf("%v does not say %q:\n%s", command, words, out)
					}
				}
			}
			if err := os.Chmod(database, 0o600); err != nil {
				t.Fatal(err)
			}
			after, err := os.ReadFile(database)
			if err != nil || !bytes.Equal(after, refusal.content) {
				t.Errorf("the file was changed (error %v)", err)
			}
		})
	}
}
