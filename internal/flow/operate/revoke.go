package operate

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/block"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Which says which sessions are meant: those for which all that is set holds. If
// nothing is, that is every session.
type Which struct {
	// Account is an id or an address.
	Account string
	// Network is where the sign-in came from, or the last use.
	Network netip.Prefix
	// Networks are more of them: any will do.
	Networks []netip.Prefix
	// Device is what the browser and system of the sign-in are called, such as "Firefox on Linux".
	Device string
	// Before is a time that the sign-in was before.
	Before time.Time
}

// everybody reports whether the sessions are those of all people, so that a
// cut-off does.
func (w Which) everybody() bool { return w.Account == "" && !w.placed() && w.Device == "" }

// placed reports whether a network is said.
func (w Which) placed() bool { return w.Network.IsValid() || len(w.Networks) > 0 }

// Everybody is everybody, for other floors.
func (w Which) Everybody() bool { return w.everybody() }

// Grave reports whether it may be most people's: of everybody, of a very wide network, or of a device wherever it is.
func (w Which) Grave() bool {
	if w.Account != "" {
		return false
	}
	return !w.placed() || w.Network.IsValid() && block.Wide(w.Network) || slices.ContainsFunc(w.Networks, block.Wide)
}

// reason is that of the events.
func (w Which) reason() string {
	switch {
	case w.placed():
		return "network"
	case w.Device != "":
		return "device"
	case w.Account != "":
		return session.WhyRevoked
	case !w.Before.IsZero():
		return "before"
	}
	return "everything"
}

func (w Which) holds(i session.Info) bool {
	if w.Account != "" && i.Account != w.Account {
		return false
	}
	if w.Device != "" && session.DeviceName(i.UserAgent) != w.Device {
		return false
	}
	if !w.placed() {
		return true
	}
	for _, address := range []string{i.Address, i.FirstAddress} {
		if a, err := netip.ParseAddr(address); err == nil && w.contains(a.Unmap()) {
			return true
		}
	}
	return false
}

// Holds reports whether a session is meant.
func (w Which) Holds(i session.Info) bool { return w.holds(i) }

func (w Which) contains(a netip.Addr) bool {
	return w.Network.IsValid() && w.Network.Contains(a) || slices.ContainsFunc(w.Networks, func(n netip.Prefix) bool { return n.Contains(a) })
}

// revokeBatch is how many sessions one transaction looks at.
const revokeBatch = 500

// CountSessions returns how many living sessions are meant.
func (f *Operator) CountSessions(ctx context.Context, w Which) (n int, err error) {
	w, err = f.which(ctx, w)
	if err != nil {
		return 0, err
	}
	for after := ""; ; {
		var list []session.Info
		err := f.DB.Read(ctx, func(tx *db.Tx) error {
			list, err = session.Living(tx, after, w.Before, f.Now(), revokeBatch)
			return err
		})
		if err != nil {
			return n, err
		}
		for _, i := range list {
			if w.holds(i) {
				n++
			}
		}
		if len(list) < revokeBatch {
			return n, nil
		}
		after = list[len(list)-1].ID
	}
}

// RevokeSessions ends the sessions that are meant, and returns how many they
// were. Those of everybody end with its first transaction, which writes a cut-off
// by the time of the sign-in; whoever signs in within the next two seconds may
// have to do so again. What follows tidies up. If it breaks off, say it again.
//
// What applications were granted under the sessions ends with them, and what was granted to go on without them (offline access) too.
func (f *Operator) RevokeSessions(ctx context.Context, w Which, from event.Origin) (n int, err error) {
	if w.Account != "" && !w.placed() && w.Device == "" && w.Before.IsZero() {
		return f.EndSessions(ctx, w.Account, from)
	}
	w, err = f.which(ctx, w)
	if err != nil {
		return 0, err
	}
	if f.SecondApproves && w.Grave() {
		return 0, ErrApproval
	}
	batch := f.revokeSome
	if w.everybody() {
		if w.Before, err = f.cutOff(ctx, w, from); err != nil {
			return 0, err
		}
		batch = f.tidy
	}
	for after := ""; ; {
		var (
			last  string
			ended int
		)
		err := f.DB.Write(ctx, func(tx *db.Tx) error {
			last, ended, err = batch(tx, w, after, from)
			return err
		})
		if err != nil {
			return n, err
		}
		if n += ended; last == "" {
			return n, f.actedOn(ctx, ActEndSessions, int64(n), w, from)
		}
		after = last
	}
}

// cutOff ends everybody's sessions from before the time that is meant, or now. It
// returns that time.
func (f *Operator) cutOff(ctx context.Context, w Which, from event.Origin) (at time.Time, err error) {
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		at = f.CutOff(tx, w, from)
		return nil
	})
	return at, err
}

// CutOff ends everybody's sessions from before the time that is meant, or now, within a transaction, and returns that time:
// it is in force at once, and [Operator.EndBatch] tidies up behind it.
func (f *Operator) CutOff(tx *db.Tx, w Which, from event.Origin) time.Time {
	at := f.Revoked.EndBefore(tx, w.Before)
	f.Events.Append(tx, event.Event{
		Kind: event.SessionRevoked, Outcome: event.Success, Origin: from, Detail: event.Detail{By: f.by(), Actor: f.actor(), Reason: w.reason()},
	})
	return at
}

// EndBatch ends the next of the sessions that are meant, from the one after the given id on: of everybody's, those that a
// cut-off has ended already. It returns the id to go on with, empty at the end, and how many it ended.
func (f *Operator) EndBatch(tx *db.Tx, w Which, after string, from event.Origin) (last string, n int, err error) {
	if w.everybody() {
		return f.tidy(tx, w, after, from)
	}
	return f.revokeSome(tx, w, after, from)
}

// granted is before the place of [Operator.tidy] once it is through the sessions, and at what applications were granted.
const granted = "granted "

// tidy ends sessions, and then grants, whose tokens a cut-off has ended, with an event of its own. It
// returns the place of the last one, if there may be more, and how many sessions they were.
func (f *Operator) tidy(tx *db.Tx, w Which, after string, _ event.Origin) (last string, n int, err error) {
	if id, ok := strings.CutPrefix(after, granted); ok {
		ended, err := grant.EndBegan(tx, id, w.Before, f.Now(), session.WhyRevoked, revokeBatch)
		if len(ended) > 0 {
			last = granted + ended[len(ended)-1]
		}
		return last, 0, err
	}
	ended, err := session.EndBegan(tx, after, w.Before, f.Now(), session.WhyRevoked, revokeBatch)
	if err != nil || len(ended) == 0 {
		return granted, 0, err
	}
	for _, id := range ended {
		if err := flow.TellEnded(tx, id, f.Now()); err != nil {
			return "", 0, err
		}
	}
	return ended[len(ended)-1], len(ended), nil
}

// revokeSome ends those of the next sessions that are meant. It returns the last
// one's id, if there may be more, and how many it ended. Those that have ended count too, as far as
// something was granted under them that outlives them.
func (f *Operator) revokeSome(tx *db.Tx, w Which, after string, from event.Origin) (last string, n int, err error) {
	list, err := session.After(tx, after, f.Now().Add(24*time.Hour), revokeBatch) // a day: others' clocks may be ahead
	for _, i := range list {
		last = i.ID
		if !w.holds(i) || !w.Before.IsZero() && !i.BeganAt.Before(w.Before) {
			continue
		}
		_, err := session.End(tx, i.ID, "", session.WhyRevoked, f.Now())
		if errors.Is(err, session.ErrNotFound) {
			if err := flow.RevokeGiven(tx, f.Revoked, i.ID, i.BeganAt, f.Now()); err != nil {
				return "", n, err
			}
			continue
		}
		if err != nil {
			return "", n, err
		}
		if err := f.revoked(tx, i.Account, i.ID, w.reason(), from); err != nil {
			return "", n, err
		}
		n++
	}
	return last, n, err
}

// which resolves the account.
func (f *Operator) which(ctx context.Context, w Which) (Which, error) {
	if w.Account == "" {
		return w, nil
	}
	err := f.DB.Read(ctx, func(tx *db.Tx) error {
		a, err := account.Find(tx, w.Account)
		w.Account = a.ID
		return err
	})
	return w, err
}
