package harness

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
)

// Administrator makes one, and returns their access token.
func (h *Server) Administrator(email string) string {
	h.Helper()
	h.Register(email)
	if _, err := h.Operator().SetRoles(h.Context(), email, []string{"admin"}, OriginOfTests); err != nil {
		h.Fatal(err)
	}
	return h.Login(email).Str("access_token")
}

// Passphrase is the password of every account in the tests, unless they say.
const Passphrase = "correct horse battery staple"

// Credentials are the body of a registration or a sign-in.
type Credentials struct {
	Email    string `json:"email"`
	Password string `json:"password"`
}

// Register creates an account whose password is Passphrase, and returns what the code
// in the mail is good with.
func (h *Server) Register(email string) (request string) {
	h.Helper()
	if h.Front != nil {
		h.Front.Elsewhere()
	}
	return h.Expect(202, "", Request{Method: "POST", Path: "/v1/register", Body: Credentials{email, Passphrase}}).Str("request")
}

// Login signs in with Passphrase, which must succeed.
func (h *Server) Login(email string) Answer {
	h.Helper()
	return h.Expect(200, "", Request{Method: "POST", Path: "/v1/login", Body: Credentials{email, Passphrase}})
}

// Refresh exchanges a refresh token, and returns the answer whatever it is.
func (h *Server) Refresh(token string) Answer {
	h.Helper()
	return h.Do(Refreshing(token))
}

// Refreshing is the request that exchanges a refresh token.
func Refreshing(token string) Request {
	return Request{Method: "POST", Path: "/v1/token/refresh", Body: map[string]string{"refresh_token": token}}
}

// WrongPassword is a sign-in with a wrong password, from the i-th network of many.
func WrongPassword(email string, i int) Request {
	return Request{
		Method: "POST", Path: "/v1/login", Body: Credentials{email, fmt.Sprintf("a guess with number %d", i)},
		Header: http.Header{"X-Forwarded-For": {fmt.Sprintf("198.51.%d.%d", 100+i/200, i%200)}},
	}
}

// RightPassword is a sign-in with the right one.
func RightPassword(email string, i int) Request {
	r := WrongPassword(email, i)
	r.Body = Credentials{email, Passphrase}
	return r
}

// Disable disables an account in the database, as an operator does.
func (h *Server) Disable(email string) {
	h.Helper()
	err := h.Database().Write(h.Context(), func(tx *db.Tx) error {
		a, err := account.Find(tx, email)
		if err == nil {
			_, err = account.SetDisabled(tx, a.ID, true, time.Now())
		}
		return err
	})
	if err != nil {
		h.Fatal(err)
	}
}

// RequestTimeout is a request's life (web.DefaultTimeout), and what a busy
// machine may add to it.
const RequestTimeout = 10*time.Second + 4*time.Second

// Drain is what Server.Stop promises.
const Drain = 20 * time.Second

// Guest is a person who is signed in, whatever happens to the database.
type Guest struct {
	*Server
	Email           string
	Access, Refresh string
	signUp          time.Duration // what it took to sign up and in while all was well
}

// Slack is what a busy machine may add to what is bounded and began then: several times
// what it took to sign up and in, many times what a new connection to PostgreSQL takes
// meanwhile, and never less than leastSlack.
func (g *Guest) Slack(since time.Time) time.Duration {
	return max(4*g.signUp, 8*machine().worst(since), leastSlack)
}

const leastSlack = 3 * time.Second

// Patience is how long a test waits for what it makes no claim about: a test's end
// rather than a limit of the server's. A job that failed on a busy machine, or lost its
// lease when a test's clock leapt, comes again after its minute.
const Patience = 150 * time.Second

// Guest registers a person and signs them in.
func (h *Server) Guest(email string) *Guest {
	h.Helper()
	began := time.Now()
	h.Register(email)
	a := h.Login(email)
	return &Guest{h, email, a.Str("access_token"), a.Str("refresh_token"), time.Since(began)}
}

// Calls is one call of every operation that needs the database. Those that
// would end the guest's session, were they to get through, come with another.
func (g *Guest) Calls(tag string) []Request {
	return []Request{
		{Method: "POST", Path: "/v1/register", Body: Credentials{tag + "@example.org", Passphrase}},
		{Method: "POST", Path: "/v1/login", Body: Credentials{g.Email, Passphrase}},
		{Method: "POST", Path: "/v1/login", Body: Credentials{"nobody@example.org", Passphrase}},
		{Method: "GET", Path: "/v1/me", Bearer: g.Access},
		{Method: "PATCH", Path: "/v1/me", Bearer: g.Access, Body: `{"name":"Ada"}`},
		{Method: "GET", Path: "/v1/me/events", Bearer: g.Access},
		{Method: "GET", Path: "/v1/sessions", Bearer: g.Access},
		{Method: "DELETE", Path: "/v1/sessions/none", Bearer: g.Access},
		Refreshing(g.Refresh),
	}
}

// Refused makes every call at once and wants each answered 503 with Retry-After
// before its time is over.
func (g *Guest) Refused(tag string, within time.Duration) {
	g.Helper()
	var wg sync.WaitGroup
	for _, r := range g.Calls(tag) {
		wg.Go(func() {
			began := time.Now()
			a, err := g.Try(r)
			took := time.Since(began)
			if err != nil || a.Status != 503 || a.Header.Get("Retry-After") == "" || took > within+g.Slack(began) {
				g.Errorf("%s %s: %d %q, Retry-After %q, after %v, error %v; want 503 within %v and %v", r.Method, r.Path, a.Status, a.Str("code"),
					a.Header.Get("Retry-After"), took, err, within, g.Slack(began))
			}
		})
	}
	wg.Wait()
}

// Recovers wants all to go on by itself within a time, with the tokens that the
// guest holds: the readiness first, then every flow.
func (g *Guest) Recovers(within time.Duration) {
	g.Helper()
	began := time.Now()
	for {
		status, text := g.Admin("/readyz")
		if status == 200 {
			break
		}
		if took := time.Since(began); took > within+g.Slack(began) {
			g.Fatalf("still not ready after %v, want %v and %v: %s", took, within, g.Slack(began), text)
		}
		time.Sleep(20 * time.Millisecond)
	}
	g.recovers = began.Add(within + g.Slack(began))
	g.Works()
	g.recovers = time.Time{}
	g.Logf("back after %v", time.Since(began).Round(time.Millisecond))
}

// Works goes through the flows with the tokens that the guest holds.
func (g *Guest) Works() {
	g.Helper()
	g.Expect(200, "", Request{Method: "GET", Path: "/v1/me", Bearer: g.Access})
	a := g.Expect(200, "", Refreshing(g.Refresh))
	g.Access, g.Refresh = a.Str("access_token"), a.Str("refresh_token")
	g.Expect(200, "", Request{Method: "PATCH", Path: "/v1/me", Bearer: g.Access, Body: `{"name":"Ada Lovelace"}`})
	b := g.Login(g.Email)
	g.Expect(204, "", Request{Method: "POST", Path: "/v1/logout", Bearer: b.Str("access_token")})
	g.Expect(202, "", Request{Method: "POST", Path: "/v1/register", Body: Credentials{"again-" + g.Email, Passphrase}})
}

// Unready expects readyz to name what is wrong with the database. A busy machine may be
// too slow to learn more than that there was no answer: then it is asked again.
func (g *Guest) Unready(trouble ...string) {
	g.Helper()
	for first := time.Now(); ; {
		began := time.Now()
		status, text := g.Admin("/readyz")
		if took := time.Since(began); status != 503 || took > 4*time.Second+g.Slack(began) {
			g.Errorf("readyz after %v: %d %s", took, status, text)
		}
		if slices.ContainsFunc(trouble, func(word string) bool { return strings.Contains(text, `"database":"`+word+`"`) }) {
			break
		}
		if time.Since(first) > Patience+g.Slack(first) {
			g.Errorf("readyz: %d %s, want the database to be %v", status, text, trouble)
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if status, _ := g.Admin("/healthz"); status != 200 {
		g.Errorf("healthz: %d; the process itself is well", status)
	}
}

// Stops wants a clean end in time, while calls are under way.
func (g *Guest) Stops() {
	g.Helper()
	var wg sync.WaitGroup
	for _, r := range g.Calls("stopping") {
		wg.Go(func() { _, _ = g.Try(r) })
	}
	time.Sleep(50 * time.Millisecond) // they are on their way
	began := time.Now()
	if err := g.Stop(); err != nil {
		g.Errorf("stopping: %v", err)
	}
	if took := time.Since(began); took > Drain+g.Slack(began) {
		g.Errorf("stopping took %v", took)
	} else {
		g.Logf("stopped after %v", took.Round(time.Millisecond))
	}
	wg.Wait()
}

// AnotherPassphrase is what passwords are changed to.
const AnotherPassphrase = "another battery, another staple"

// signIn is a sign-in with any password.
func SignInAs(email, password string) Request {
	return Request{Method: "POST", Path: "/v1/login", Body: Credentials{email, password}}
}
