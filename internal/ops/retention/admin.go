package retention

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// GlanceFor is for how long an administrator waits for what is due: less than a request may last.
const GlanceFor = 4 * time.Second

// Administrator is on whose behalf an administrator's change is made, and why.
func Administrator(who flow.Identity, why string, from event.Origin) By {
	return By{Who: who.By(), Account: who.Account, Session: who.Session, Why: why, Origin: from}
}

// Rules are all kinds that go by a time, accounts that nobody uses among them.
func (k *Keeper) Rules() []Kind {
	list := append([]Kind{}, k.Kinds...)
	if k.Inactive.After > 0 {
		list = append(list, Kind{Name: kindInactive, Line: RET3, Kept: k.Inactive.After})
	}
	return list
}
