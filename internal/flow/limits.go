package flow

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/limit"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
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
	// Count is told what each rule said.
	Count func(rule string, allowed bool)

	queues clientQueues
}

// errRateLimited is for a caller who has asked too often.
var errRateLimited = fault.New(fault.Limited, "rate_limited", "Too many requests came from here. Wait for as long as the Retry-After header says, "+
	"and try again.")

// Request counts a request: under an account if that has shown itself, else
// under the caller's network.
func (l *Limits) Request(ctx context.Context, account string, from event.Origin) (limit.State, error) {
	c := l.byNetwork(l.API, from)
	if account != "" {
		c = l.claim(l.API, "account", account)
	}
	states, err := l.take(ctx, from, c)
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
	c := l.byNetwork(l.Checks(), from)
	if account != "" {
		c = l.claim(l.Checks(), "account", account)
	}
	_, err := l.take(ctx, from, c)
	return err
}

// forgive gives a network back its wrong sign-ins at an address whose owner has shown
// that it is theirs.
func (l *Limits) forgive(ctx context.Context, from event.Origin, tries int) {
	for range min(tries, l.Login.Limit) {
		l.giveBack(ctx, l.byNetwork(l.Login, from))
	}
}

func (l *Limits) byNetwork(r limit.Rule, from event.Origin) limit.Claim {
	return l.claim(r, "network", event.Network(from.Address).String())
}

// claim is a rule for one name of a kind.
func (l *Limits) claim(r limit.Rule, kind, name string) limit.Claim {
	h := hmac.New(sha256.New, l.Key())
	h.Write([]byte(r.Name + "\x00" + kind + "\x00" + name))
	return limit.Claim{Rule: r, Key: limit.Key(h.Sum(nil)[:16])}
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
func (l *Limits) giveBack(ctx context.Context, c limit.Claim) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = l.Counter.GiveBack(ctx, c)
}

// guess counts a sign-in under its network, or under a device that the address
// knows, which is empty for others. done must be told how it ended: what was
// right, and what nobody looked at, is given back. No more are under way at once
// than may be wrong, so that an office in which all sign in at nine is not taken
// for a guesser.
func (l *Limits) guess(ctx context.Context, device string, from event.Origin) (done func(error), err error) {
	c, line := l.byNetwork(l.Login, from), lockout.Client{Network: event.Network(from.Address)}
	if device != "" {
		c, line = l.claim(l.Login, "device", device), lockout.Client{Device: device}
	}
	end, err := l.queues.enter(ctx, line, l.Login.Limit)
	if err != nil {
		return nil, err
	}
	if _, err := l.take(ctx, from, c); err != nil {
		end()
		return nil, err
	}
	return func(err error) {
		if !wrong(err) {
			l.giveBack(ctx, c)
		}
		end()
	}, nil
}

// registration counts one, unless nothing comes of it.
func (l *Limits) registration(ctx context.Context, from event.Origin) (done func(error), err error) {
	c := l.byNetwork(l.Registration, from)
	if _, err := l.take(ctx, from, c); err != nil {
		return nil, err
	}
	return func(err error) {
		if err != nil {
			l.giveBack(ctx, c)
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
	return errors.Is(err, ErrInvalidCredentials) || fault.KindOf(err) == fault.Limited
}
