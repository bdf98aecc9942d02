package outages_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

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
			return p.URL(), outage{p.Stall, p.Up, harness.RequestTimeout, []string{"unreachable", "timeout", "no_connection"}, 5 * time.Second}
		},
		"silent, then other connections work": func(t *testing.T) (string, outage) {
			p := dbtest.NewProxy(t, dbtest.Postgres(t))
			return p.URL(), outage{p.Stall, func() { p.Cut(); p.Up() }, harness.RequestTimeout, []string{"unreachable", "timeout", "no_connection"}, 5 * time.Second}
		},
		"slower than anybody waits": func(t *testing.T) (string, outage) {
			p := dbtest.NewProxy(t, dbtest.Postgres(t))
			return p.URL(), outage{func() { p.Delay(6 * time.Second) }, p.Up, harness.RequestTimeout, []string{"unreachable", "timeout", "no_connection"},
				15 * time.Second}
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
			g := harness.Open(t, dbURL).Guest("ada@example.org")
			o.begin()
			if o.within > 0 {
				g.Refused("during", o.within)
			} else {
				g.Expect(200, "", harness.Get("/v1/me", g.Access))
				g.Expect(503, "database_unavailable", harness.Request{Method: "PATCH", Path: "/v1/me", Bearer: g.Access, Body: `{"name":"Ada"}`})
				g.Expect(503, "database_unavailable", harness.Refreshing(g.Refresh))
			}
			g.Unready(o.trouble...)
			o.end()
			g.Recovers(o.recovery)
			o.begin()
			g.Stops()
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
	g := harness.Open(t, p.URL()).Guest("ada@example.org")
	p.Delay(20 * time.Millisecond)
	g.Works()
	g.Ready()
}

// TestAFullPostgresStillServesWithWhatThePoolHas leaves the server one
// connection where it may have eight.
func TestAFullPostgresStillServesWithWhatThePoolHas(t *testing.T) {
	t.Parallel()
	s := dbtest.NewServer(t, "max_connections=12", "superuser_reserved_connections=2")
	s.Exec(`CREATE ROLE app LOGIN`)
	s.Exec(`CREATE DATABASE app OWNER app`)
	dbURL := strings.Replace(s.URL("app"), "gatehouse@", "app@", 1)
	g := harness.Open(t, dbURL).Guest("ada@example.org")
	for _, c := range takeAll(t, dbURL) {
		defer c.Close(context.Background())
	}
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			a, err := g.Try(harness.Get("/v1/me", g.Access))
			if err != nil || a.Status != 200 {
				t.Errorf("%d %q %v", a.Status, a.Str("code"), err)
			}
		})
	}
	wg.Wait()
	g.Works()
}

// TestACommitThatIsCutOff cuts the connection before the COMMIT gets to the
// server, and before its answer gets back. Either way the caller gets a 503,
// and whoever tries the same again gets what they wanted, once.
func TestACommitThatIsCutOff(t *testing.T) {
	for name, toServer := range map[string]bool{"before it arrives": true, "before its answer arrives": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := dbtest.NewProxy(t, dbtest.Postgres(t))
			// So that the statements travel as text.
			g := harness.Open(t, p.URL()+"&default_query_exec_mode=cache_describe").Guest("ada@example.org")
			other := g.Login("ada@example.org")
			g.Settled()
			for _, c := range []struct {
				again int
				harness.Request
			}{
				{202, harness.Post("/v1/register", harness.Credentials{Email: "eve@example.org", Password: harness.Passphrase})},
				{200, harness.SignInAs("ada@example.org", harness.Passphrase)},
				{200, harness.Refreshing(g.Refresh)},
				{200, harness.Request{Method: "PATCH", Path: "/v1/me", Bearer: g.Access, Body: `{"name":"Ada"}`}},
				{204, harness.Request{Method: "POST", Path: "/v1/logout", Bearer: other.Str("access_token")}},
			} {
				// The request's own, which shows it: jobs commit as well.
				cut := p.CutAfter("INSERT INTO event ", "COMMIT", toServer)
				g.Expect(503, "database_unavailable", c.Request)
				<-cut
				g.Expect(c.again, "", c.Request)
			}
			if a := g.Login("eve@example.org"); a.Status != 200 {
				t.Error("the account that was registered twice can't sign in")
			}
			for _, e := range harness.NewLedger(g.Server).Next() {
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
	h := harness.Open(t, b.URL("app")+"&default_query_exec_mode=cache_describe")
	g := h.Guest("ada@example.org")
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			email := fmt.Sprintf("user%d@example.org", i)
			if a, err := h.Try(harness.Post("/v1/register", harness.Credentials{Email: email, Password: harness.Passphrase})); err != nil || a.Status != 202 {
				t.Errorf("registering: %d %q %v", a.Status, a.Str("code"), err)
			}
			a, err := h.Try(harness.SignInAs(email, harness.Passphrase))
			for range 20 {
				if err != nil || a.Status != 200 {
					t.Errorf("%d %s %v", a.Status, a.Text, err)
					return
				}
				if me, err := h.Try(harness.Get("/v1/me", a.Str("access_token"))); err != nil || me.Status != 200 {
					t.Errorf("me: %d %s %v", me.Status, me.Text, err)
				}
				a, err = h.Try(harness.Refreshing(a.Str("refresh_token")))
			}
		})
	}
	wg.Wait()
	g.Works()
	next, err := h.Keys().Rotate(t.Context(), true, harness.OriginOfTests)
	if err != nil {
		t.Fatal(err)
	}
	h.Until(next.Name, "busy@example.org")
	g.Works()
	b.Stop()
	g.Refused("bouncer", 3*time.Second)
	g.Unready("unreachable")
	b.Start()
	g.Recovers(3 * time.Second)
	s.Stop(syscall.SIGQUIT) // the database behind it
	g.Refused("server", harness.RequestTimeout)
	s.Start()
	g.Recovers(5 * time.Second)
	if strings.Contains(h.Logs.String(), `"status":500`) {
		t.Error("something was answered 500")
	}
}

// TestOneConnectionIsEnoughForEveryFlow has a pool of one and many clients: a
// flow that took a second connection inside its transaction would wait for
// itself until its time is over.
func TestOneConnectionIsEnoughForEveryFlow(t *testing.T) {
	t.Parallel()
	harness.Each(t, func(h *harness.Server) {
		pace := h.Guest("pace@example.org")
		began := time.Now()
		token := h.SetupToken()
		if status, text, err := h.Setup(token, "root@example.org", harness.Passphrase, nil); status != 303 || err != nil {
			h.Fatalf("set-up: %d %s %v", status, text, err)
		}
		var wg sync.WaitGroup
		var done atomic.Int64
		for i := range 8 {
			wg.Go(func() {
				email := fmt.Sprintf("user%d@example.org", i)
				call := func(status int, r harness.Request) harness.Answer {
					a, err := h.Try(r)
					// A flow that waits for itself does so each time; a busy machine takes too long now and then.
					for first := time.Now(); err == nil && a.Status == http.StatusServiceUnavailable && time.Since(first) < harness.Patience; {
						a, err = h.Try(r)
					}
					if err != nil || a.Status != status {
						h.Errorf("%s %s: %d %s %v", r.Method, r.Path, a.Status, a.Text, err)
					}
					done.Add(1)
					return a
				}
				register := harness.Post("/v1/register", harness.Credentials{Email: email, Password: harness.Passphrase})
				call(202, register)
				call(202, register)
				call(401, harness.SignInAs(email, "a wrong password, long"))
				login := harness.SignInAs(email, harness.Passphrase)
				other, a := call(200, login), call(200, login)
				stolen := a.Str("refresh_token")
				for range 3 {
					a = call(200, harness.Refreshing(a.Str("refresh_token")))
				}
				access := a.Str("access_token")
				call(200, harness.Get("/v1/me", access))
				call(200, harness.Request{Method: "PATCH", Path: "/v1/me", Bearer: access, Body: `{"name":"Ada"}`})
				call(200, harness.Get("/v1/me/events", access))
				call(200, harness.Get("/v1/sessions", access))
				call(204, harness.Request{Method: "DELETE", Path: "/v1/sessions/" + other.Str("session_id"), Bearer: access})
				call(204, harness.Post("/v1/logout-all", `{"keep_current":true}`, access))
				call(401, harness.Refreshing(stolen))
				last := call(200, login)
				call(204, harness.Post("/v1/logout", map[string]string{"refresh_token": last.Str("refresh_token")}))
			})
		}
		wg.Wait()
		h.Ready()
		if took := time.Since(began); took > harness.RequestTimeout+8*pace.Slack(began) {
			h.Errorf("%d calls took %v: something waited for a connection that it held itself", done.Load(), took)
		}
	}, "DATABASE_MAX_CONNS=1")
}
