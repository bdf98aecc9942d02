package crashtest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/verify"
)

// TestJWT5_NoRevokedTokenIsAcceptedAfterItsSecond kills a replica of three, cuts
// and silences the connection of another to its database, kills PostgreSQL,
// suspends a replica and wakes it, and replaces the signing key (JWT-1), while
// sessions begin and end on all of them.
// No question that is asked a second after a session's end has been
// acknowledged, of a replica or of an application that uses verify, finds its
// token good; and no session that lives is ever told that it does not. All that
// may happen is 503, or no answer.
func TestJWT5_NoRevokedTokenIsAcceptedAfterItsSecond(t *testing.T) {
	w := newWatch(t)
	for range soak(1, 25) {
		w.during("a replica is killed", func() { w.replicas[0].kill(); pause(1500); w.replicas[0].start(longGrace) })
		w.during("a connection is cut", func() { w.network.Down(); pause(1500); w.network.Up() })
		w.during("a connection is silent", func() { w.network.Stall(); pause(2000); w.network.Up() })
		w.during("PostgreSQL is killed", func() { w.cluster.Kill(); pause(500); w.cluster.Start() })
		w.during("a replica is suspended", func() {
			w.replicas[2].signal(syscall.SIGSTOP)
			pause(2500)
			w.replicas[2].signal(syscall.SIGCONT)
		})
		w.during("the key is replaced", func() {
			for range 3 {
				w.command("key", "rotate", "--now")
				pause(300)
			}
		})
	}
	w.end()
}

func pause(milliseconds int) { time.Sleep(time.Duration(milliseconds) * time.Millisecond) }

func (h *house) signal(s syscall.Signal) {
	h.Helper()
	if err := h.process.Process.Signal(s); err != nil {
		h.Fatal(err)
	}
}

// watch is three replicas on a PostgreSQL of its own, an application, people who
// sign in and out, and everybody who asks whether their tokens are good.
type watch struct {
	*testing.T
	cluster  *dbtest.Cluster
	network  *dbtest.Proxy // of the second replica to PostgreSQL
	replicas []*house
	apps     []*verify.Verifier // the first may ask any replica, each other the one alone
	http     *http.Client

	over  chan struct{}
	wait  sync.WaitGroup
	mu    sync.Mutex
	dead  []ended  // the sessions that have ended lately
	alive []string // an access token of each that lives

	ends, asked, good, unknown atomic.Int64
	slowest                    atomic.Int64 // nanoseconds after the end at which a token was last found good
}

// ended is a token and when its session's end had been acknowledged.
type ended struct {
	token string
	at    time.Time
}

// keepers is how many sessions live on.
const keepers = 3

func newWatch(t *testing.T) *watch {
	t.Helper()
	w := &watch{
		T: t, cluster: dbtest.NewCluster(t), over: make(chan struct{}), alive: make([]string, keepers),
		http: &http.Client{Timeout: 4 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 16}},
	}
	ctx := context.Background()
	c, err := pgx.Connect(ctx, w.cluster.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(ctx, `CREATE DATABASE gatehouse`); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(ctx); err != nil {
		t.Fatal(err)
	}
	direct := w.cluster.URL("gatehouse")
	w.network = dbtest.NewProxy(t, direct)
	var places []string
	for _, dbURL := range []string{direct, w.network.URL(), direct} {
		h := newHouse(t, build(t, ""), dbURL)
		h.listen = freeAddress(t)
		h.start(longGrace)
		w.replicas = append(w.replicas, h)
		places = append(places, "http://"+h.listen)
	}
	said := w.command("client", "create", "shop")
	m := regexp.MustCompile(`client_id +(\S+)\nclient_secret +(\S+)`).FindStringSubmatch(said)
	if m == nil {
		t.Fatal(said)
	}
	for _, follows := range [][]string{places, places[1:2], places[2:]} {
		app, err := verify.New("http://gatehouse.test", verify.WithAddress(follows...), verify.WithClient(m[1], m[2]),
			verify.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		w.apps = append(w.apps, app)
	}
	t.Cleanup(w.stop)
	for i := range keepers {
		w.register(fmt.Sprintf("keeper%d@example.org", i))
		w.register(fmt.Sprintf("leaver%d@example.org", i))
		w.wait.Go(func() { w.keep(i) })
		w.wait.Go(func() { w.leave(i) })
	}
	for i, app := range w.apps {
		w.wait.Go(func() {
			w.doubt(fmt.Sprint("application ", i), func(token string) verdict { return byApplication(app, token) })
		})
	}
	for i, h := range w.replicas {
		for range 2 {
			w.wait.Go(func() {
				w.doubt(fmt.Sprint("replica ", i), func(token string) verdict { return w.byReplica(h, token) })
			})
		}
	}
	return w
}

// freeAddress returns one at which a server can be started again. Below 32768 no
// outgoing connection takes it meanwhile.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))
		if l, err := net.Listen("tcp", address); err == nil {
			_ = l.Close()
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

// command runs one of the operator's, while the servers run.
func (w *watch) command(args ...string) string {
	w.Helper()
	c := exec.Command(build(w.T, ""), args...)
	c.Env = []string{
		"DATABASE_URL=" + w.cluster.URL("gatehouse"), "EVENT_KEY=Hs4kPz8vWd2Qx7LmTn5RbYc9JgFa3EuK", "JWT_SECRET_KEY=q7Vx2mZp9LtRw4KcYb8NsHf3GdJ6TaEu",
		"PUBLIC_URL=http://gatehouse.test", "BCRYPT_COST=4",
	}
	c.Dir = w.TempDir()
	out, err := c.CombinedOutput()
	if err != nil {
		w.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

// during makes trouble, and waits until sessions have ended since, and a second
// and more has gone by.
func (w *watch) during(what string, trouble func()) {
	w.Helper()
	before, began := w.ends.Load(), time.Now()
	trouble()
	pause(1500)
	for settling := time.Now(); w.ends.Load() < before+3; pause(10) {
		if time.Since(settling) > patience {
			w.Fatalf("%s: nobody can sign out any more", what)
		}
	}
	w.Logf("%s: %d sessions ended in %v", what, w.ends.Load()-before, time.Since(began).Round(time.Millisecond))
}

func (w *watch) stop() {
	select {
	case <-w.over:
	default:
		close(w.over)
	}
	w.wait.Wait()
	for _, app := range w.apps {
		_ = app.Close()
	}
}

func (w *watch) end() {
	w.Helper()
	w.stop()
	for _, h := range w.replicas {
		for _, line := range h.errors() {
			w.Errorf("a server logged: %s", line)
		}
	}
	w.Logf("%d sessions ended; of %d questions %d were answered yes, %d not at all; a token was good for %v after the end",
		w.ends.Load(), w.asked.Load(), w.good.Load(), w.unknown.Load(), time.Duration(w.slowest.Load()).Round(time.Millisecond))
}

func (w *watch) isOver() bool {
	select {
	case <-w.over:
		return true
	default:
		return false
	}
}

// call asks one of the replicas, as long as nobody answers another. It returns nil
// at the end of the test.
func (w *watch) call(method, path, bearer string, body map[string]string, statuses ...int) *reply {
	for began := time.Now(); !w.isOver(); pause(20) {
		if time.Since(began) > patience {
			w.Errorf("%s %s: not answered for %v", method, path, patience)
			return nil
		}
		r := w.once(w.replicas[rand.IntN(len(w.replicas))], method, path, bearer, body)
		if r.lost || r.status == http.StatusServiceUnavailable {
			continue
		}
		for _, s := range statuses {
			if r.status == s {
				return &r
			}
		}
		w.Errorf("%s %s: %d %v", method, path, r.status, r.fields)
		return nil
	}
	return nil
}

func (w *watch) once(h *house, method, path, bearer string, body map[string]string) (r reply) {
	b, _ := json.Marshal(body)
	req, err := http.NewRequest(method, "http://"+h.listen+path, bytes.NewReader(b))
	if err != nil {
		w.Error(err)
		return reply{answer: answer{lost: true}}
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	res, err := w.http.Do(req)
	if err != nil {
		return reply{answer: answer{lost: true}}
	}
	defer res.Body.Close()
	r.status = res.StatusCode
	if text, err := io.ReadAll(res.Body); err != nil || len(text) > 0 && json.Unmarshal(text, &r.fields) != nil {
		r.lost = true
	}
	return r
}

func (w *watch) register(email string) {
	w.call("POST", "/v1/register", "", map[string]string{"email": email, "password": "a long passphrase"}, 202)
}

func (w *watch) login(email string) *reply {
	return w.call("POST", "/v1/login", "", map[string]string{"email": email, "password": "a long passphrase"}, 200)
}

// leave signs in and out, over and over.
func (w *watch) leave(i int) {
	for !w.isOver() {
		s := w.login(fmt.Sprintf("leaver%d@example.org", i))
		if s == nil {
			return
		}
		// An end whose answer was lost is asked for again.
		if w.call("POST", "/v1/logout", "", map[string]string{"refresh_token": s.str("refresh_token")}, 204) == nil {
			return
		}
		w.mu.Lock()
		w.dead = append(w.dead, ended{s.str("access_token"), time.Now()})
		w.dead = w.dead[max(0, len(w.dead)-60):]
		w.mu.Unlock()
		w.ends.Add(1)
		pause(50)
	}
}

// keep refreshes one session for as long as the test runs.
func (w *watch) keep(i int) {
	s := w.login(fmt.Sprintf("keeper%d@example.org", i))
	for s != nil {
		w.mu.Lock()
		w.alive[i] = s.str("access_token")
		w.mu.Unlock()
		pause(100)
		s = w.call("POST", "/v1/token/refresh", "", map[string]string{"refresh_token": s.str("refresh_token")}, 200)
	}
}

// verdict is what somebody says of a token.
type verdict int

const (
	unknown verdict = iota // 503, or no answer
	yes
	no
)

func byApplication(app *verify.Verifier, token string) verdict {
	_, err := app.Verify(context.Background(), token)
	switch {
	case err == nil:
		return yes
	case errors.Is(err, verify.ErrInvalid):
		return no
	}
	return unknown
}

// byReplica asks what is answered from memory alone.
func (w *watch) byReplica(h *house, token string) verdict {
	switch r := w.once(h, "GET", "/v1/forward-auth", token, nil); {
	case r.lost || r.status == http.StatusServiceUnavailable:
		return unknown
	case r.status == http.StatusOK:
		return yes
	case r.status != http.StatusUnauthorized:
		w.Errorf("forward-auth: %d %v", r.status, r.fields)
	}
	return no
}

// doubt asks somebody about tokens dead and alive, for as long as the test runs.
func (w *watch) doubt(who string, ask func(token string) verdict) {
	for ; !w.isOver(); pause(15) {
		w.mu.Lock()
		living := w.alive[rand.IntN(keepers)]
		var of ended
		if len(w.dead) > 0 {
			of = w.dead[rand.IntN(len(w.dead))]
		}
		w.mu.Unlock()
		if living != "" {
			switch ask(living) {
			case no:
				w.Errorf("%s refuses a token that is good", who)
			case yes:
				w.good.Add(1)
			case unknown:
				w.unknown.Add(1)
			}
			w.asked.Add(1)
		}
		if of.token == "" {
			continue
		}
		since := time.Since(of.at)
		if ask(of.token) == yes {
			if since > time.Second {
				w.Errorf("%s, asked %v after the end of a session, takes its token", who, since)
			}
			for old := w.slowest.Load(); int64(since) > old && !w.slowest.CompareAndSwap(old, int64(since)); {
				old = w.slowest.Load()
			}
		}
	}
}
