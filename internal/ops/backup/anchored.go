package backup

import (
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

// Anchored is what was kept of the event log in another place: how far it was, by whoever sealed it.
type Anchored struct {
	// Note is the last checkpoint that arrived there, and At about when; empty where nothing can be read.
	Note string
	At   time.Time
}

// mostBeyond is by how much the anchor may be ahead of the ledger, which follows within seconds while its stores are there.
const mostBeyond = 10 * time.Minute

// beyond holds the ledger against what EVENT_ANCHOR has: a ledger whose end was cut off joins without a gap, as one does that was not
// written for hours because its stores were away.
func (r *Restore) beyond(m *Manifest, d *Decisions) {
	origin, _, _ := strings.Cut(r.Anchored.Note, "\n")
	verifier := m.Needs.Verifier
	if r.EventKey != "" && (origin == "gatehouse/"+m.Install || strings.HasPrefix(origin, "gatehouse/"+m.Install+"/")) {
		s, err := event.NewSigner(r.EventKey, origin)
		if err != nil {
			return
		}
		verifier = s.Verifier()
	}
	c, err := event.ParseCheckpoint(r.Anchored.Note, verifier)
	if err != nil {
		return // of another log, or none
	}
	until, at := max(d.Until, m.Log.Size), d.At
	if at.Before(m.Snapshot) {
		at = m.Snapshot
	}
	if c.Size <= until {
		return
	}
	d.Beyond, d.BeyondAt = c.Size-until, r.Anchored.At
	if late := d.BeyondAt.Sub(at); late > mostBeyond && d.Gap == "" {
		d.Gap = fmt.Sprintf("EVENT_ANCHOR has a checkpoint of %d events more than the ledger reaches, of %s later.", d.Beyond, late.Round(time.Minute))
	}
}
