package crashtest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
)

// client is one of many that use a house at once, and records its responses.
type client struct {
	id      int
	house   *house
	history *history
	http    *http.Client
	random  *rand.Rand
	// answers counts the calls that were answered, so that others see it go on.
	answers atomic.Int64
}

// newClient seeds the client's choices with its number: what varies from run to
// run is when the crash comes.
func newClient(id int, h *house, past *history) *client {
	return &client{
		id: id, house: h, history: past,
		// A proxy that is told of another configuration closes idle connections, and a request that was on its way there has no answer.
		http:   &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 4, DisableKeepAlives: h.hears > 0}},
		random: rand.New(rand.NewPCG(1, uint64(id))),
	}
}

// life is a session that a client has begun.
type life struct {
	id     string
	access string
	began  time.Time
}

// graced reports whether a token replaced in this life is still in the grace for
// sure: all of the session is younger.
func (l life) graced(e *endpoint) bool {
	return e.grace == longGrace && time.Since(l.began) < (longGrace-20)*time.Second
}

// reply is an answer with the fields of its body.
type reply struct {
	answer
	unsent bool // certainly nothing happened
	status int
	fields map[string]any
}

func (r reply) str(name string) string { s, _ := r.fields[name].(string); return s }

// send makes a call. Every status but those that the caller names is a mistake
// of the server, save 503, which leaves open what happened.
func (c *client) send(e *endpoint, method, path, bearer string, body any, statuses ...int) reply {
	lost := reply{answer: answer{lost: true}}
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			c.house.Error(err)
			return lost
		}
		content = strings.NewReader(string(b))
	}
	req, err := http.NewRequest(method, e.url+path, content)
	if err != nil {
		c.house.Error(err)
		return lost
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	// Each from a network of its own, so that one's lost tries at a password make
	// nobody else wait.
	req.Header.Set("X-Forwarded-For", fmt.Sprintf("198.51.100.%d", c.id+1))
	res, err := c.http.Do(req)
	if err != nil {
		var dial *net.OpError
		lost.unsent = errors.As(err, &dial) && dial.Op == "dial"
		return lost
	}
	defer res.Body.Close()
	r := reply{status: res.StatusCode}
	if res.StatusCode != http.StatusNoContent {
		if err := json.NewDecoder(res.Body).Decode(&r.fields); err != nil {
			return lost
		}
	}
	if r.status == http.StatusServiceUnavailable {
		lost.unsent = r.str("code") == "busy"
		return lost
	}
	if r.str("code") == "too_many_attempts" {
		// Tries whose answers were lost count all the same. It passes in a second.
		lost.unsent = true
		return lost
	}
	for i, s := range statuses {
		if r.status == s {
			r.ok = i == 0
			return r
		}
	}
	c.house.Errorf("client %d: %s %s: %d %v", c.id, method, path, r.status, r.fields)
	return r
}

// register asks for an account.
func (c *client) register(e *endpoint, email, password string) answer {
	began := time.Now()
	r := c.send(e, "POST", "/v1/register", "", map[string]string{"email": email, "password": password}, 202)
	if !r.unsent {
		c.history.note(c.history.accounts, email, c.id, began, call{kind: register, password: password}, r.answer)
	}
	return r.answer
}

// signIn begins a session.
func (c *client) signIn(e *endpoint, email, password string) (life, token, answer) {
	began := time.Now()
	r := c.send(e, "POST", "/v1/login", "", map[string]string{"email": email, "password": password}, 200, 401)
	if r.unsent {
		return life{}, token{}, r.answer
	}
	c.history.note(c.history.accounts, email, c.id, began, call{kind: signIn, password: password}, r.answer)
	if !r.ok {
		return life{}, token{}, r.answer
	}
	l := life{id: r.str("session_id"), access: r.str("access_token"), began: began}
	c.takeToken(&r)
	c.history.note(c.history.sessions, l.id, c.id, began, call{kind: begin}, r.answer)
	return l, r.token, r.answer
}

// refresh uses a token once.
func (c *client) refresh(e *endpoint, l life, t token) answer {
	began := time.Now()
	r := c.send(e, "POST", "/v1/token/refresh", "", map[string]string{"refresh_token": t.text}, 200, 401)
	if r.unsent {
		return r.answer
	}
	if r.ok {
		c.takeToken(&r)
	}
	c.history.note(c.history.sessions, l.id, c.id, began, call{kind: refresh, token: t, graced: l.graced(e)}, r.answer)
	return r.answer
}

func (c *client) takeToken(r *reply) {
	var err error
	if r.token, err = readToken(r.str("refresh_token")); err != nil {
		c.house.Error(err)
	}
}

// logout ends a session, by its refresh token or by its access token.
func (c *client) logout(e *endpoint, l life, t token) answer {
	began := time.Now()
	bearer, body := l.access, any(nil)
	if t.text != "" {
		bearer, body = "", map[string]string{"refresh_token": t.text}
	}
	r := c.send(e, "POST", "/v1/logout", bearer, body, 204)
	if !r.unsent {
		c.history.note(c.history.sessions, l.id, c.id, began, call{kind: logout, token: t}, r.answer)
	}
	return r.answer
}

// alive asks who it is, with the first access token of the session.
func (c *client) alive(e *endpoint, l life) answer {
	began := time.Now()
	r := c.send(e, "GET", "/v1/me", l.access, nil, 200, 401)
	if !r.unsent {
		c.history.note(c.history.sessions, l.id, c.id, began, call{kind: alive}, r.answer)
	}
	return r.answer
}

// patience is how long a client goes on asking, and how long others wait for it.
const patience = time.Minute

// insist makes the same call again until it is answered, as the retry rule
// promises that one may. A client that is not answered for too long ends.
func (c *client) insist(try func(e *endpoint) answer) answer {
	for began := time.Now(); time.Since(began) < patience; time.Sleep(10 * time.Millisecond) {
		e := c.house.address.Load()
		if e == nil {
			continue
		}
		if a := try(e); !a.lost {
			c.answers.Add(1)
			return a
		}
	}
	c.house.Errorf("client %d was not answered for %s", c.id, patience)
	runtime.Goexit()
	return answer{}
}

// must is insist for calls that have to succeed.
func (c *client) must(what string, try func(e *endpoint) answer) answer {
	a := c.insist(try)
	if !a.ok {
		c.house.Errorf("client %d: %s was refused", c.id, what)
		runtime.Goexit()
	}
	return a
}
