package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// Act is one thing that people do.
type Act string

// The acts, in the order of a visit.
const (
	ActRegister Act = "register"
	ActSignIn   Act = "sign-in"
	ActRefresh  Act = "refresh"
	ActCheck    Act = "check"
	ActSignOut  Act = "sign-out"
)

// Acts returns all acts.
func Acts() []Act { return []Act{ActRegister, ActSignIn, ActRefresh, ActCheck, ActSignOut} }

// Person is somebody who can sign in.
type Person struct {
	Email    string `json:"email"`
	Password string `json:"password"`
}

// site is a target, and who is there.
type site struct {
	target *url.URL
	people []Person
	pool   *pool

	mu   sync.Mutex
	turn int       // whose turn it is to sign in
	kept []session // of people who went without signing out, newest last
}

// next is who signs in next.
func (s *site) next() Person {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn++
	return s.people[s.turn%len(s.people)]
}

// keep has a session for somebody who comes back, if there is room for it.
func (s *site) keep(one session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) >= len(s.people)*sessionsOfPerson/3 {
		return false
	}
	s.kept = append(s.kept, one)
	return true
}

// back takes the session that has been kept for longest.
func (s *site) back() (session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) == 0 {
		return session{}, false
	}
	one := s.kept[0]
	s.kept = s.kept[1:]
	return one, true
}

// visit is one person's, from the arrival on.
type visit struct {
	site    *site
	tally   *tally
	chance  *rand.Rand
	think   time.Duration
	arrived time.Time
	script  []Act
	session session
	new     Person
}

// arrive decides what somebody does who comes at that time.
func (s *site) arrive(c *Crowd, t *tally, at time.Time, chance *rand.Rand) *visit {
	v := &visit{site: s, tally: t, chance: chance, think: c.Mix.Think, arrived: at}
	switch dice := chance.Float64(); {
	case dice < c.Mix.New:
		random := secret.Random{}
		v.new = Person{Email: fmt.Sprintf("%s-new-%x@example.org", c.Prefix, random.Bytes(8)), Password: random.Text(18)}
		v.script = []Act{ActRegister, ActSignIn}
	case dice < c.Mix.New+c.Mix.Returning:
		v.script = []Act{ActRefresh} // or a sign-in, if nobody's session was kept: the visit begins with what there is
	default:
		v.script = []Act{ActSignIn}
	}
	var inside []Act
	for range several(chance, c.Mix.Checks) {
		inside = append(inside, ActCheck)
	}
	for range several(chance, c.Mix.Refreshes) {
		inside = append(inside, ActRefresh)
	}
	chance.Shuffle(len(inside), func(i, j int) { inside[i], inside[j] = inside[j], inside[i] })
	v.script = append(v.script, inside...)
	if chance.Float64() < c.Mix.Leaving {
		v.script = append(v.script, ActSignOut)
	}
	return v
}

// several draws a number with a mean: most visits are short, and a few are long (geometric).
func several(chance *rand.Rand, mean float64) int {
	n := 0
	for chance.Float64() < mean/(mean+1) && n < 10_000 {
		n++
	}
	return n
}

// triesOfBusy is how often somebody tries again whom the server has told to come back (503).
const triesOfBusy = 2

// run goes through the script. What would be due after the end is not done any more.
func (v *visit) run(ctx context.Context) {
	if v.script[0] == ActRefresh {
		var kept bool
		if v.session, kept = v.site.back(); !kept {
			v.script[0] = ActSignIn
		}
	}
	due := v.arrived
	for i, act := range v.script {
		if i > 0 {
			due = time.Now().Add(time.Duration(v.chance.ExpFloat64() * float64(v.think)))
		}
		for try := 0; ; try++ {
			if !due.Before(v.tally.window.to) {
				v.leave()
				return
			}
			wait(ctx, time.Until(due))
			if ctx.Err() != nil {
				return
			}
			a, err := v.do(act)
			if ctx.Err() != nil {
				return // the run was stopped: what broke off says nothing of the server
			}
			v.tally.record(act, a, err, due)
			if err == nil && a.status/100 == 2 {
				break
			}
			if err != nil || a.status != http.StatusServiceUnavailable || try == triesOfBusy {
				v.tally.broke(due)
				return
			}
			due = time.Now().Add(a.retryAfter)
		}
	}
	v.tally.finished(due)
	v.leave()
}

// leave keeps the session for another visit.
func (v *visit) leave() {
	if v.session.refresh != "" {
		v.site.keep(v.session)
	}
}

func (v *visit) do(act Act) (answer, error) {
	switch act {
	case ActRegister:
		return v.site.pool.do(post("/v1/register", v.new))
	case ActSignIn:
		who := v.new
		if who.Email == "" {
			who = v.site.next()
		}
		return v.tokens(post("/v1/login", who))
	case ActRefresh:
		return v.tokens(post("/v1/token/refresh", map[string]string{"refresh_token": v.session.refresh}))
	case ActCheck:
		return v.site.pool.do(request{method: http.MethodGet, path: "/v1/me", bearer: v.session.access})
	case ActSignOut:
		a, err := v.site.pool.do(request{method: http.MethodPost, path: "/v1/logout", bearer: v.session.access})
		v.session = session{}
		return a, err
	}
	panic("bench: no such act: " + string(act))
}

// tokens makes a call whose answer has tokens.
func (v *visit) tokens(r request) (answer, error) {
	a, err := v.site.pool.do(r)
	if err != nil || a.status != http.StatusOK {
		return a, err
	}
	return a, v.session.take(a.body)
}
