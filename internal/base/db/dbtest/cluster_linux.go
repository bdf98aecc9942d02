package dbtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse/internal/test/proctest"

	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// Cluster is a PostgreSQL server of a test's own, for what must not be done to
// the one that all tests share. It syncs each commit to the disk, as in
// production.
type Cluster struct {
	testing.TB
	programs, home, password string
	port                     int
	as                       *syscall.Credential // PostgreSQL does not run as root
	postmaster               *exec.Cmd           // nil while it is down
}

// NewCluster makes a PostgreSQL server and starts it. It ends with the test.
func NewCluster(t testing.TB) *Cluster {
	t.Helper()
	c := &Cluster{TB: t, programs: postgresPrograms(t), password: fmt.Sprintf("%x", secret.Random{}.Bytes(16))}
	// Not in /tmp, which may be in memory.
	parent := os.Getenv("TMPDIR")
	if parent == "" {
		parent = "/var/tmp"
	}
	home, err := os.MkdirTemp(parent, "gatehouse-cluster-")
	if err != nil {
		t.Fatal(err)
	}
	c.home = home
	t.Cleanup(func() {
		if c.postmaster != nil {
			c.Kill()
		}
		if err := os.RemoveAll(home); err != nil { //nolint:gosec // made above
			t.Errorf("removing the cluster: %v", err)
		}
	})
	passwordFile := filepath.Join(home, "password")
	if err := os.WriteFile(passwordFile, []byte(c.password+"\n"), 0o600); err != nil { //nolint:gosec // made above
		t.Fatal(err)
	}
	c.disown(home, passwordFile)
	initdb := c.command("initdb", "--pgdata="+c.data(), "--username=gatehouse", "--pwfile="+passwordFile,
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8")
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	// A port is free only once the server has it: try until one is. Below 32768
	// no outgoing connection takes it while the server is down.
	for try := 0; ; try++ {
		c.port = 20000 + rand.IntN(12000) //nolint:gosec // no secret
		err := c.start()
		if err == nil {
			return c
		}
		if try == 20 || !strings.Contains(err.Error(), "could not create any TCP/IP sockets") {
			t.Fatal(err)
		}
	}
}

// disown gives files to an unprivileged user, as scripts/servers does, if the
// test runs as root.
func (c *Cluster) disown(paths ...string) {
	c.Helper()
	if os.Getuid() != 0 {
		return
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			c.Fatal(err)
		}
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err1 != nil || err2 != nil {
		c.Fatalf("user %s has the ids %s and %s", u.Username, u.Uid, u.Gid)
	}
	c.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	for _, p := range paths {
		if err := os.Chown(p, int(uid), int(gid)); err != nil { //nolint:gosec // in a folder made above
			c.Fatal(err)
		}
	}
}

// command is one of PostgreSQL's programs. Should the test be killed, it ends.
func (c *Cluster) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.programs, name), args...) //nolint:gosec // found by postgresPrograms
	cmd.Dir = c.home
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.as, Setsid: true, Pdeathsig: syscall.SIGQUIT}
	return cmd
}

func (c *Cluster) data() string { return filepath.Join(c.home, "data") }

func (c *Cluster) logFile() string { return filepath.Join(c.home, "log") }

// URL names a database of the cluster. The user may do everything.
func (c *Cluster) URL(database string) string {
	return fmt.Sprintf("postgres://gatehouse:%s@127.0.0.1:%d/%s?sslmode=disable", c.password, c.port, database)
}

// Start starts the server again on the same data, and returns when it answers.
func (c *Cluster) Start() {
	c.Helper()
	if err := c.start(); err != nil {
		c.Fatal(err)
	}
}

func (c *Cluster) start() error {
	log, err := os.OpenFile(c.logFile(), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	p := c.command("postgres", "-D", c.data(), "-p", strconv.Itoa(c.port), "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories="+c.home, "-c", "max_connections=100", "-c", "fsync=on", "-c", "synchronous_commit=on", "-c", "full_page_writes=on")
	p.Stdout, p.Stderr = log, log
	gone, err := proctest.Start(p, syscall.SIGQUIT)
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		select {
		case <-gone:
			text, _ := os.ReadFile(c.logFile())
			return fmt.Errorf("PostgreSQL did not start:\n%s", text)
		default:
		}
		if c.answers() {
			c.postmaster = p
			return nil
		}
	}
	_ = p.Process.Kill()
	text, _ := os.ReadFile(c.logFile())
	return fmt.Errorf("PostgreSQL did not answer within a minute:\n%s", text)
}

func (c *Cluster) answers() bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.URL("postgres"))
	if err != nil {
		return false
	}
	return conn.Close(ctx) == nil
}

// Kill ends the postmaster and all its children with SIGKILL, and returns when
// they are gone.
func (c *Cluster) Kill() {
	c.Helper()
	postmaster := c.postmaster.Process.Pid
	// Stopped, it makes no more children while we count them.
	if err := syscall.Kill(postmaster, syscall.SIGSTOP); err != nil {
		c.Fatalf("stopping PostgreSQL: %v", err)
	}
	family := append(childrenOf(c.TB, postmaster), postmaster)
	for _, pid := range family {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	for deadline := time.Now().Add(time.Minute); slices.ContainsFunc(family, isAlive); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			c.Fatal("PostgreSQL was killed, and lives")
		}
	}
	c.postmaster = nil
}

// childrenOf returns the processes that another one has made.
func childrenOf(t testing.TB, parent int) []int {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
	if err != nil || len(files) == 0 {
		t.Fatalf("the children of process %d can't be listed: %v", parent, err)
	}
	var out []int
	for _, f := range files {
		b, err := os.ReadFile(f) //nolint:gosec // of the kernel
		if err != nil {
			t.Fatal(err)
		}
		for word := range strings.FieldsSeq(string(b)) {
			pid, err := strconv.Atoi(word)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, pid)
		}
	}
	return out
}

// isAlive reports whether a process runs; a zombie does not.
func isAlive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(state, "Z")
}

// postgresPrograms returns the folder of PostgreSQL's server programs, the
// newest there is: Debian keeps them off the PATH.
func postgresPrograms(t testing.TB) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		t.Fatal(err)
	}
	version := func(path string) int { n, _ := strconv.Atoi(strings.Split(path, "/")[4]); return n }
	if len(found) > 0 {
		return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) }))
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		t.Fatal("this test starts a PostgreSQL of its own, and its initdb is nowhere: install Debian's package postgresql, or run `make test`, which does")
	}
	return filepath.Dir(path)
}
