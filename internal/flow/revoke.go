package flow

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
)

// Which says which sessions are meant: those for which all that is set holds. If
// nothing is, that is every session.
type Which struct {
	// Account is an id or an address.
	Account string
	// Network is where the sign-in came from.
	Network netip.Prefix
	// Before is a time that the sign-in was before.
	Before time.Time
}

// everybody reports whether the sessions are those of all people, so that a
// cut-off does.
func (w Which) everybody() bool { return w.Account == "" && !w.Network.IsValid() }

// reason is that of the events.
func (w Which) reason() string {
	switch {
	case w.Network.IsValid():
		return "network"
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
	if !w.Network.IsValid() {
		return true
	}
	a, err := netip.ParseAddr(i.Address)
	return err == nil && w.Network.Contains(a.Unmap())
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
func (f *Operator) RevokeSessions(ctx context.Context, w Which, from event.Origin) (n int, err error) {
	w, err = f.which(ctx, w)
	if err != nil {
		return 0, err
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
			return n, nil
		}
		after = last
	}
}

// cutOff ends everybody's sessions from before the time that is meant, or now. It
// returns that time.
func (f *Operator) cutOff(ctx context.Context, w Which, from event.Origin) (at time.Time, err error) {
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		at = f.Revoked.EndBefore(tx, w.Before)
		f.Events.Append(tx, event.Event{
			Kind: event.SessionRevoked, Outcome: event.Success, Origin: from, Detail: event.Detail{By: operator, Reason: w.reason()},
		})
		return nil
	})
	return at, err
}

// tidy ends sessions whose tokens a cut-off has ended, with an event of its own. It
// returns the last one's id, if there may be more, and how many they were.
func (f *Operator) tidy(tx *db.Tx, w Which, after string, _ event.Origin) (last string, n int, err error) {
	ended, err := session.EndBegan(tx, after, w.Before, f.Now(), session.WhyRevoked, revokeBatch)
	if len(ended) > 0 {
		last = ended[len(ended)-1]
	}
	return last, len(ended), err
}

// revokeSome ends those of the next sessions that are meant. It returns the last
// one's id, if there may be more, and how many it ended.
func (f *Operator) revokeSome(tx *db.Tx, w Which, after string, from event.Origin) (last string, n int, err error) {
	list, err := session.Living(tx, after, w.Before, f.Now(), revokeBatch)
	for _, i := range list {
		last = i.ID
		if !w.holds(i) {
			continue
		}
		_, err := session.End(tx, i.ID, "", session.WhyRevoked, f.Now())
		if errors.Is(err, session.ErrNotFound) {
			continue // it has ended meanwhile
		}
		if err != nil {
			return "", n, err
		}
		f.revoked(tx, i.Account, i.ID, w.reason(), from)
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
