package release_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// system is a copy of this machine's file tree that a test may do with as it likes: what is
// written stays in a folder of the test's (overlayfs), in a mount namespace of its own.
type system struct {
	*testing.T
	holder *exec.Cmd // keeps the namespace
	root   string
}

func newSystem(t *testing.T) *system {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test installs packages in a copy of the system, for which it must be root")
	}
	home := t.TempDir()
	s := &system{T: t, root: filepath.Join(home, "copy")}
	// An overlay can't lie on itself, so what it writes is in memory.
	s.holder = exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-euc", `mount -t tmpfs tmpfs "$1"
		cd "$1"
		mkdir upper work copy
		mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work copy
		mount --rbind /dev copy/dev
		mount -t proc proc copy/proc
		mount -t tmpfs tmpfs copy/run
		mount -t tmpfs tmpfs copy/tmp
		echo ready && exec cat`, "sh", home)
	in, err := s.holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = s.holder.Wait() })
	if n, err := out.Read(make([]byte, 6)); n < 5 {
		t.Fatalf("the copy of the system could not be mounted: %v", err)
	}
	return s
}

// command is one that is run within.
func (s *system) command(script string, args ...string) *exec.Cmd {
	all := []string{"--mount=/proc/" + strconv.Itoa(s.holder.Process.Pid) + "/ns/mnt", "--", "chroot", s.root, "sh", "-euc", script, "sh"}
	return exec.Command("nsenter", append(all, args...)...)
}

// does runs a script within, and returns what it says.
func (s *system) does(script string, args ...string) string {
	s.Helper()
	out, err := s.command(script, args...).CombinedOutput()
	if err != nil {
		s.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

// brought is the folder of the system that a test's files are in.
const brought = "/srv"

// brings copies a file to the system, and returns where it is.
func (s *system) brings(path string) string {
	s.Helper()
	in, err := os.Open(path)
	if err != nil {
		s.Fatal(err)
	}
	defer in.Close()
	to := filepath.Join(brought, filepath.Base(path))
	c := s.command(`cat >"$1"`, to)
	c.Stdin = in
	if out, err := c.CombinedOutput(); err != nil {
		s.Fatalf("%v\n%s", err, out)
	}
	return to
}

// asService starts the server as the unit does: its command, as its user, in its folder, with
// the settings on top of those of the file.
const asService = `cd /var/lib/gatehouse
exec env -i "$@" setpriv --reuid=gatehouse --regid=gatehouse --clear-groups --no-new-privs \
	$(sed -n 's/^ExecStart=//p' /usr/lib/systemd/system/gatehouse.service)`

// serves starts it, waits until `gatehouse health` says ready, does what is wanted meanwhile,
// and ends it by SIGTERM.
func (s *system) serves(meanwhile func(settings []string)) {
	s.Helper()
	settings := []string{"LISTEN_ADDR=" + freeAddress(s.T), "ADMIN_LISTEN_ADDR=" + freeAddress(s.T), "JWT_SECRET_KEY_FILE=/etc/gatehouse/jwt_secret"}
	c := s.command(asService, settings...)
	var log strings.Builder
	c.Stderr = &log
	if err := c.Start(); err != nil {
		s.Fatal(err)
	}
	health := `env "$@" gatehouse health --env-file /etc/gatehouse/gatehouse.env`
	ready(s.T, &log, func() *exec.Cmd { return s.command(health, settings...) })
	meanwhile(settings)
	stops(s.T, c, &log)
}

func ready(t *testing.T, log *strings.Builder, ask func() *exec.Cmd) {
	t.Helper()
	var out []byte
	for start := time.Now(); time.Since(start) < 30*time.Second; time.Sleep(100 * time.Millisecond) {
		var err error
		if out, err = ask().CombinedOutput(); err == nil && strings.Contains(string(out), "ready") {
			return
		}
	}
	t.Fatalf("it never is ready: %s\n%s", out, log)
}

func stops(t *testing.T, c *exec.Cmd, log *strings.Builder) {
	t.Helper()
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("it did not stop well: %v\n%s", err, log)
	}
}

// The Debian package, without the triggers of others, such as man-db's index: it is installed,
// asks for its one setting, starts, is upgraded with settings, secret and accounts in place, is
// removed, and purged.
func TestDebianPackage(t *testing.T) {
	s := newSystem(t)
	deb := s.brings(filepath.Join(made(t), "gatehouse_0.1.0_linux_amd64.deb"))
	said := s.does(`dpkg --no-triggers --install "$1" && gatehouse version`, deb)
	if !strings.Contains(said, "set PUBLIC_URL in /etc/gatehouse/gatehouse.env") || !strings.Contains(said, "gatehouse v0.1.0") {
		t.Errorf("dpkg says %s", said)
	}
	if modes := s.does(`stat -c '%a %U:%G %n' /etc/gatehouse /etc/gatehouse/* /var/lib/gatehouse /usr/bin/gatehouse`); modes !=
		"750 root:gatehouse /etc/gatehouse\n640 root:gatehouse /etc/gatehouse/gatehouse.env\n400 gatehouse:gatehouse /etc/gatehouse/jwt_secret\n"+
			"700 gatehouse:gatehouse /var/lib/gatehouse\n755 root:root /usr/bin/gatehouse\n" {
		t.Errorf("the files are:\n%s", modes)
	}
	s.does(`systemd-analyze verify --man=no /usr/lib/systemd/system/gatehouse.service && man -w gatehouse-user &&
		bash -n /usr/share/bash-completion/completions/gatehouse`)
	if refused := s.does("("+asService+`) 2>&1 || echo "exit $?"`, "A=b"); !strings.Contains(refused, "PUBLIC_URL") || !strings.Contains(refused, "exit 78") {
		t.Errorf("without PUBLIC_URL it says %s", refused)
	}
	secret := s.does(`sed -i 's|^PUBLIC_URL=.*|PUBLIC_URL=https://auth.gatehouse.test|' /etc/gatehouse/gatehouse.env && cat /etc/gatehouse/jwt_secret`)
	s.serves(func(settings []string) {
		s.does(`cd / && env "$@" setpriv --reuid=gatehouse --regid=gatehouse --clear-groups \
			gatehouse user create --env-file /etc/gatehouse/gatehouse.env --admin ada@gatehouse.test`, settings...)
	})

	// The next release, as dpkg sees it: the same files under a higher number.
	upgraded := s.does(`cd "$2"
		dpkg-deb --raw-extract "$1" newer && sed -i 's/^Version: .*/Version: 0.2.0/' newer/DEBIAN/control
		dpkg-deb -Znone --build newer newer.deb && DEBIAN_FRONTEND=noninteractive dpkg --no-triggers --install newer.deb
		dpkg-query --show --showformat '${Version}' gatehouse`, deb, brought)
	if !strings.HasSuffix(upgraded, "\n0.2.0") || strings.Contains(upgraded, "set PUBLIC_URL") {
		t.Errorf("the upgrade says %s", upgraded)
	}
	now := s.does(`cat /etc/gatehouse/jwt_secret; grep ^PUBLIC_URL /etc/gatehouse/gatehouse.env`)
	if now != secret+"PUBLIC_URL=https://auth.gatehouse.test\n" {
		t.Errorf("the upgrade changed the secret or the settings: %s", now)
	}
	s.serves(func(settings []string) {
		if list := s.does(`env "$@" gatehouse user list --env-file /etc/gatehouse/gatehouse.env`, settings...); !strings.Contains(list, "ada@gatehouse.test") {
			t.Errorf("the accounts are %s", list)
		}
	})
	s.removed(`dpkg --no-triggers --remove gatehouse`, `dpkg --no-triggers --purge gatehouse`)
}

// removed takes the package away: the program goes, the accounts and their secret stay. The secret
// stays without accounts in the package's folder too, since they may be on a PostgreSQL; and once
// both are deleted, nothing stays.
func (s *system) removed(remove, purge string) {
	s.Helper()
	s.does(remove + ` && test ! -e /usr/bin/gatehouse && test ! -e /usr/lib/systemd/system/gatehouse.service && test -s /etc/gatehouse/gatehouse.env`)
	said := s.does(purge + ` && test -s /etc/gatehouse/jwt_secret && test -s /var/lib/gatehouse/gatehouse.db && test ! -e /etc/gatehouse/gatehouse.env`)
	if !strings.Contains(said, "delete both when you are sure") {
		s.Errorf("purging says %s", said)
	}
	first := s.brings(filepath.Join(made(s.T), "gatehouse_0.1.0_linux_amd64.deb"))
	install := ` && dpkg --no-triggers --install "$1" && `
	secret := s.does(`cat /etc/gatehouse/jwt_secret`)
	said = s.does(`rm -r /var/lib/gatehouse`+install+purge, first)
	if !strings.Contains(said, "/etc/gatehouse/jwt_secret") || !strings.Contains(said, "delete both when you are sure") {
		s.Errorf("purging without accounts in its folder says %s", said)
	}
	if now := s.does(`cat /etc/gatehouse/jwt_secret; stat -c %a:%U /etc/gatehouse/jwt_secret`); now != secret+"400:gatehouse\n" {
		s.Errorf("purging without accounts in its folder left %s of the secret", now)
	}
	s.does(`rm /etc/gatehouse/jwt_secret`+install+`rm /etc/gatehouse/jwt_secret && `+purge+
		` && test ! -e /etc/gatehouse && test ! -e /var/lib/gatehouse && ! getent passwd gatehouse`, first)
}

// The RPM package, by rpm itself: installed, with its files and user, verified, and removed.
func TestRPMPackage(t *testing.T) {
	s := newSystem(t)
	rpm := s.brings(filepath.Join(made(t), "gatehouse_0.1.0_linux_amd64.rpm"))
	said := s.does(`rpm --initdb && rpm --install --nodeps "$1" 2>&1 && gatehouse version && rpm -V --nodeps --nouser --nogroup gatehouse`, rpm)
	if !strings.Contains(said, "gatehouse v0.1.0") || !strings.Contains(said, "set PUBLIC_URL") {
		t.Errorf("rpm says %s", said)
	}
	s.does(`test "$(stat -c %a:%U /etc/gatehouse/jwt_secret)" = 400:gatehouse && rpm -q --configfiles gatehouse | grep -qx /etc/gatehouse/gatehouse.env`)
	if licence := s.does(`rpm -q --qf '%{LICENSE} %{BUILDHOST} %{VERSION}' gatehouse`); licence != "Apache-2.0 localhost 0.1.0" {
		t.Errorf("it is of %s", licence)
	}
	s.does(`rpm --erase gatehouse && test ! -e /usr/bin/gatehouse && test -s /etc/gatehouse/jwt_secret`)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
