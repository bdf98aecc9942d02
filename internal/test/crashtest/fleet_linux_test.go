package crashtest_test

import (
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/proctest"
)

// fleet is several replicas behind nginx, and what their clients see: the one address of nginx.
type fleet struct {
	*house
	replicas []*house
	nginx    *exec.Cmd
}

// newFleet starts a replica for each URL of the one database, and nginx before them.
func newFleet(t *testing.T, dbURLs ...string) *fleet {
	t.Helper()
	f := &fleet{house: newHouse(t, "", dbURLs[0])}
	f.listen, f.hears = freeAddress(t), time.Second
	for _, dbURL := range dbURLs {
		h := newHouse(t, build(t, ""), dbURL)
		h.listen, h.settings = freeAddress(t), []string{"SHUTDOWN_DELAY_SECONDS=1"}
		h.start(longGrace)
		f.replicas = append(f.replicas, h)
	}
	f.configure(f.replicas)
	program, err := exec.LookPath("nginx")
	if err != nil {
		program = "/usr/sbin/nginx" // off the PATH of those who are not root
	}
	f.nginx = exec.Command(program, "-p", f.dir, "-e", "stderr", "-c", filepath.Join(f.dir, "nginx.conf"))
	f.nginx.Stderr = os.Stderr
	done, err := proctest.Start(f.nginx, syscall.SIGTERM) // of which its workers hear
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.nginx.Process.Signal(syscall.SIGTERM); <-done })
	f.address.Store(&endpoint{"http://" + f.listen, longGrace})
	return f
}

// configure writes what `gatehouse nginx --replicas` prints, without TLS, without nginx's own limits, and believing what clients
// say of their networks.
func (f *fleet) configure(replicas []*house) {
	f.Helper()
	settings, err := config.Load(config.Source{
		Environ: []string{"PUBLIC_URL=https://gatehouse.test"}, ReadFile: func(string) ([]byte, error) { return nil, fs.ErrNotExist },
	})
	if err != nil {
		f.Fatal(err)
	}
	var places []string
	for _, h := range replicas {
		places = append(places, h.listen)
	}
	printed, err := app.Nginx(settings, "", places...)
	if err != nil {
		f.Fatal(err)
	}
	upstream, rest, _ := strings.Cut(printed, "server {\n")
	location := rest[strings.Index(rest, "    location / {"):strings.Index(rest, "    # To guard")]
	location = strings.NewReplacer(
		"proxy_set_header Host $host;", "proxy_set_header Host gatehouse.test;",
		"X-Forwarded-For $remote_addr;", "X-Forwarded-For $http_x_forwarded_for;",
		"proxy_read_timeout 60s;", "proxy_read_timeout 3s;",
	).Replace(location)
	conf := fmt.Sprintf(`daemon off; worker_processes 1; pid %[1]s/pid; error_log stderr crit;
events { worker_connections 1024; }
http {
access_log off; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
%[2]s
server {
    listen %[3]s;
    proxy_connect_timeout 2s;
    keepalive_requests 1000000;
%[4]s
}
}`, f.dir, upstream, f.listen, location)
	if err := os.WriteFile(filepath.Join(f.dir, "nginx.conf"), []byte(conf), 0o600); err != nil {
		f.Fatal(err)
	}
}

// reload has nginx send requests to those replicas alone from now on, or a moment later.
func (f *fleet) reload(replicas []*house) {
	f.Helper()
	f.configure(replicas)
	if err := f.nginx.Process.Signal(syscall.SIGHUP); err != nil {
		f.Fatal(err)
	}
}

// end stops all replicas as an operator does, and returns what they logged of bugs.
func (f *fleet) end() (logged []string) {
	f.Helper()
	for _, h := range f.replicas {
		h.stop()
		logged = append(logged, h.errors()...)
	}
	return logged
}

// TestARollingRestartLosesNoAnswer restarts five replicas behind nginx one after the other, as docs/guides/replicas.md says,
// while 32 clients register, sign in, refresh and sign out. Not one of them is told an error or left without an answer.
func TestARollingRestartLosesNoAnswer(t *testing.T) {
	t.Parallel()
	dbURL := dbtest.Postgres(t)
	f := newFleet(t, dbURL, dbURL, dbURL, dbURL, dbURL)
	s := newStorm(f.house)
	for range soak(1, 20) {
		s.everybodyIsAnswered(1)
		for i, h := range f.replicas {
			f.reload(slices.Concat(f.replicas[:i], f.replicas[i+1:]))
			h.stop()
			h.start(longGrace)
			f.reload(f.replicas)
		}
	}
	s.settle()
	if lost := s.judge(f.end()); lost > 0 {
		t.Errorf("%d answers were lost, want none", lost)
	}
	s.eventsTellOfEverything()
}

// TestNothingAcknowledgedIsLostWhenReplicasFail kills, suspends and cuts off replicas of five behind nginx at any moment.
// nginx goes on with the others, and what clients saw of all of them has an order.
func TestNothingAcknowledgedIsLostWhenReplicasFail(t *testing.T) {
	t.Parallel()
	dbURL := dbtest.Postgres(t)
	network := dbtest.NewProxy(t, dbURL)
	f := newFleet(t, dbURL, network.URL(), dbURL, dbURL, dbURL)
	s := newStorm(f.house)
	for range soak(1, 20) {
		s.rage()
		f.replicas[0].kill()
		s.everybodyIsAnswered(1)
		f.replicas[0].start(longGrace)
		s.rage()
		f.replicas[2].signal(syscall.SIGSTOP)
		s.everybodyIsAnswered(1)
		f.replicas[2].signal(syscall.SIGCONT)
		s.rage()
		network.Down()
		s.everybodyIsAnswered(1)
		network.Up()
	}
	s.settle()
	if s.judge(f.end()) == 0 {
		t.Error("no answer was lost: nothing was killed in the midst of anything")
	}
	s.eventsTellOfEverything()
}

// TestNothingAcknowledgedIsLostInAFailover kills a PostgreSQL whose standby confirms each commit, and promotes the standby.
// The replicas find it by themselves.
func TestNothingAcknowledgedIsLostInAFailover(t *testing.T) {
	t.Parallel()
	for range soak(1, 20) {
		primary := dbtest.NewServer(t)
		primary.Exec(`CREATE DATABASE gatehouse`)
		standby := primary.Standby()
		primary.Exec(`ALTER SYSTEM SET synchronous_standby_names = '*'`)
		primary.Exec(`SELECT pg_reload_conf()`)
		dbURL := "postgres://gatehouse@" + primary.Host() + "," + standby.Host() + "/gatehouse?sslmode=disable&target_session_attrs=read-write"
		f := newFleet(t, dbURL, dbURL, dbURL)
		s := newStorm(f.house)
		s.rage()
		primary.Stop(syscall.SIGQUIT)
		standby.Exec(`SELECT pg_promote()`)
		began := time.Now()
		s.everybodyIsAnswered(1)
		t.Logf("all clients were answered %s after the standby was promoted", time.Since(began).Round(time.Millisecond))
		s.settle()
		f.dbURL = standby.URL("gatehouse")
		if s.judge(f.end()) == 0 {
			t.Error("no answer was lost: nothing was killed in the midst of anything")
		}
		s.eventsTellOfEverything()
	}
}

// TestASIGTERMIsSeenBeforeThePortCloses sees to it that a server which is to stop serves on for SHUTDOWN_DELAY_SECONDS, on new
// connections as well, each of which ends with its answer.
func TestASIGTERMIsSeenBeforeThePortCloses(t *testing.T) {
	t.Parallel()
	h := newHouse(t, build(t, ""), dbtest.SQLite(t))
	admin := freeAddress(t)
	h.settings = []string{"SHUTDOWN_DELAY_SECONDS=60", "ADMIN_LISTEN_ADDR=" + admin}
	h.start(longGrace)
	ask := func(url string) (int, string, bool) {
		res, err := http.Get(url) //nolint:gosec,noctx // our own server
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(text), res.Close
	}
	public := h.address.Load().url + "/openapi.json"
	if status, text, _ := ask("http://" + admin + "/readyz"); status != 200 {
		t.Fatalf("readyz before: %d %s", status, text)
	}
	if status, _, closes := ask(public); status != 200 || closes {
		t.Fatalf("before: %d, the connection closes: %t", status, closes)
	}
	h.signal(syscall.SIGTERM)
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if status, text, _ := ask("http://" + admin + "/readyz"); status == 503 && strings.Contains(text, `"server":"stopping"`) {
			break
		} else if time.Since(began) > patience {
			t.Fatalf("readyz after SIGTERM: %d %s", status, text)
		}
	}
	if status, _, closes := ask(public); status != 200 || !closes {
		t.Errorf("after SIGTERM: %d, the connection closes: %t", status, closes)
	}
	h.kill()
	h.settings[0] = "SHUTDOWN_DELAY_SECONDS=1"
	h.start(longGrace)
	h.stop() // fails unless it ends by itself, and well
}
