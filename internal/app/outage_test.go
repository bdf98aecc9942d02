package app_test

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// requestTimeout is a request's life (web.DefaultTimeout), and what a busy
// machine may add to it.
const requestTimeout = 10*time.Second + 4*time.Second

// drain is what Server.Stop promises.
const drain = 20 * time.Second

// guest is somebody who is signed in, whatever happens to the database.
type guest struct {
	*house
	email           string
	access, refresh string
	// slack is what a busy machine may add to what is bounded: several times what
	// it takes to sign up and in while all is well, which is nothing on an idle one.
	slack time.Duration
}

func (h *house) guest(email string) *guest {
	h.Helper()
	began := time.Now()
	h.register(email)
	a := h.login(email)
	return &guest{h, email, a.str("access_token"), a.str("refresh_token"), 4 * time.Since(began)}
}

// calls is one call of every operation that needs the database. Those that
// would end the guest's session, were they to get through, come with another.
func (g *guest) calls(tag string) []request {
	return []request{
		{method: "POST", path: "/v1/register", body: credentials{tag + "@example.org", passphrase}},
		{method: "POST", path: "/v1/login", body: credentials{g.email, passphrase}},
		{method: "POST", path: "/v1/login", body: credentials{"nobody@example.org", passphrase}},
		{method: "GET", path: "/v1/me", bearer: g.access},
		{method: "PATCH", path: "/v1/me", bearer: g.access, body: `{"name":"Ada"}`},
		{method: "GET", path: "/v1/me/events", bearer: g.access},
		{method: "GET", path: "/v1/sessions", bearer: g.access},
		{method: "DELETE", path: "/v1/sessions/none", bearer: g.access},
		refreshing(g.refresh),
	}
}

// refused makes every call at once and wants each answered 503 with Retry-After
// before its time is over.
func (g *guest) refused(tag string, within time.Duration) {
	g.Helper()
	var wg sync.WaitGroup
	for _, r := range g.calls(tag) {
		wg.Go(func() {
			began := time.Now()
			a, err := g.try(r)
			took := time.Since(began)
			if err != nil || a.status != 503 || a.header.Get("Retry-After") == "" || took > within+g.slack {
				g.Errorf("%s %s: %d %q, Retry-After %q, after %v, error %v; want 503 within %v and %v", r.method, r.path, a.status, a.str("code"), a.header.Get("Retry-After"), took, err, within, g.slack)
			}
		})
	}
	wg.Wait()
}

// recovers wants all to go on by itself within a time, with the tokens that the
// guest holds: the readiness first, then every flow.
func (g *guest) recovers(within time.Duration) {
	g.Helper()
	began := time.Now()
	for {
		status, text := g.admin("/readyz")
		if status == 200 {
			break
		}
		if time.Since(began) > within+g.slack {
			g.Fatalf("still not ready after %v: %s", within, text)
		}
		time.Sleep(20 * time.Millisecond)
	}
	g.works()
	g.Logf("back after %v", time.Since(began).Round(time.Millisecond))
}

// works goes through the flows with the tokens that the guest holds.
func (g *guest) works() {
	g.Helper()
	g.expect(200, "", request{method: "GET", path: "/v1/me", bearer: g.access})
	a := g.expect(200, "", refreshing(g.refresh))
	g.access, g.refresh = a.str("access_token"), a.str("refresh_token")
	g.expect(200, "", request{method: "PATCH", path: "/v1/me", bearer: g.access, body: `{"name":"Ada Lovelace"}`})
	b := g.login(g.email)
	g.expect(204, "", request{method: "POST", path: "/v1/logout", bearer: b.str("access_token")})
	g.expect(202, "", request{method: "POST", path: "/v1/register", body: credentials{"again-" + g.email, passphrase}})
}

// unready wants readyz to name what ails the database. A busy machine may be
// too slow to learn more than that there was no answer: then it is asked again.
func (g *guest) unready(trouble ...string) {
	g.Helper()
	for first := time.Now(); ; {
		began := time.Now()
		status, text := g.admin("/readyz")
		if took := time.Since(began); status != 503 || took > 4*time.Second+g.slack {
			g.Errorf("readyz after %v: %d %s", took, status, text)
		}
		if slices.ContainsFunc(trouble, func(word string) bool { return strings.Contains(text, `"database":"`+word+`"`) }) {
			break
		}
		if time.Since(first) > g.slack {
			g.Errorf("readyz: %d %s, want the database to be %v", status, text, trouble)
			break
		}
	}
	if status, _ := g.admin("/healthz"); status != 200 {
		g.Errorf("healthz: %d; the process itself is well", status)
	}
}

// stops wants a clean end in time, while calls are under way.
func (g *guest) stops() {
	g.Helper()
	var wg sync.WaitGroup
	for _, r := range g.calls("stopping") {
		wg.Go(func() { _, _ = g.try(r) })
	}
	time.Sleep(50 * time.Millisecond) // they are on their way
	began := time.Now()
	if err := g.stop(); err != nil {
		g.Errorf("stopping: %v", err)
	}
	if took := time.Since(began); took > drain+g.slack {
		g.Errorf("stopping took %v", took)
	} else {
		g.Logf("stopped after %v", took.Round(time.Millisecond))
	}
	wg.Wait()
}

// TestPostgresOutages takes PostgreSQL away in many ways. In each, every call
// is answered 503 in time, readyz says what is wrong, all goes on by itself when
// it is over, and the server can be stopped while it is not.
func TestPostgresOutages(t *testing.T) {
	type outage struct {
		begin, end func()
		within     time.Duration // of the 503
		trouble    []string
		recovery   time.Duration
	}
	for name, make := range map[string]func(t *testing.T) (string, outage){
		"gone": func(t *testing.T) (string, outage) {
			p := dbtest.NewProxy(t, dbtest.Postgres(t))
			return p.URL(), outage{p.Down, p.Up, 3 * time.Second, []string{"unreachable"}, 3 * time.Second}
		},
		"silent": func(t *testing.T) (string, outage) {
			p := dbtest.NewProxy(t, dbtest.Postgres(t))
			return p.URL(), outage{p.Stall, p.Up, requestTimeout, []string{"unreachable", "timeout", "no_connection"}, 5 * time.Second}
		},
		"silent, then other connections work": func(t *testing.T) (string, outage) {
			p := dbtest.NewProxy(t, dbtest.Postgres(t))
			return p.URL(), outage{p.Stall, func() { p.Cut(); p.Up() }, requestTimeout, []string{"unreachable", "timeout", "no_connection"}, 5 * time.Second}
		},
		"slower than anybody waits": func(t *testing.T) (string, outage) {
			p := dbtest.NewProxy(t, dbtest.Postgres(t))
			return p.URL(), outage{func() { p.Delay(6 * time.Second) }, p.Up, requestTimeout, []string{"unreachable", "timeout", "no_connection"}, 15 * time.Second}
		},
		"read-only": func(t *testing.T) (string, outage) {
			dbURL := dbtest.Postgres(t)
			set := func(value string) func() {
				return func() {
					dbtest.Superuser(t, `ALTER DATABASE `+databaseName(t, dbURL)+` SET default_transaction_read_only = `+value)
					if value == "on" { // those who are connected keep what they had
						disconnect(t, dbURL)
					}
				}
			}
			return dbURL, outage{set("on"), set("off"), 0, []string{"read_only"}, 3 * time.Second}
		},
		"restarted": func(t *testing.T) (string, outage) {
			s := dbtest.NewServer(t)
			return s.URL("postgres"), outage{func() { s.Stop(syscall.SIGINT) }, s.Start, 3 * time.Second, []string{"unreachable"}, 3 * time.Second}
		},
		"crashed": func(t *testing.T) (string, outage) {
			s := dbtest.NewServer(t)
			return s.URL("postgres"), outage{func() { s.Stop(syscall.SIGQUIT) }, s.Start, 3 * time.Second, []string{"unreachable"}, 3 * time.Second}
		},
		"failed over": func(t *testing.T) (string, outage) {
			primary := dbtest.NewServer(t)
			standby := primary.Standby()
			// Nothing that was answered may be missing on the standby.
			primary.Exec(`ALTER SYSTEM SET synchronous_standby_names = '*'`)
			primary.Exec(`SELECT pg_reload_conf()`)
			dbURL := "postgres://gatehouse@" + primary.Host() + "," + standby.Host() + "/postgres?sslmode=disable&target_session_attrs=read-write"
			serving := primary
			return dbURL, outage{
				func() { serving.Stop(syscall.SIGQUIT); serving = standby },
				func() { standby.Exec(`SELECT pg_promote()`) },
				3 * time.Second, []string{"unreachable", "read_only"}, 3 * time.Second,
			}
		},
		"out of connections": func(t *testing.T) (string, outage) {
			// Who is refused holds a place until then: the superuser's are many more than
			// the server's pool.
			const places = 10
			s := dbtest.NewServer(t, "max_connections=30", "superuser_reserved_connections=20")
			s.Exec(`CREATE ROLE app LOGIN`)
			s.Exec(`CREATE DATABASE app OWNER app`)
			dbURL := strings.Replace(s.URL("app"), "gatehouse@", "app@", 1)
			var taken []*pgx.Conn
			return dbURL, outage{
				func() {
					s.Exec(`ALTER DATABASE app CONNECTION LIMIT 0`)
					s.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'app'`)
					for began := time.Now(); len(taken) < places; {
						if time.Since(began) > time.Minute {
							t.Fatalf("%d of %d places taken after a minute", len(taken), places)
						}
						taken = append(taken, takeAll(t, strings.Replace(s.URL("postgres"), "gatehouse@", "app@", 1))...)
					}
					s.Exec(`ALTER DATABASE app CONNECTION LIMIT -1`)
				},
				func() {
					for _, c := range taken {
						_ = c.Close(context.Background())
					}
					taken = nil
				}, 3 * time.Second, []string{"no_connection"}, 3 * time.Second,
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dbURL, o := make(t)
			g := open(t, dbURL).guest("ada@example.org")
			o.begin()
			if o.within > 0 {
				g.refused("during", o.within)
			} else {
				g.expect(200, "", request{method: "GET", path: "/v1/me", bearer: g.access})
				g.expect(503, "database_unavailable", request{method: "PATCH", path: "/v1/me", bearer: g.access, body: `{"name":"Ada"}`})
				g.expect(503, "database_unavailable", refreshing(g.refresh))
			}
			g.unready(o.trouble...)
			o.end()
			g.recovers(o.recovery)
			o.begin()
			g.stops()
			if name != "failed over" { // there is nobody left to take its place
				o.end()
			}
		})
	}
}

func databaseName(t *testing.T, dbURL string) string {
	t.Helper()
	u, err := url.Parse(dbURL)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

func disconnect(t *testing.T, dbURL string) {
	t.Helper()
	dbtest.Superuser(t, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '`+databaseName(t, dbURL)+`'`)
}

// takeAll takes every connection that the server gives.
func takeAll(t *testing.T, dbURL string) (taken []*pgx.Conn) {
	t.Helper()
	for refusals := 0; refusals < 5; {
		c, err := pgx.Connect(context.Background(), dbURL)
		if err != nil { // or one that was just ended has not gone yet
			refusals++
			time.Sleep(20 * time.Millisecond)
			continue
		}
		taken = append(taken, c)
	}
	return taken
}

// TestASlowPostgresIsOnlySlow adds 20 ms each way: nobody is refused.
func TestASlowPostgresIsOnlySlow(t *testing.T) {
	t.Parallel()
	p := dbtest.NewProxy(t, dbtest.Postgres(t))
	g := open(t, p.URL()).guest("ada@example.org")
	p.Delay(20 * time.Millisecond)
	g.works()
	g.ready()
}

// TestAFullPostgresStillServesWithWhatThePoolHas leaves the server one
// connection where it may have eight.
func TestAFullPostgresStillServesWithWhatThePoolHas(t *testing.T) {
	t.Parallel()
	s := dbtest.NewServer(t, "max_connections=12", "superuser_reserved_connections=2")
	s.Exec(`CREATE ROLE app LOGIN`)
	s.Exec(`CREATE DATABASE app OWNER app`)
	dbURL := strings.Replace(s.URL("app"), "gatehouse@", "app@", 1)
	g := open(t, dbURL).guest("ada@example.org")
	for _, c := range takeAll(t, dbURL) {
		defer c.Close(context.Background())
	}
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			a, err := g.try(request{method: "GET", path: "/v1/me", bearer: g.access})
			if err != nil || a.status != 200 {
				t.Errorf("%d %q %v", a.status, a.str("code"), err)
			}
		})
	}
	wg.Wait()
	g.works()
}

// TestACommitThatIsCutOff cuts the connection before the COMMIT gets to the
// server, and before its answer gets back. Either way the caller is told 503,
// and whoever tries the same again gets what they wanted, once.
func TestACommitThatIsCutOff(t *testing.T) {
	for name, toServer := range map[string]bool{"before it arrives": true, "before its answer arrives": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := dbtest.NewProxy(t, dbtest.Postgres(t))
			// So that the statements travel as text.
			g := open(t, p.URL()+"&default_query_exec_mode=cache_describe").guest("ada@example.org")
			other := g.login("ada@example.org")
			g.settled()
			for _, c := range []struct {
				again int
				request
			}{
				{202, request{method: "POST", path: "/v1/register", body: credentials{"eve@example.org", passphrase}}},
				{200, request{method: "POST", path: "/v1/login", body: credentials{"ada@example.org", passphrase}}},
				{200, refreshing(g.refresh)},
				{200, request{method: "PATCH", path: "/v1/me", bearer: g.access, body: `{"name":"Ada"}`}},
				{204, request{method: "POST", path: "/v1/logout", bearer: other.str("access_token")}},
			} {
				// The request's own, which tells of it: jobs commit as well.
				cut := p.CutAfter("INSERT INTO event ", "COMMIT", toServer)
				g.expect(503, "database_unavailable", c.request)
				<-cut
				g.expect(c.again, "", c.request)
			}
			if a := g.login("eve@example.org"); a.status != 200 {
				t.Error("the account that was registered twice can't sign in")
			}
			for _, e := range newLedger(g.house).next() {
				if strings.HasPrefix(e, "suspicious_activity") {
					t.Errorf("an honest client was taken for a thief: %s", e)
				}
			}
		})
	}
}

// TestBehindPgbouncer runs the flows, with many clients, through pgbouncer in
// transaction mode with two connections, and goes on when that is restarted.
func TestBehindPgbouncer(t *testing.T) {
	t.Parallel()
	s := dbtest.NewServer(t)
	s.Exec(`CREATE DATABASE app`)
	b := dbtest.NewBouncer(t, s, 2)
	h := open(t, b.URL("app")+"&default_query_exec_mode=cache_describe")
	g := h.guest("ada@example.org")
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			email := fmt.Sprintf("user%d@example.org", i)
			if a, err := h.try(request{method: "POST", path: "/v1/register", body: credentials{email, passphrase}}); err != nil || a.status != 202 {
				t.Errorf("registering: %d %q %v", a.status, a.str("code"), err)
			}
			a, err := h.try(request{method: "POST", path: "/v1/login", body: credentials{email, passphrase}})
			for range 20 {
				if err != nil || a.status != 200 {
					t.Errorf("%d %s %v", a.status, a.text, err)
					return
				}
				if me, err := h.try(request{method: "GET", path: "/v1/me", bearer: a.str("access_token")}); err != nil || me.status != 200 {
					t.Errorf("me: %d %s %v", me.status, me.text, err)
				}
				a, err = h.try(refreshing(a.str("refresh_token")))
			}
		})
	}
	wg.Wait()
	g.works()
	next, err := h.keys().Rotate(t.Context(), true, originOfTests)
	if err != nil {
		t.Fatal(err)
	}
	h.until(next.Name, "busy@example.org")
	g.works()
	b.Stop()
	g.refused("bouncer", 3*time.Second)
	g.unready("unreachable")
	b.Start()
	g.recovers(3 * time.Second)
	s.Stop(syscall.SIGQUIT) // the database behind it
	g.refused("server", requestTimeout)
	s.Start()
	g.recovers(5 * time.Second)
	if strings.Contains(h.log.String(), `"status":500`) {
		t.Error("something was answered 500")
	}
}

// TestOneConnectionIsEnoughForEveryFlow has a pool of one and many clients: a
// flow that took a second connection inside its transaction would wait for
// itself until its time is over.
func TestOneConnectionIsEnoughForEveryFlow(t *testing.T) {
	t.Parallel()
	each(t, func(h *house) {
		slack := h.guest("pace@example.org").slack
		began := time.Now()
		token := h.setupToken()
		if status, text, err := h.setup(token, "root@example.org", passphrase, nil); status != 200 || err != nil {
			h.Fatalf("set-up: %d %s %v", status, text, err)
		}
		var wg sync.WaitGroup
		var done atomic.Int64
		for i := range 8 {
			wg.Go(func() {
				email := fmt.Sprintf("user%d@example.org", i)
				call := func(status int, r request) answer {
					a, err := h.try(r)
					if err != nil || a.status != status {
						h.Errorf("%s %s: %d %s %v", r.method, r.path, a.status, a.text, err)
					}
					done.Add(1)
					return a
				}
				register := request{method: "POST", path: "/v1/register", body: credentials{email, passphrase}}
				call(202, register)
				call(202, register)
				call(401, request{method: "POST", path: "/v1/login", body: credentials{email, "a wrong password, long"}})
				login := request{method: "POST", path: "/v1/login", body: credentials{email, passphrase}}
				other, a := call(200, login), call(200, login)
				stolen := a.str("refresh_token")
				for range 3 {
					a = call(200, refreshing(a.str("refresh_token")))
				}
				access := a.str("access_token")
				call(200, request{method: "GET", path: "/v1/me", bearer: access})
				call(200, request{method: "PATCH", path: "/v1/me", bearer: access, body: `{"name":"Ada"}`})
				call(200, request{method: "GET", path: "/v1/me/events", bearer: access})
				call(200, request{method: "GET", path: "/v1/sessions", bearer: access})
				call(204, request{method: "DELETE", path: "/v1/sessions/" + other.str("session_id"), bearer: access})
				call(204, request{method: "POST", path: "/v1/logout-all", bearer: access, body: `{"keep_current":true}`})
				call(401, refreshing(stolen))
				last := call(200, login)
				call(204, request{method: "POST", path: "/v1/logout", body: map[string]string{"refresh_token": last.str("refresh_token")}})
			})
		}
		wg.Wait()
		h.ready()
		if took := time.Since(began); took > requestTimeout+8*slack {
			h.Errorf("%d calls took %v: something waited for a connection that it held itself", done.Load(), took)
		}
	}, "DATABASE_MAX_CONNS=1")
}
