package retention

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// Whoever waits gets what was counted in the time, and is told of which kinds there may be more; nothing is deleted. Who goes away is an
// error, as it is for the command that counts all.
func TestRET4_AGlanceEndsInTime(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d)
		const n = firstKeys + 20
		h.sessions(n, 60*day)
		all, err := h.Glance(t.Context(), time.Hour)
		if err != nil || due(all, "sessions").Count != n || due(all, "sessions").More {
			t.Fatalf("%+v %v", all, err)
		}
		h.Pacer.Rest = func(ctx context.Context, _ time.Duration) error { <-ctx.Done(); return ctx.Err() }
		some, err := h.Glance(t.Context(), 300*time.Millisecond)
		if err != nil || len(some) != len(all) {
			t.Fatalf("%+v %v", some, err)
		}
		if s := due(some, "sessions"); !s.More || s.Count > firstKeys || s.Kind != "sessions" {
			t.Errorf("%+v", s)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := h.Glance(gone, time.Hour); !errors.Is(err, context.Canceled) {
			t.Errorf("who went away: %v", err)
		}
		if left := h.count("session"); left != n {
			t.Errorf("%d are left", left)
		}
	})
}

func due(list []Due, kind string) Due {
	for _, d := range list {
		if d.Kind == kind {
			return d
		}
	}
	return Due{}
}
