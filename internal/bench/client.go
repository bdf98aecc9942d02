package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// client is one of a load's clients.
type client struct {
	conn     conn
	scenario Scenario
	get      request   // for Get
	people   []Person  // for Login, in turn
	sessions []session // for Refresh and Me, in turn
	turn     int
	own      func(turn int, send Send) (int, error) // for Own
}

// session is what a client holds of one.
type session struct {
	access, refresh string
	renew           time.Time // when a new access token is due
}

// call makes the client's next call.
func (c *client) call() (answer, error) {
	c.turn++
	switch c.scenario {
	case Login:
		return c.conn.do(post("/v1/login", c.people[c.turn%len(c.people)]))
	case Refresh:
		return c.refresh(&c.sessions[c.turn%len(c.sessions)])
	case Me:
		return c.conn.do(request{method: http.MethodGet, path: cmp.Or(c.get.path, "/v1/me"), bearer: c.sessions[c.turn%len(c.sessions)].access})
	case Own:
		status, err := c.own(c.turn, c.ask)
		return answer{status: status}, err
	}
	return c.conn.do(c.get)
}

func (c *client) ask(method, path string, body []byte) (int, []byte, error) {
	a, err := c.conn.do(request{method: method, path: path, body: body})
	return a.status, a.body, err
}

// prepare does what must be done before the next call and is not part of it:
// an access token that would expire is renewed.
func (c *client) prepare() error {
	if c.scenario != Me {
		return nil
	}
	s := &c.sessions[(c.turn+1)%len(c.sessions)]
	if time.Now().Before(s.renew) {
		return nil
	}
	a, err := c.refresh(s)
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("an access token could not be renewed: the answer was %d", a.status)
	}
	return err
}

// refresh carries the token on. Where the answer was lost, the client has the
// one before, which the server takes again.
func (c *client) refresh(s *session) (answer, error) {
	a, err := c.conn.do(post("/v1/token/refresh", map[string]string{"refresh_token": s.refresh}))
	if err != nil || a.status != http.StatusOK {
		return a, err
	}
	return a, s.take(a.body)
}

func (s *session) take(body []byte) error {
	var in struct {
		Access    string `json:"access_token"`
		Refresh   string `json:"refresh_token"`
		ExpiresIn int64  `json:"expires_in"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return fmt.Errorf("the answer with the tokens is no JSON: %w", err)
	}
	if in.Access == "" || in.Refresh == "" {
		return errors.New("the answer holds no tokens")
	}
	s.access, s.refresh = in.Access, in.Refresh
	s.renew = time.Now().Add(time.Duration(in.ExpiresIn) * time.Second / 2)
	return nil
}

func post(path string, body any) request {
	b, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Sprintf("bench: %v", err)) // strings can be encoded
	}
	return request{method: http.MethodPost, path: path, body: b}
}

// clients makes the clients of each load, with all that they need.
func (p *Plan) clients(ctx context.Context) ([][]*client, error) {
	people, err := p.register(ctx)
	if err != nil {
		return nil, err
	}
	all := make([][]*client, len(p.Loads))
	for i, l := range p.Loads {
		for n := range l.Clients {
			c := &client{
				conn: conn{target: p.Target, ctx: ctx}, scenario: l.Scenario, people: people, turn: n, own: l.Own,
				get: request{method: http.MethodGet, path: l.Path, bearer: l.Bearer},
			}
			for k := n; k < len(l.Sessions); k += l.Clients {
				c.sessions = append(c.sessions, session{refresh: l.Sessions[k]})
			}
			all[i] = append(all[i], c)
		}
		if l.Scenario == Refresh || l.Scenario == Me {
			if err := p.signIn(l, all[i]); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// needsPeople reports whether any client has to sign in.
func (p *Plan) needsPeople() bool {
	for _, l := range p.Loads {
		if l.Scenario == Login || l.Scenario != Get && l.Scenario != Own && len(l.Sessions) < l.Clients {
			return true
		}
	}
	return false
}

func (p *Plan) register(ctx context.Context) ([]Person, error) {
	if !p.needsPeople() {
		return nil, nil
	}
	p.Progress(fmt.Sprintf("registering %d accounts", p.Accounts))
	return register(ctx, p.Target, p.Accounts, DefaultPrefix)
}

// DefaultPrefix is what the addresses of accounts begin with that are registered for a run.
const DefaultPrefix = "bench"

// register makes accounts, whose addresses say that they are for a run.
func register(ctx context.Context, target *url.URL, accounts int, prefix string) ([]Person, error) {
	random := secret.Random{}
	run := fmt.Sprintf("%x", random.Bytes(5))
	c := conn{target: target, ctx: ctx}
	defer c.close()
	people := make([]Person, accounts)
	for i := range people {
		people[i].Email = fmt.Sprintf("%s-%s-%d@example.org", prefix, run, i)
		for try := 0; ; try++ {
			people[i].Password = random.Text(18)
			a, err := insist(ctx, &c, post("/v1/register", people[i]))
			if err != nil {
				return nil, err
			}
			if a.status == http.StatusAccepted {
				break
			}
			if a.status != http.StatusBadRequest || try == 2 { // the filter of known passwords takes one in 65,536 for one of them
				return nil, refusedError{"/v1/register", a}
			}
		}
	}
	return people, nil
}

// signIn gives every client a session, a few at a time: the server makes no
// more hashes at once.
func (p *Plan) signIn(l Load, clients []*client) error {
	p.Progress(fmt.Sprintf("signing in %d clients (%s)", len(clients), l.Scenario))
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		failed error
		places = make(chan struct{}, 4)
	)
	for i, c := range clients {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			if err := c.begin(i); err != nil {
				mu.Lock()
				failed = errors.Join(failed, err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return failed
}

// begin signs in, or turns the sessions that were given into whole ones.
func (c *client) begin(i int) error {
	if len(c.sessions) == 0 {
		a, err := insist(c.conn.ctx, &c.conn, post("/v1/login", c.people[i%len(c.people)]))
		if err != nil {
			return err
		}
		if a.status != http.StatusOK {
			return refusedError{"/v1/login", a}
		}
		c.sessions = make([]session, 1)
		return c.sessions[0].take(a.body)
	}
	if c.scenario != Me {
		return nil // the first call's own refresh makes it whole
	}
	for k := range c.sessions {
		if a, err := c.refresh(&c.sessions[k]); err != nil || a.status != http.StatusOK {
			return errors.Join(err, refusedError{"/v1/token/refresh", a})
		}
	}
	return nil
}

// insist makes a call of the set-up, and makes it again while the server is busy.
func insist(ctx context.Context, c *conn, r request) (answer, error) {
	for try := 0; ; try++ {
		a, err := c.do(r)
		if err != nil || a.status != http.StatusServiceUnavailable || try == 60 {
			return a, err
		}
		select {
		case <-time.After(max(a.retryAfter, 100*time.Millisecond)):
		case <-ctx.Done():
			return a, ctx.Err()
		}
	}
}

// refusedError is an answer of the set-up that it can't go on with.
type refusedError struct {
	path string
	answer
}

func (e refusedError) Error() string {
	hint := ""
	if e.status == http.StatusTooManyRequests {
		hint = " Raise the server's rate limits for the time of the run."
	}
	return fmt.Sprintf("%s answered %d: %.200s%s", e.path, e.status, e.body, hint)
}
