// Package redistest gives tests Redis servers of their own: plain ones, with TLS,
// with users, with Sentinels, or in a Cluster. Each is a process that ends with its
// test.
package redistest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/test/proctest"
)

// Password is that of the default user of every server.
const Password = "a long and random password of the tests"

// Server is one redis-server.
type Server struct {
	testing.TB
	Port int

	home    string
	args    []string
	as      *syscall.Credential // the tests may run as root, Redis does not
	process *exec.Cmd           // nil while it is down
	tls     bool
	ended   <-chan struct{}
}

// Start starts a server with more arguments. It keeps nothing on the disk.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	return begin(t, false, append([]string{"--requirepass", Password, "--masterauth", Password}, args...))
}

func begin(t testing.TB, secured bool, args []string) *Server {
	t.Helper()
	s := &Server{TB: t, home: folder(t), args: args, tls: secured}
	s.disown()
	t.Cleanup(func() {
		if s.process != nil {
			s.Kill()
		}
	})
	// A port is free only once the server has it: try until one is. Below 32768 no
	// outgoing connection takes it while the server is down. A Cluster wants another
	// one 10000 above it.
	for try := 0; ; try++ {
		s.Port = 11000 + rand.IntN(11000) //nolint:gosec // no secret
		err := s.run()
		if err == nil {
			return s
		}
		if try == 20 || !strings.Contains(err.Error(), "Address already in use") && !strings.Contains(err.Error(), "Failed listening") {
			t.Fatal(err)
		}
	}
}

// folder is one that everybody may enter: the server is another user.
func folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gatehouse-redis-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("removing Redis's folder: %v", err)
		}
	})
	return dir
}

// disown gives the folder to an unprivileged user if the test runs as root.
func (s *Server) disown() {
	s.Helper()
	if os.Getuid() != 0 {
		return
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		s.Fatal(err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err1, err2, os.Chown(s.home, int(uid), int(gid))); err != nil {
		s.Fatal(err)
	}
	s.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// Restart starts a server that is down again, on the same port and empty.
func (s *Server) Restart() {
	s.Helper()
	if err := s.run(); err != nil {
		s.Fatal(err)
	}
}

func (s *Server) run() error {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return errors.New("this test starts a Redis of its own, and redis-server is missing: install Debian's package redis-server, or run `make test`, which does")
	}
	// A Sentinel writes its own configuration.
	file := filepath.Join(s.home, "redis.conf")
	if err := os.WriteFile(file, nil, 0o666); err != nil { //nolint:gosec // the server's user writes it
		return err
	}
	if err := os.Chmod(file, 0o666); err != nil { //nolint:gosec // the same
		return err
	}
	log, err := os.Create(filepath.Join(s.home, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	port := []string{"--port", strconv.Itoa(s.Port)}
	if s.tls {
		port = []string{"--port", "0", "--tls-port", strconv.Itoa(s.Port)}
	}
	args := append([]string{file, "--bind", "127.0.0.1", "--dir", s.home, "--save", "", "--appendonly", "no"}, port...)
	p := exec.Command(program, append(args, s.args...)...) //nolint:gosec // the tests' own
	p.Dir, p.Stdout, p.Stderr = s.home, log, log
	p.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Setsid: true}
	if s.ended, err = proctest.Start(p, syscall.SIGKILL); err != nil {
		return err
	}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		select {
		case <-s.ended:
			text, _ := os.ReadFile(filepath.Join(s.home, "log"))
			return fmt.Errorf("redis-server did not start:\n%s", text)
		default:
		}
		text, _ := os.ReadFile(filepath.Join(s.home, "log"))
		if strings.Contains(string(text), "eady to accept connections") || strings.Contains(string(text), "Sentinel ID is") {
			s.process = p
			return nil
		}
	}
	_ = p.Process.Kill()
	return errors.New("redis-server did not start within a minute")
}

// Kill ends it with SIGKILL, and returns when it is gone.
func (s *Server) Kill() {
	s.Helper()
	s.Signal(syscall.SIGKILL)
	<-s.ended
	s.process = nil
}

// Signal sends it a signal: SIGSTOP and SIGCONT make it hang, and go on.
func (s *Server) Signal(sig syscall.Signal) {
	s.Helper()
	if err := s.process.Process.Signal(sig); err != nil {
		s.Fatal(err)
	}
}

// Addr is its host and port.
func (s *Server) Addr() string { return "127.0.0.1:" + strconv.Itoa(s.Port) }

// URL is what REDIS_URL names it by.
func (s *Server) URL() string {
	u := url.URL{Scheme: "redis", Host: s.Addr(), User: url.UserPassword("default", Password)}
	return u.String()
}

// Do runs a command as the default user, and returns the answer's first line as
// Redis writes it: +OK, :1 or -ERR. It speaks no TLS.
func (s *Server) Do(words ...string) string {
	s.Helper()
	c, err := net.DialTimeout("tcp", s.Addr(), 10*time.Second)
	if err != nil {
		s.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	r := bufio.NewReader(c)
	var said string
	for _, command := range [][]string{{"AUTH", Password}, words} {
		var b strings.Builder
		fmt.Fprintf(&b, "*%d\r\n", len(command))
		for _, word := range command {
			fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(word), word)
		}
		if _, err := c.Write([]byte(b.String())); err != nil {
			s.Fatal(err)
		}
		if said, err = r.ReadString('\n'); err != nil {
			s.Fatal(err)
		}
		said = strings.TrimSuffix(said, "\r\n")
		// A bulk string's text is its second line.
		if strings.HasPrefix(said, "$") && said != "$-1" {
			n, _ := strconv.Atoi(said[1:])
			b := make([]byte, n)
			if _, err := io.ReadFull(r, b); err != nil {
				s.Fatal(err)
			}
			said = string(b)
		}
	}
	return said
}
