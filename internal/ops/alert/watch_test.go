package alert_test

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/ops/alert"
)

// testLog is a log with several watchers at it.
type testLog struct {
	db     *db.DB
	log    *event.Log
	sealer *event.Sealer
	mu     sync.Mutex
	clock  time.Time
}

func newTestLog(d *db.DB) *testLog {
	s := &testLog{db: d, clock: monday}
	s.log = event.NewLog(slog.New(slog.DiscardHandler), secret.Random{}, s.now, nil)
	s.sealer = event.NewSealer(d, "a key of 32 characters, or of more", s.now)
	return s
}

func (s *testLog) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clock
}

func (s *testLog) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = s.clock.Add(d)
}

func (s *testLog) append(t *testing.T, n int, e event.Event) {
	t.Helper()
	err := s.db.Write(t.Context(), func(tx *db.Tx) error {
		for range n {
			s.log.Append(tx, e)
		}
		return nil
	})
	if err == nil {
		_, err = s.sealer.Seal(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (s *testLog) watcher() *alert.Watcher {
	return &alert.Watcher{
		DB: s.db, Events: s.log, Thresholds: defaults, Sealing: func() int64 { return 0 }, Channels: []string{"webhook"},
		Log: slog.New(slog.DiscardHandler), Now: s.now,
	}
}

// together has 16 watchers look at the same moment.
func (s *testLog) together(t *testing.T) {
	t.Helper()
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if err := s.watcher().Step(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func (s *testLog) alerts(t *testing.T) (list []alert.Alert) {
	t.Helper()
	err := s.db.Read(t.Context(), func(tx *db.Tx) (err error) { list, err = alert.List(tx, "", false, 100); return err })
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// deliver sends with 16 deliverers at once, and returns what was sent.
func (s *testLog) deliver(t *testing.T, failure error) (sent []string) {
	t.Helper()
	var (
		wg sync.WaitGroup
		mu sync.Mutex
	)
	for range 16 {
		d := &alert.Deliverer{DB: s.db, Now: s.now, Send: map[string]func(context.Context, alert.Message) error{
			"webhook": func(_ context.Context, m alert.Message) error {
				mu.Lock()
				defer mu.Unlock()
				sent = append(sent, m.About+" "+m.Alert.Rule)
				return failure
			},
		}}
		wg.Go(func() {
			if err := d.Step(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	return sent
}

// LOG-5: replicas together raise one alert and send it once; it is raised once
// however long it lasts, and is over by itself.
func TestLOG5_ReplicasRaiseOneAlert(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newTestLog(d)
		s.together(t) // where watching begins
		reuse := event.Event{Kind: event.SuspiciousActivity, Outcome: event.Failure, Origin: event.Origin{Address: netip.MustParseAddr("192.0.2.1")},
			Detail: event.Detail{Reason: "refresh_token_reused"}}
		s.append(t, 2, reuse)
		s.together(t)
		if l := s.alerts(t); len(l) != 0 {
			t.Fatalf("too early: %+v", l)
		}
		s.pass(10 * time.Minute)
		s.append(t, 1, reuse) // the window goes on, whichever watcher reads
		s.together(t)
		l := s.alerts(t)
		if len(l) != 1 || l[0].Rule != alert.TokenReuse || l[0].N != 3 || !l[0].ResolvedAt.IsZero() {
			t.Fatalf("%+v", l)
		}
		if sent := s.deliver(t, errors.New("away")); len(sent) != 1 || sent[0] != "raised token_reuse" {
			t.Fatalf("sent %v", sent)
		}
		if sent := s.deliver(t, nil); len(sent) != 0 {
			t.Fatalf("sent again at once: %v", sent)
		}
		s.pass(time.Minute)
		if sent := s.deliver(t, nil); len(sent) != 1 {
			t.Fatalf("sent again %v", sent)
		}
		s.append(t, 5, reuse)
		s.together(t)
		if l := s.alerts(t); len(l) != 1 || l[0].N != 8 {
			t.Fatalf("it goes on: %+v", l)
		}
		s.pass(2 * time.Hour)
		s.together(t)
		if l := s.alerts(t); len(l) != 1 || l[0].ResolvedAt.IsZero() {
			t.Fatalf("not over: %+v", l)
		}
		if sent := s.deliver(t, nil); len(sent) != 1 || sent[0] != "resolved token_reuse" {
			t.Fatalf("sent %v", sent)
		}
	})
}

// More events than one look reads, and all of them over before anybody looks:
// the alert is raised all the same.
func TestLOG5_WhatWasMissedIsToldLater(t *testing.T) {
	d := dbtest.Open(t, dbtest.SQLite(t))
	s := newTestLog(d)
	s.together(t)
	s.append(t, 1200, event.Event{Kind: event.FailedLogin, Outcome: event.Failure, Detail: event.Detail{Reason: "wrong_password", Address: "h"}})
	s.pass(3 * time.Hour)
	s.append(t, 1, event.Event{Kind: event.Logout, Outcome: event.Success})
	s.together(t)
	s.together(t)
	if l := s.alerts(t); len(l) != 1 || l[0].Rule != alert.FailedLogins || l[0].ResolvedAt.IsZero() {
		t.Errorf("%+v", l)
	}
}

// A silenced rule is raised and listed, and nobody is notified.
func TestLOG6_SilencedRulesAreListedAndNotTold(t *testing.T) {
	d := dbtest.Open(t, dbtest.SQLite(t))
	s := newTestLog(d)
	s.together(t)
	admin := alert.Admin{DB: d, Events: s.log, Now: s.now}
	silence := func(rule string, life time.Duration) error {
		return admin.Silence(t.Context(), rule, s.now().Add(life), "administrator", "", "", event.Origin{})
	}
	if err := silence(alert.SessionAhead, time.Hour); err != nil {
		t.Fatal(err)
	}
	if f := fault.As(silence("nonsense", time.Hour)); f == nil || f.Code != "rule_unknown" {
		t.Errorf("a rule that is none: %v", f)
	}
	if f := fault.As(silence(alert.SessionAhead, 367*24*time.Hour)); f == nil || f.Code != "invalid_time" {
		t.Errorf("for ever: %v", f)
	}
	s.append(t, 1, event.Event{Kind: event.SuspiciousActivity, Outcome: event.Failure, Detail: event.Detail{Reason: "refresh_token_ahead"}})
	s.together(t)
	if l, sent := s.alerts(t), s.deliver(t, nil); len(l) != 1 || len(sent) != 0 {
		t.Errorf("%+v, sent %v", l, sent)
	}
	if err := silence(alert.SessionAhead, 0); err != nil {
		t.Fatal(err)
	}
	list, more, silent, err := admin.List(t.Context(), "", true, 1)
	if err != nil || len(list) != 1 || more || len(silent) != 0 {
		t.Errorf("%v, more %v, silent %v, %v", list, more, silent, err)
	}
}
