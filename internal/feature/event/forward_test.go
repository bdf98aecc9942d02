package event_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

// place is where events are forwarded to.
type place struct {
	mu    sync.Mutex
	ids   []string
	fails bool
	// broken is called when a page was taken, before that is noted.
	broken func()
}

func (p *place) send(_ context.Context, page []event.Sealed, lines []string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fails {
		return errors.New("the place is away")
	}
	for i, line := range lines {
		var l event.Line
		if err := json.Unmarshal([]byte(line), &l); err != nil || l.ID != page[i].ID {
			return fmt.Errorf("the line %q is not of the event %s: %w", line, page[i].ID, err)
		}
		p.ids = append(p.ids, l.ID)
	}
	if p.broken != nil {
		p.broken()
	}
	return nil
}

// inOrder returns the ids of the sealed log from a leaf on.
func (s *sealed) inOrder(t testing.TB, from int) (ids []string) {
	t.Helper()
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		rows, err := tx.Query(`SELECT event_id FROM event_leaf WHERE n >= $1 ORDER BY n`, from)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return err
			}
			ids = append(ids, id)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// Every event gets there at least once, in the order of the log: through outages
// of the place, and when we end between the sending and the noting.
func TestLOG1_ForwardingIsAtLeastOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s, p := newSealed(t, d), &place{}
		s.many(t, 3)
		s.seal(t)
		forward := func(ctx context.Context) error { return s.Forward(ctx, d, "a place", p.send) }
		if err := forward(ctx); err != nil || len(p.ids) > 0 {
			t.Fatalf("a place that is new got %d events of before, %v", len(p.ids), err)
		}
		s.many(t, 450)
		s.seal(t)
		p.fails = true
		if err := forward(ctx); err == nil {
			t.Fatal("the place is away, and nobody knows")
		}
		p.fails = false
		dying, die := context.WithCancel(ctx)
		p.broken = die
		if err := forward(dying); err == nil {
			t.Fatal("noted by one who was gone")
		}
		taken := len(p.ids)
		p.broken = nil
		if err := forward(ctx); err != nil {
			t.Fatal(err)
		}
		want := s.inOrder(t, 3)
		if taken == 0 || taken > 200 || !slices.Equal(p.ids[:taken], want[:taken]) || !slices.Equal(p.ids[taken:], want) {
			t.Errorf("%d came before the crash, %d after it, of %d", taken, len(p.ids)-taken, len(want))
		}
		// One that committed late was sealed late, and is not missed; what was sent is not sent again.
		before := len(p.ids)
		s.many(t, 2)
		s.seal(t)
		if err := errors.Join(forward(ctx), forward(ctx)); err != nil || len(p.ids) != before+2 {
			t.Errorf("%d more, %v", len(p.ids)-before, err)
		}
	})
}

// Sixteen at once, as when a lease is lost and taken: some events come twice, none
// is left out.
func TestLOG1_ForwardersAtOnceLeaveNothingOut(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s, p := newSealed(t, d), &place{}
		if err := s.Forward(ctx, d, "a place", p.send); err != nil {
			t.Fatal(err)
		}
		s.many(t, 500)
		s.seal(t)
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				if err := s.Forward(ctx, d, "a place", p.send); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got := slices.Sorted(slices.Values(p.ids)); !slices.Equal(slices.Compact(got), slices.Sorted(slices.Values(s.inOrder(t, 0)))) {
			t.Errorf("%d arrived", len(p.ids))
		}
	})
}
