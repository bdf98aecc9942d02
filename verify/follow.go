package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"
)

// follower follows Gatehouse's feed of revocations.
type follower struct {
	verifier   *Verifier
	id, secret string
	stale      time.Duration

	known  atomic.Pointer[revoked]
	cursor string
	place  int // which of the addresses is asked
	failed int // how many calls have since one was good
	is     atomic.Pointer[standing]
}

// standing is how a follower stands after a call.
type standing struct {
	at      time.Time     // up to when all that was revoked is known
	failing bool          // the last call failed
	over    chan struct{} // closed when this is no longer how it stands
}

const (
	// freshFor is how old what is known may be. With the time of a look it stays
	// below the second that is promised.
	freshFor = 900 * time.Millisecond
	// waitFor is how long Gatehouse holds back an answer without news. Each answer
	// is as old as Gatehouse's own knowledge, a quarter of a second at most, so what is
	// known here is some half a second old at most while all is well.
	waitFor = 250 * time.Millisecond
	// waitFresh is how long a token waits when it can't be determined whether it has been
	// revoked: at the start, when this process was suspended, when an address no longer answers.
	waitFresh = time.Second
	// mostSessions is from how many on all is asked for again: Gatehouse itself
	// names no more than two million.
	mostSessions = 3_000_000
	forgetEvery  = time.Minute
	maxFeed      = 1 << 30         // bytes of an answer
	longestCall  = 2 * time.Minute // all there is takes its time
	firstPause   = 50 * time.Millisecond
	lastPause    = 500 * time.Millisecond
)

func newFollower(v *Verifier, id, secret string, stale time.Duration) *follower {
	f := &follower{verifier: v, id: id, secret: secret, stale: stale}
	f.known.Store(newRevoked())
	f.is.Store(&standing{over: make(chan struct{})})
	return f
}

// stands says how it stands from now on.
func (f *follower) stands(at time.Time, failing bool) {
	was := f.is.Swap(&standing{at: at, failing: failing, over: make(chan struct{})})
	close(was.over)
}

// check returns nil for a token that has not been revoked as far as can be known.
// If what is known is too old it waits for the next call's end. Only then may the
// application's staleness count, so that it never does while Gatehouse answers.
func (f *follower) check(ctx context.Context, c *claims) error {
	ok, is := f.alive(c)
	if ok || is == nil {
		return refusal(ok)
	}
	ctx, cancel := context.WithTimeout(ctx, waitFresh)
	defer cancel()
	for {
		if is.failing && f.age(is.at) <= f.stale {
			return nil
		}
		late := false
		select {
		case <-is.over:
		case <-ctx.Done():
			late = true
		}
		ok, is = f.alive(c)
		switch {
		case ok || is == nil:
			return refusal(ok)
		case late && f.age(is.at) <= f.stale:
			return nil
		case late:
			return fmt.Errorf("%w: what has been revoked lately is not known", ErrUnavailable)
		}
	}
}

func refusal(alive bool) error {
	if alive {
		return nil
	}
	return ErrRevoked
}

// alive reports whether a token is known not to have been revoked. If it is known
// to have been, the standing is nil. The age is that of what was looked at, by the
// time of the look's end: this process may have been suspended in between.
func (f *follower) alive(c *claims) (bool, *standing) {
	is := f.is.Load()
	if f.known.Load().dead(c) {
		return false, nil
	}
	return f.age(is.at) <= freshFor, is
}

// age is how long ago a time was, by the monotonic clock or the wall clock,
// whichever says more: a machine that was suspended has only one of them right.
func (f *follower) age(at time.Time) time.Duration {
	now := f.verifier.now()
	wall := now.Round(0).Sub(at.Round(0))
	if at.IsZero() || wall < 0 {
		return math.MaxInt64
	}
	return max(now.Sub(at), wall)
}

// run follows until the context ends.
func (f *follower) run(ctx context.Context) {
	pause, tidied := firstPause, f.verifier.now()
	for ctx.Err() == nil {
		at := f.verifier.now()
		err := f.ask(ctx, at)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			if f.failed == 0 {
				f.verifier.log.Warn("the feed of revocations can't be read", "issuer", f.verifier.issuer, "error", err)
			}
			f.failed++
			f.place++
			f.stands(f.is.Load().at, true)
			f.verifier.client.CloseIdleConnections()        // one of them may be silent for good
			sleep := time.NewTimer(pause/2 + rand.N(pause)) //nolint:gosec // no secret
			select {
			case <-ctx.Done():
			case <-sleep.C:
			}
			sleep.Stop()
			pause = min(2*pause, lastPause)
			continue
		}
		if f.failed > 0 {
			f.verifier.log.Info("the feed of revocations is read again", "issuer", f.verifier.issuer)
		}
		pause, f.failed = firstPause, 0
		if now := f.verifier.now(); now.Sub(tidied) > forgetEvery || now.Before(tidied) {
			f.known.Load().forget(now)
			tidied = now
		}
	}
}

// ask asks once, and applies the response.
func (f *follower) ask(ctx context.Context, at time.Time) error {
	last := f.is.Load().at
	if at.Round(0).Before(last.Round(0)) || f.known.Load().live.Load() > mostSessions {
		// By a clock that was ahead something may have been forgotten too soon.
		f.cursor = ""
	}
	ctx, cancel := context.WithTimeout(ctx, longestCall)
	defer cancel()
	answer, err := f.get(ctx, cancel)
	if err != nil {
		return err
	}
	if answer.Reset {
		all := newRevoked()
		all.merge(answer.Revocations)
		f.known.Store(all)
	} else {
		f.known.Load().merge(answer.Revocations)
	}
	f.cursor = answer.Cursor
	// By the question, and not by the answer: that may have lain there while this
	// process was suspended.
	after := time.Duration(*answer.FreshAfter) * time.Millisecond
	f.stands(at.Add(min(after, f.verifier.now().Sub(at))), false)
	return nil
}

// feedAnswer is an answer of the feed.
type feedAnswer struct {
	Cursor      string       `json:"cursor"`
	Reset       bool         `json:"reset"`
	FreshAfter  *int64       `json:"fresh_after_ms"`
	Revocations []revocation `json:"revocations"`
}

// patient hands on an answer, and puts off the end of the call with each part.
type patient struct {
	io.Reader
	put func()
}

func (p patient) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	p.put()
	return n, err
}

// get makes the call. When nothing comes for a while the next place is to be
// asked: sooner than tokens have waited in vain, and later each time, since the way
// may be a slow one.
func (f *follower) get(ctx context.Context, giveUp func()) (*feedAnswer, error) {
	silence := freshFor << min(f.failed, 3)
	waiting := time.AfterFunc(silence, giveUp)
	defer waiting.Stop()
	q := url.Values{"wait": {strconv.FormatFloat(waitFor.Seconds(), 'f', 3, 64)}}
	if f.cursor != "" {
		q.Set("cursor", f.cursor)
	}
	place := f.verifier.at(f.place, "/v1/revocations")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, place+"?"+q.Encode(), nil)
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth(f.id, f.secret)
	res, err := f.verifier.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		_, _ = io.CopyN(io.Discard, res.Body, 4<<10) // so that the connection can be used again
		return nil, fmt.Errorf("%s answered %d", place, res.StatusCode)
	}
	var out feedAnswer
	if err := json.NewDecoder(io.LimitReader(patient{res.Body, func() { waiting.Reset(silence) }}, maxFeed)).Decode(&out); err != nil {
		return nil, fmt.Errorf("the answer of %s: %w", place, err)
	}
	if out.Cursor == "" || out.FreshAfter == nil || f.cursor == "" && !out.Reset {
		return nil, errors.New("the response of " + place + " is not the feed's")
	}
	return &out, nil
}
