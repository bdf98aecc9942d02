package dbtest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
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
)

// Server is a PostgreSQL of one test's own, to be stopped, started and
// promoted. Everybody on 127.0.0.1 is let in without a password.
type Server struct {
	t       testing.TB
	data    string
	options []string
	port    int
	process *process
}

// NewServer makes and starts a server, with options such as
// "max_connections=20". It ends with the test.
func NewServer(t testing.TB, options ...string) *Server {
	t.Helper()
	s := &Server{t: t, data: filepath.Join(Folder(t), "data"), options: options, port: freePort(t)}
	run(t, postgresProgram(t, "initdb"), "--pgdata="+s.data, "--username=gatehouse", "--auth=trust",
		"--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions")
	s.Start()
	return s
}

// Standby makes and starts a server that follows this one.
func (s *Server) Standby() *Server {
	s.t.Helper()
	b := &Server{t: s.t, data: filepath.Join(Folder(s.t), "data"), options: s.options, port: freePort(s.t)}
	run(s.t, postgresProgram(s.t, "pg_basebackup"), "--pgdata="+b.data, "--write-recovery-conf", "--no-sync", "--checkpoint=fast",
		"--dbname="+s.URL("postgres"))
	b.Start()
	return b
}

// Host is the server's address and port.
func (s *Server) Host() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// URL names a database on the server.
func (s *Server) URL(database string) string {
	return "postgres://gatehouse@" + s.Host() + "/" + database + "?sslmode=disable"
}

// Start starts the server and waits until it answers.
func (s *Server) Start() {
	s.t.Helper()
	args := []string{"-D", s.data, "-p", strconv.Itoa(s.port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off"}
	for _, o := range s.options {
		args = append(args, "-c", o)
	}
	s.process = start(s.t, postgresProgram(s.t, "postgres"), args...)
	s.process.await(s.t, func() error {
		c, err := pgx.Connect(context.Background(), s.URL("postgres"))
		if err != nil {
			return err
		}
		return c.Close(context.Background())
	})
}

// Stop shuts the server down (SIGINT), or lets it crash (SIGQUIT), and waits.
func (s *Server) Stop(signal syscall.Signal) { s.t.Helper(); s.process.stop(s.t, signal) }

// Exec runs one statement on the server.
func (s *Server) Exec(statement string) {
	s.t.Helper()
	ctx := context.Background()
	c, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close(ctx)
	if _, err := c.Exec(ctx, statement); err != nil {
		s.t.Fatalf("%s: %v", statement, err)
	}
}

// Bouncer is a pgbouncer in transaction mode.
type Bouncer struct {
	t       testing.TB
	program string
	config  string
	host    string
	process *process
}

// NewBouncer starts a pgbouncer before the server, with as many connections to
// each database. It ends with the test.
func NewBouncer(t testing.TB, s *Server, connections int) *Bouncer {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer"
	}
	if _, err := os.Stat(program); err != nil {
		t.Fatal("pgbouncer is missing: run the tests with scripts/servers, which installs it as root, or install Debian's package pgbouncer")
	}
	dir, port := Folder(t), freePort(t)
	b := &Bouncer{t: t, program: program, config: filepath.Join(dir, "pgbouncer.ini"), host: fmt.Sprintf("127.0.0.1:%d", port)}
	text := fmt.Sprintf(`[databases]
* = host=127.0.0.1 port=%d user=gatehouse
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = %d
max_client_conn = 200
server_login_retry = 1
`, s.port, port, connections)
	if err := os.WriteFile(b.config, []byte(text), 0o644); err != nil { //nolint:gosec // another user reads it
		t.Fatal(err)
	}
	b.Start()
	return b
}

// Start starts it and waits until it listens.
func (b *Bouncer) Start() {
	b.t.Helper()
	b.process = start(b.t, b.program, b.config)
	b.process.await(b.t, func() error {
		c, err := net.Dial("tcp", b.host)
		if err != nil {
			return err
		}
		return c.Close()
	})
}

// Stop ends it at once.
func (b *Bouncer) Stop() { b.t.Helper(); b.process.stop(b.t, syscall.SIGTERM) }

// URL names a database behind the pgbouncer.
func (b *Bouncer) URL(database string) string {
	return "postgres://gatehouse@" + b.host + "/" + database + "?sslmode=disable"
}

// process is a server that runs as an unprivileged user, and dies with the
// tests.
type process struct {
	cmd  *exec.Cmd
	out  bytes.Buffer
	done <-chan struct{}
}

func start(t testing.TB, program string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(program, args...)} //nolint:gosec // the tests name it
	p.cmd.Dir = os.TempDir()
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: unprivileged()}
	var err error
	if p.done, err = proctest.Start(p.cmd, syscall.SIGQUIT); err != nil {
		t.Fatalf("%s: %v", program, err)
	}
	t.Cleanup(func() { p.stop(t, syscall.SIGQUIT) })
	return p
}

func (p *process) await(t testing.TB, up func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = up(); err == nil {
			return
		}
		select {
		case <-p.done:
			t.Fatalf("%s has ended: %s", p.cmd.Path, p.out.String())
		default:
		}
	}
	p.stop(t, syscall.SIGKILL)
	t.Fatalf("%s does not answer: %v\n%s", p.cmd.Path, err, p.out.String())
}

func (p *process) stop(t testing.TB, signal syscall.Signal) {
	t.Helper()
	_ = p.cmd.Process.Signal(signal)
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
		t.Errorf("%s had to be killed", p.cmd.Path)
	}
}

// run runs a program to its end as an unprivileged user.
func run(t testing.TB, program string, args ...string) {
	t.Helper()
	c := exec.Command(program, args...) //nolint:gosec // the tests name it
	c.Dir = os.TempDir()
	c.SysProcAttr = &syscall.SysProcAttr{Credential: unprivileged()}
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
}

// unprivileged is who servers run as: they refuse to be root. Nil is the user we
// are.
func unprivileged() *syscall.Credential {
	if os.Getuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, _ := strconv.ParseUint(u.Uid, 10, 32)
			gid, _ := strconv.ParseUint(u.Gid, 10, 32)
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	return nil
}

// Folder returns a folder that the servers' user may write to. It goes with the
// test.
func Folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gatehouse-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("removing the server's folder: %v", err)
		}
	})
	if u := unprivileged(); u != nil {
		if err := os.Chown(dir, int(u.Uid), int(u.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// postgresProgram finds a program of the newest PostgreSQL: Debian keeps them
// off the PATH.
func postgresProgram(t testing.TB, name string) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	version := func(path string) int {
		n, _ := strconv.Atoi(strings.Split(path, "/")[4])
		return n
	}
	if len(found) > 0 {
		return slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("PostgreSQL's %s is missing: run the tests with scripts/servers, which installs it as root, or install Debian's package postgresql", name)
	}
	return path
}

// freePort returns a port that is not in use, below those that outgoing
// connections take.
func freePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 20000 + rand.IntN(12000) //nolint:gosec // no secret
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}
