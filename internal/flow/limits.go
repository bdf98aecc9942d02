package flow

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/limit"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
)

// Limits counts what callers ask, before anything is done for it.
type Limits struct {
	Counter limit.Counter
	// API is for every request, by account or network; Login for sign-ins that
	// fail, and Registration, by network; Reset for mails that anybody can cause who
	// types an address, by the mailbox: see affords.
	API, Login, Registration, Reset limit.Rule
	// Key is what the names are hashed with under which is counted.
	Key   func() []byte
	Tally *event.Tally
	// Count is called with what each rule said.
	Count func(rule string, allowed bool)

	keyed  atomic.Pointer[secret.Keyed] // of Key
	queues clientQueues
}

// errRateLimited is for a caller who has asked too often.
var errRateLimited = fault.New(fault.Limited, "rate_limited", "Too many requests from your network. Wait for as long as the Retry-After header says, "+
	"and try again.")

// Request counts a request: under an account if that has shown itself, else
// under the caller's network.
func (l *Limits) Request(ctx context.Context, account string, from event.Origin) (limit.State, error) {
	states, err := l.take(ctx, from, l.byCaller(l.API, account, from)...)
	if states == nil {
		return limit.State{}, err
	}
	return states[0], err
}

// checksPerRequest is how many times as many checks as requests there may be: a page
// of an application loads hundreds of files.
const checksPerRequest = 100

// Checks is how many checks of an application's requests there may be.
func (l *Limits) Checks() limit.Rule {
	r := l.API
	r.Name, r.Limit = "checks", r.Limit*checksPerRequest
	return r
}

// Check counts a request that an application's traffic causes, apart from those that
// people and programs make themselves.
func (l *Limits) Check(ctx context.Context, account string, from event.Origin) error {
	_, err := l.take(ctx, from, l.byCaller(l.Checks(), account, from)...)
	return err
}

// forgive gives a network back its wrong sign-ins at an address whose owner has shown
// that it is theirs.
func (l *Limits) forgive(ctx context.Context, from event.Origin, tries int) {
	for range min(tries, l.Login.Limit) {
		l.giveBack(ctx, l.byNetwork(l.Login, from)...)
	}
}

// byCaller is a rule for an account, or for the network where no account has shown itself.
func (l *Limits) byCaller(r limit.Rule, account string, from event.Origin) []limit.Claim {
	if account != "" {
		return []limit.Claim{l.claim(r, "account", account)}
	}
	return l.byNetwork(r, from)
}

// networksPerSite is how many times as much all networks of an IPv6 site may do together as
// one of them: whoever has a /48 has 65,536 networks, and could change them with each
// request. Several households or a whole office may share one.
const networksPerSite = 10

// Site is a network's rule for all networks of its IPv6 site together.
func Site(r limit.Rule) limit.Rule {
	r.Name, r.Limit = r.Name+"_site", r.Limit*networksPerSite
	return r
}

// byNetwork counts under the network that asks, and with IPv6 under its site as well.
func (l *Limits) byNetwork(r limit.Rule, from event.Origin) []limit.Claim {
	network, site := event.Network(from.Address), event.Site(from.Address)
	claims := []limit.Claim{l.claim(r, "network", network.String())}
	if site != network {
		claims = append(claims, l.claim(Site(r), "site", site.String()))
	}
	return claims
}

// claim is a rule for one name of a kind.
func (l *Limits) claim(r limit.Rule, kind, name string) limit.Claim {
	sum := l.hasher().MAC([]byte(r.Name + "\x00" + kind + "\x00" + name))
	return limit.Claim{Rule: r, Key: limit.Key(sum[:16])}
}

// hasher is of the key in force.
func (l *Limits) hasher() *secret.Keyed {
	k, key := l.keyed.Load(), l.Key()
	if !k.Has(key) {
		k = secret.NewKeyed(key)
		l.keyed.Store(k)
	}
	return k
}

// take counts, and returns the fault of a claim that is refused.
func (l *Limits) take(ctx context.Context, from event.Origin, claims ...limit.Claim) ([]limit.State, error) {
	states, err := l.Counter.Take(ctx, claims...)
	if err != nil {
		return nil, err
	}
	for _, s := range states {
		l.Count(s.Rule.Name, s.OK)
		if !s.OK && err == nil {
			l.Tally.Add(event.RateLimitExceeded, s.Rule.Name, from)
			f := errRateLimited.Because(&limit.Exceeded{State: s})
			f.RetryAfter = s.Retry
			err = f
		}
	}
	return states, err
}

// giveBack undoes a take, whatever becomes of the request. If it can't be it
// stays counted, which is the safe side.
func (l *Limits) giveBack(ctx context.Context, claims ...limit.Claim) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	for _, c := range claims {
		_ = l.Counter.GiveBack(ctx, c)
	}
}

// guess counts a sign-in under its network, or under a device that the address
// knows, which is empty for others. done must be called with how it ended: what was
// right, and what nobody looked at, is given back. No more are under way at once
// than may be wrong, so that an office in which all sign in at nine is not taken
// for a guesser.
func (l *Limits) guess(ctx context.Context, device string, from event.Origin) (done func(error), err error) {
	claims, line := l.byNetwork(l.Login, from), lockout.Client{Network: event.Network(from.Address)}
	if device != "" {
		claims, line = []limit.Claim{l.claim(l.Login, "device", device)}, lockout.Client{Device: device}
	}
	end, err := l.queues.enter(ctx, line, l.Login.Limit)
	if err != nil {
		return nil, err
	}
	if _, err := l.take(ctx, from, claims...); err != nil {
		end()
		return nil, err
	}
	return func(err error) {
		if !wrong(err) {
			l.giveBack(ctx, claims...)
		}
		end()
	}, nil
}

// registration counts one, unless nothing comes of it.
func (l *Limits) registration(ctx context.Context, from event.Origin) (done func(error), err error) {
	claims := l.byNetwork(l.Registration, from)
	if _, err := l.take(ctx, from, claims...); err != nil {
		return nil, err
	}
	return func(err error) {
		if err != nil {
			l.giveBack(ctx, claims...)
		}
	}, nil
}

// pendingMost is how many sign-ins of an account may wait for their second factor that were begun
// from one network within pendingWindow.
const (
	pendingMost   = 10
	pendingWindow = 15 * time.Minute
)

// Pending is the rule of how many sign-ins may wait for their second factor.
func (l *Limits) Pending() limit.Rule {
	return limit.Rule{Name: "second_step", Limit: pendingMost, Window: pendingWindow}
}

func (l *Limits) pending(account, network string) limit.Claim {
	return l.claim(l.Pending(), "account", account+" "+network)
}

// SelfClients is the rule of how many applications register themselves from one network.
func (l *Limits) SelfClients() limit.Rule {
	return limit.Rule{Name: "client_registration", Limit: 5, Window: time.Hour}
}

// RegisterClient counts one.
func (l *Limits) RegisterClient(ctx context.Context, from event.Origin) error {
	_, err := l.take(ctx, from, l.byNetwork(l.SelfClients(), from)...)
	return err
}

// UserCodes are the rules of how often somebody may type a code that no device shows: 5 in a session, 20 in all, in a day.
func (l *Limits) UserCodes() []limit.Rule {
	return []limit.Rule{{Name: "user_code", Limit: 20, Window: 24 * time.Hour}, {Name: "user_code_session", Limit: 5, Window: 24 * time.Hour}}
}

// UserCode counts one, unless it was right, or nobody looked at it.
func (l *Limits) UserCode(ctx context.Context, account, session string, from event.Origin) (done func(error), err error) {
	rules := l.UserCodes()
	claims := []limit.Claim{l.claim(rules[0], "account", account), l.claim(rules[1], "session", session)}
	if _, err := l.take(ctx, from, claims...); err != nil {
		return nil, err
	}
	return func(err error) {
		if f := fault.As(err); f == nil || f.Field != "user_code" {
			l.giveBack(ctx, claims...)
		}
	}, nil
}

// wrong reports whether a sign-in that ended so counts as a guess: its password was
// looked at, and does not do.
func wrong(err error) bool {
	var lost unrecorded
	if errors.As(err, &lost) {
		return true
	}
	return errors.Is(err, ErrInvalidCredentials) || errors.Is(err, ErrInvalidCode) || errors.Is(err, ErrCodeUsed) ||
		errors.Is(err, ErrInvalidRecoveryCode) || errors.Is(err, factor.ErrInvalidPasskey) || fault.KindOf(err) == fault.Limited
}
