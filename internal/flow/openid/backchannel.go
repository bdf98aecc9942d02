package openid

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// BackChannel tells applications that a session has ended (OpenID Connect Back-Channel Logout): each at least once. Every replica runs
// one.
//
// Whoever takes a notice puts it off by a compare-and-set, sends it with no transaction open, and deletes it, or puts it off until its
// next try. Each application has a worker of its own while it has notices, so one that is slow or dead holds up nobody else's.
type BackChannel struct {
	flow.Core
	Clients *flow.AuthenticateClient
	Tokens  *token.Issuer
	Random  secret.Random
	// Post posts a form to an application, and returns the status of its answer.
	Post func(ctx context.Context, uri string, form url.Values) (status int, err error)
	Log  *slog.Logger
	// Look is how often to look for notices that are due; zero for the usual.
	Look time.Duration

	mu      sync.Mutex
	silent  map[string]silence
	working map[string]bool
	workers sync.WaitGroup
}

const (
	// lookForNotices is how often a replica looks for notices.
	lookForNotices = time.Second
	// atOnce is how many notices one replica sends to one application at a time.
	atOnce = 4
	// mostSilence is how long the worker of an application rests at the most, from which no answer comes at all.
	mostSilence = time.Minute
)

// silence is an application from which no answer comes: when to try it again, and the pause before that.
type silence struct {
	until time.Time
	pause time.Duration
}

// What a try came to, as it is counted.
const (
	noticeRefused  = "refused"
	noticeFailed   = "no_answer"
	noticeGivenUp  = "gave_up"
	noticeDisabled = "client_disabled"
)

// Run delivers until the context ends. What is being sent then is finished.
func (f *BackChannel) Run(ctx context.Context) {
	look := f.Look
	if look == 0 {
		look = lookForNotices
	}
	tick := time.NewTicker(look)
	defer tick.Stop()
	defer f.workers.Wait()
	failing := false
	for {
		err := f.round(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !failing {
			f.Log.Warn("Which applications have to be told of logouts can't be read; it is tried again.", "error", err.Error())
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// round has the workers begin that have something to do.
func (f *BackChannel) round(ctx context.Context) error {
	var list []string
	err := f.DB.Read(ctx, func(tx *db.Tx) (err error) {
		list, err = grant.Expecting(tx, f.Now())
		return err
	})
	for _, id := range list {
		if f.begin(id) {
			f.workers.Go(func() {
				defer f.end(id)
				f.work(ctx, id)
			})
		}
	}
	return err
}

// begin reports whether a worker may begin for an application: it has none, and does not rest.
func (f *BackChannel) begin(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.working == nil {
		f.working, f.silent = map[string]bool{}, map[string]silence{}
	}
	if f.working[id] || f.Now().Before(f.silent[id].until) {
		return false
	}
	f.working[id] = true
	return true
}

func (f *BackChannel) end(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.working, id)
}

// heard notes whether an application answers: one that does not is left alone for a while, which becomes longer. Its notices stay due.
func (f *BackChannel) heard(id string, answers bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if answers {
		delete(f.silent, id)
		return
	}
	pause := min(max(2*f.silent[id].pause, time.Second), mostSilence)
	f.silent[id] = silence{f.Now().Add(pause), pause}
}

// work sends what is due for one application.
func (f *BackChannel) work(ctx context.Context, id string) {
	for ctx.Err() == nil {
		var list []grant.Notice
		err := f.DB.Write(ctx, func(tx *db.Tx) (err error) {
			list, err = grant.TakeNotices(tx, id, f.Now(), atOnce)
			return err
		})
		if err != nil || len(list) == 0 {
			return // the next round comes soon, and complains
		}
		var (
			each    sync.WaitGroup
			mu      sync.Mutex
			answers bool
		)
		for _, n := range list {
			each.Go(func() {
				// One that was taken is seen through, though the server stops meanwhile.
				if f.send(context.WithoutCancel(ctx), n) {
					mu.Lock()
					defer mu.Unlock()
					answers = true
				}
			})
		}
		each.Wait()
		if f.heard(id, answers); !answers {
			return
		}
	}
}

// send tells an application of one session, and writes down what became of it. It reports whether there was an answer, or none was
// needed.
func (f *BackChannel) send(ctx context.Context, n grant.Notice) (answered bool) {
	c, known, err := f.Clients.Named(ctx, n.Client)
	if err == nil && (!known || c.Settings.BackchannelLogoutURI == "") {
		return f.leave(ctx, n, known) == nil
	}
	ctx, run := f.Count.Begin(ctx, "notify_logout")
	status, outcome, why := 0, "", ""
	switch {
	case err != nil:
		outcome, why = noticeFailed, "the registered applications can't be read"
	case !c.DisabledAt.IsZero():
		outcome, why = noticeDisabled, "the application is disabled"
	default:
		status, err = f.post(ctx, n, c.Settings)
		outcome, why = judgeAnswer(status, err)
	}
	if outcome, err = f.settle(ctx, n, outcome, why); err != nil {
		_ = run.End(err)
		return status != 0
	}
	run.As(outcome)
	return status != 0
}

// leave drops the notice of an application that need not be told. One that is not known here has been deleted; or a newer version has
// written its settings, and other replicas know it.
func (f *BackChannel) leave(ctx context.Context, n grant.Notice, known bool) error {
	return f.DB.Write(ctx, func(tx *db.Tx) error {
		if at, again := n.Next(f.Now()); again && !known {
			n.PutOff(tx, at, "the application is not known")
		} else {
			n.Settle(tx)
		}
		return nil
	})
}

// post sends one notice, with a token of its own.
func (f *BackChannel) post(ctx context.Context, n grant.Notice, to client.Settings) (status int, err error) {
	now := f.Now()
	signed, err := f.Tokens.IssueLogout(token.Logout{
		Subject: n.Account, Audience: n.Client, Session: n.SID, ID: f.Random.ID(now), Algorithm: to.IDTokenAlg,
	}, now)
	if err != nil {
		return 0, err
	}
	return f.Post(ctx, to.BackchannelLogoutURI, url.Values{"logout_token": {signed}})
}

// judgeAnswer says what an application's answer means: outcome is empty for one that has done what it was told. 400 is final, for an
// application that can't do it never will, or has no such session (Back-Channel Logout section 2.8).
func judgeAnswer(status int, err error) (outcome, why string) {
	switch {
	case err != nil:
		return noticeFailed, err.Error()
	case status/100 == 2:
		return "", ""
	case status == 400:
		return noticeRefused, "it answered 400"
	}
	return noticeFailed, fmt.Sprintf("it answered %d", status)
}

// settle writes down what became of a try, and returns how it is counted.
func (f *BackChannel) settle(ctx context.Context, n grant.Notice, outcome, why string) (counted string, err error) {
	now := f.Now()
	at, again := n.Next(now)
	if (outcome == noticeFailed || outcome == noticeDisabled) && !again {
		outcome = noticeGivenUp
		f.Log.Warn("An application was not told that a session has ended, and will not be.", "client", n.Client, "tries", n.Tries, "error", why)
	}
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		if outcome == noticeFailed || outcome == noticeDisabled {
			n.PutOff(tx, at, why)
			return nil
		}
		n.Settle(tx)
		return f.record(tx, n, outcome)
	})
	if outcome == "" {
		outcome = "success"
	}
	return outcome, err
}

// record appends the event of a notice that is settled. It names nobody who is being erased, or has been.
func (f *BackChannel) record(tx *db.Tx, n grant.Notice, why string) error {
	e := event.Event{
		Kind: event.LogoutNotified, Outcome: event.Success, Origin: event.Origin{RequestID: "job"}, Detail: event.Detail{Client: n.Client, Reason: why},
	}
	if why != "" {
		e.Outcome = event.Failure
	}
	stays, err := account.Stays(tx, n.Account)
	if stays {
		e.Account, e.Session = n.Account, n.SID
	}
	f.Events.Append(tx, e)
	return err
}

// RunOut queues the notices of sessions whose time has run out, of up to limit that it looks at, and returns how many those were. An
// application is told once what it was granted under the session has run out too: it may be in use while its person has not been
// here for long.
func (f *BackChannel) RunOut(tx *db.Tx, limit int) (int64, error) {
	now := f.Now()
	list, err := grant.Unchecked(tx, now, limit)
	if err != nil {
		return 0, err
	}
	for _, s := range list {
		ends, err := session.RunsOut(tx, s.SID)
		if err != nil {
			return 0, err
		}
		granted, err := grant.EndsWith(tx, s)
		if err != nil {
			return 0, err
		}
		if granted.After(ends) {
			ends = granted
		}
		if at := ends.Add(session.Late); at.After(now) {
			err = grant.CheckAt(tx, s, at)
		} else {
			err = grant.TellOne(tx, s, now)
		}
		if err != nil {
			return 0, err
		}
	}
	return int64(len(list)), nil
}
