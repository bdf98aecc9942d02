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

// stand is a log with several watchers at it.
type stand struct {
	db     *db.DB
	log    *event.Log
	sealer *event.Sealer
	mu     sync.Mutex
	clock  time.Time
}

func newStand(d *db.DB) *stand {
	s := &stand{db: d, clock: monday}
	s.log = event.NewLog(slog.New(slog.DiscardHandler), secret.Random{}, s.now, nil)
	s.sealer = event.NewSealer(d, "a key of 32 characters, or of more", s.now)
	return s
}

func (s *stand) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clock
}

func (s *stand) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = s.clock.Add(d)
}

func (s *stand) append(t *testing.T, n int, e event.Event) {
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

func (s *stand) watcher() *alert.Watcher {
	return &alert.Watcher{
		DB: s.db, Events: s.log, Thresholds: defaults, Sealing: func() int64 { return 0 }, Channels: []string{"webhook"},
		Log: slog.New(slog.DiscardHandler), Now: s.now,
	}
}

// together has 16 watchers look at the same moment.
func (s *stand) together(t *testing.T) {
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

func (s *stand) alerts(t *testing.T) (list []alert.Alert) {
	t.Helper()
	err := s.db.Read(t.Context(), func(tx *db.Tx) (err error) { list, err = alert.List(tx, "", false, 100); return err })
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// deliver sends with 16 deliverers at once, and returns what was told.
func (s *stand) deliver(t *testing.T, failure error) (told []string) {
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
				told = append(told, m.About+" "+m.Alert.Rule)
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
	return told
}

// LOG-5: replicas together raise one alert and tell it once; it is raised once
// however long it lasts, and is over by itself.
func TestLOG5_ReplicasRaiseOneAlert(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStand(d)
		s.together(t) // where watching begins
		reuse := event.Event{Kind: event.SuspiciousActivity, Outcome: event.Failure, Origin: event.Origin{Address: netip.MustParseAddr("192.0.2.1")}, Detail: event.Detail{Reason: "refresh_token_reused"}}
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
		if told := s.deliver(t, errors.New("away")); len(told) != 1 || told[0] != "raised token_reuse" {
			t.Fatalf("told %v", told)
		}
		if told := s.deliver(t, nil); len(told) != 0 {
			t.Fatalf("told again at once: %v", told)
		}
		s.pass(time.Minute)
		if told := s.deliver(t, nil); len(told) != 1 {
			t.Fatalf("told again %v", told)
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
		if told := s.deliver(t, nil); len(told) != 1 || told[0] != "resolved token_reuse" {
			t.Fatalf("told %v", told)
		}
	})
}

// More events than one look reads, and all of them over before anybody looks:
// the alert is raised all the same.
func TestLOG5_WhatWasMissedIsToldLater(t *testing.T) {
	d := dbtest.Open(t, dbtest.SQLite(t))
	s := newStand(d)
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

// A rule that is silent is raised and listed, and nobody is told.
func TestLOG6_SilencedRulesAreListedAndNotTold(t *testing.T) {
	d := dbtest.Open(t, dbtest.SQLite(t))
	s := newStand(d)
	s.together(t)
	desk := alert.Admin{DB: d, Events: s.log, Now: s.now}
	silence := func(rule string, life time.Duration) error {
		return desk.Silence(t.Context(), rule, s.now().Add(life), "administrator", "", "", event.Origin{})
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
	if l, told := s.alerts(t), s.deliver(t, nil); len(l) != 1 || len(told) != 0 {
		t.Errorf("%+v, told %v", l, told)
	}
	if err := silence(alert.SessionAhead, 0); err != nil {
		t.Fatal(err)
	}
	list, more, silent, err := desk.List(t.Context(), "", true, 1)
	if err != nil || len(list) != 1 || more || len(silent) != 0 {
		t.Errorf("%v, more %v, silent %v, %v", list, more, silent, err)
	}
}
