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
	"sync"
	"sync/atomic"
	"time"
)

// follower follows what Gatehouse tells of revocations.
type follower struct {
	verifier   *Verifier
	id, secret string
	stale      time.Duration
	wait       int // seconds for which Gatehouse holds an answer back

	known  atomic.Pointer[revoked]
	cursor string
	place  int // which of the addresses is asked

	mu   sync.Mutex
	at   time.Time     // when the last good answer was asked for
	good chan struct{} // closed by the next one
}

const (
	// waitFresh is how long a token waits when it can't be told whether it has been
	// revoked: at the start, and when this process was suspended.
	waitFresh = time.Second
	// mostSessions is from how many on all is asked for again: Gatehouse itself
	// names no more than two million.
	mostSessions = 3_000_000
	forgetEvery  = time.Minute
	maxFeed      = 1 << 30 // bytes of an answer
	firstPause   = 50 * time.Millisecond
	lastPause    = time.Second
)

func newFollower(v *Verifier, id, secret string, stale time.Duration) *follower {
	f := &follower{verifier: v, id: id, secret: secret, stale: stale, wait: 2, good: make(chan struct{})}
	if stale < staleAfter {
		f.wait = 1
	}
	f.known.Store(newRevoked())
	return f
}

// check returns nil for a token that has not been revoked as far as can be known.
func (f *follower) check(ctx context.Context, c *claims) error {
	if f.known.Load().dead(c) {
		return ErrRevoked
	}
	if f.age() <= f.stale {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, waitFresh)
	defer cancel()
	for {
		f.mu.Lock()
		good := f.good
		f.mu.Unlock()
		if f.age() <= f.stale {
			break
		}
		select {
		case <-good:
		case <-ctx.Done():
			return fmt.Errorf("%w: what has been revoked lately is not known", ErrUnavailable)
		}
	}
	if f.known.Load().dead(c) {
		return ErrRevoked
	}
	return nil
}

// age is how long ago the last good answer was asked for, by the monotonic clock
// or the wall clock, whichever says more: a machine that was suspended has only
// one of them right. When it was asked for, and not when it came: it may have lain
// there while this process was suspended.
func (f *follower) age() time.Duration {
	f.mu.Lock()
	at := f.at
	f.mu.Unlock()
	now := f.verifier.now()
	wall := now.Round(0).Sub(at.Round(0))
	if at.IsZero() || wall < 0 {
		return math.MaxInt64
	}
	return max(now.Sub(at), wall)
}

// run follows until the context ends.
func (f *follower) run(ctx context.Context) {
	pause, failing, tidied := firstPause, false, f.verifier.now()
	for ctx.Err() == nil {
		at := f.verifier.now()
		err := f.ask(ctx, at)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			if !failing {
				f.verifier.log.Warn("what has been revoked can't be read", "issuer", f.verifier.issuer, "error", err)
			}
			failing = true
			f.place++
			sleep := time.NewTimer(pause/2 + rand.N(pause)) //nolint:gosec // no secret
			select {
			case <-ctx.Done():
			case <-sleep.C:
			}
			sleep.Stop()
			pause = min(2*pause, lastPause)
			continue
		}
		if failing {
			f.verifier.log.Info("what has been revoked is known again", "issuer", f.verifier.issuer)
		}
		pause, failing = firstPause, false
		if now := f.verifier.now(); now.Sub(tidied) > forgetEvery || now.Before(tidied) {
			f.known.Load().forget(now)
			tidied = now
		}
	}
}

// ask asks once, and takes in what is told.
func (f *follower) ask(ctx context.Context, at time.Time) error {
	f.mu.Lock()
	last := f.at
	f.mu.Unlock()
	if at.Round(0).Before(last.Round(0)) || f.known.Load().live.Load() > mostSessions {
		// By a clock that was ahead something may have been forgotten too soon.
		f.cursor = ""
	}
	limit := time.Duration(f.wait)*time.Second + askTimeout/2
	if f.cursor == "" {
		limit = 2 * time.Minute // all there is takes its time
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	told, err := f.get(ctx)
	if err != nil {
		return err
	}
	if told.Reset {
		all := newRevoked()
		all.merge(told.Revocations)
		f.known.Store(all)
	} else {
		f.known.Load().merge(told.Revocations)
	}
	f.cursor = told.Cursor
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = at
	close(f.good)
	f.good = make(chan struct{})
	return nil
}

// told is an answer of the feed.
type told struct {
	Cursor      string       `json:"cursor"`
	Reset       bool         `json:"reset"`
	Revocations []revocation `json:"revocations"`
}

func (f *follower) get(ctx context.Context) (*told, error) {
	q := url.Values{"wait": {strconv.Itoa(f.wait)}}
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
	defer res.Body.Close() //nolint:errcheck // it was read
	if res.StatusCode != http.StatusOK {
		_, _ = io.CopyN(io.Discard, res.Body, 4<<10) // so that the connection can be used again
		return nil, fmt.Errorf("%s answered %d", place, res.StatusCode)
	}
	var out told
	if err := json.NewDecoder(io.LimitReader(res.Body, maxFeed)).Decode(&out); err != nil {
		return nil, fmt.Errorf("the answer of %s: %w", place, err)
	}
	if out.Cursor == "" || f.cursor == "" && !out.Reset {
		return nil, errors.New("the answer of " + place + " is none of the feed's")
	}
	return &out, nil
}
