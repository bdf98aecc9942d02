package backup

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// BACKUP_KEEP=7d,4w,3m: the newest of each of 7 days, 4 weeks and 3 months; the two newest and
// the one drilled last in any case.
func TestDB4_WhichBackupsStay(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	var list []Entry
	for i := range 400 { // twice a day
		list = append(list, Entry{ID: fmt.Sprint(i), Snapshot: now.Add(-time.Duration(i) * 12 * time.Hour)})
	}
	keep := Keep{7, 4, 3}
	gone := keep.surplus(list, "399", now, 12*time.Hour)
	var stay []string
	for _, e := range list {
		if !slices.ContainsFunc(gone, func(g Entry) bool { return g.ID == e.ID }) {
			stay = append(stay, e.ID)
		}
	}
	// 29 November is a Sunday: the weeks end on the 29th, 22nd, 15th and 8th, the months on the
	// 31st of October and the 30th of September; of each day the one of noon is the newest.
	if want := "[0 1 2 4 6 8 10 12 14 28 42 58 120 399]"; fmt.Sprint(stay) != want {
		t.Errorf("%v stay", stay)
	}
	for _, id := range []string{"0", "1", "399"} {
		if !slices.Contains(stay, id) {
			t.Errorf("%s does not stay", id)
		}
	}
	if old := keep.surplus(list, "", now.Add(25*time.Hour), 12*time.Hour); old != nil {
		t.Errorf("while the newest is old, %d go", len(old))
	}
	if ahead := keep.surplus(list, "", now.Add(-2*time.Hour), 12*time.Hour); ahead != nil {
		t.Errorf("by a clock that is behind, %d go", len(ahead))
	}
	if few := (Keep{}).surplus(list[:2], "", now, 12*time.Hour); len(few) > 0 {
		t.Errorf("of the two newest %v go", few)
	}
}

// Late, failing, or not drilled.
func TestWhatIsTroubleWithBackups(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	for name, c := range map[string]struct {
		st Standing
		n  int64
	}{
		"none yet":               {Standing{}, 0},
		"all well":               {Standing{Good: now.Add(-30 * time.Hour), Drilled: now.Add(-8 * day)}, 0},
		"late":                   {Standing{Good: now.Add(-49 * time.Hour), Drilled: now.Add(-day)}, 1},
		"failing":                {Standing{Failures: 3, Failed: now}, 1},
		"never drilled":          {Standing{Good: now, Undrilled: 2}, 1},
		"late and not drilled":   {Standing{Good: now.Add(-30 * day), Drilled: now.Add(-30 * day)}, 2},
		"one drill that failed":  {Standing{Good: now, Drilled: now.Add(-8 * day), Undrilled: 1}, 0},
		"not drilled for a time": {Standing{Good: now, Drilled: now.Add(-15 * day)}, 1},
	} {
		if got := c.st.Trouble(now, day); got != c.n {
			t.Errorf("%s: %d", name, got)
		}
	}
	if n := (Standing{Good: now.Add(-99 * day), Drilled: now.Add(-99 * day)}).Trouble(now, 0); n != 0 {
		t.Errorf("without a schedule: %d", n)
	}
}

// Due by the last good one, and after failures later and later.
func TestWhenABackupIsDue(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		st    Standing
		every time.Duration
		due   bool
	}{
		"none yet":             {Standing{}, 24 * time.Hour, true},
		"never":                {Standing{}, 0, false},
		"young":                {Standing{Good: now.Add(-23 * time.Hour)}, 24 * time.Hour, false},
		"old":                  {Standing{Good: now.Add(-24 * time.Hour)}, 24 * time.Hour, true},
		"failed a moment ago":  {Standing{Good: now.Add(-25 * time.Hour), Failures: 1, Failed: now.Add(-9 * time.Minute)}, 24 * time.Hour, false},
		"failed a while ago":   {Standing{Good: now.Add(-25 * time.Hour), Failures: 1, Failed: now.Add(-10 * time.Minute)}, 24 * time.Hour, true},
		"failed three times":   {Standing{Failures: 3, Failed: now.Add(-39 * time.Minute)}, 24 * time.Hour, false},
		"failed for very long": {Standing{Failures: 99, Failed: now.Add(-24 * time.Hour)}, 24 * time.Hour, true},
	} {
		if got := c.st.Due(now, c.every); got != c.due {
			t.Errorf("%s: due %v", name, got)
		}
	}
}
