package flow

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/account"
	"github.com/gatehouse-auth/gatehouse/internal/db"
	"github.com/gatehouse-auth/gatehouse/internal/event"
	"github.com/gatehouse-auth/gatehouse/internal/session"
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
	if w.everybody() {
		if err := f.cutOff(ctx, &w, from); err != nil {
			return 0, err
		}
	}
	for after := ""; ; {
		var (
			list  []session.Info
			ended int
		)
		err := f.DB.Write(ctx, func(tx *db.Tx) error {
			ended = 0
			if list, err = session.Living(tx, after, w.Before, f.Now(), revokeBatch); err != nil {
				return err
			}
			for _, i := range list {
				if !w.holds(i) {
					continue
				}
				if done, err := f.revokeOne(tx, w, i, from); err != nil {
					return err
				} else if done {
					ended++
				}
			}
			return nil
		})
		if err != nil {
			return n, err
		}
		n += ended
		if len(list) < revokeBatch {
			return n, nil
		}
		after = list[len(list)-1].ID
	}
}

// cutOff ends everybody's sessions from before the time that is meant, or now.
func (f *Operator) cutOff(ctx context.Context, w *Which, from event.Origin) error {
	return f.DB.Write(ctx, func(tx *db.Tx) error {
		at := w.Before
		if at.IsZero() {
			at = f.Now()
		}
		cut := f.Revoked.EndBefore(tx, at)
		f.Events.Append(tx, event.Event{
			Kind: event.SessionRevoked, Outcome: event.Success, Origin: from, Detail: event.Detail{By: operator, Reason: w.reason()},
		})
		tx.OnCommit(func() { w.Before = cut })
		return nil
	})
}

// revokeOne ends a session. Where a cut-off has ended its tokens, with an event
// of its own, there is none for each.
func (f *Operator) revokeOne(tx *db.Tx, w Which, i session.Info, from event.Origin) (bool, error) {
	_, err := session.End(tx, i.ID, "", session.WhyRevoked, f.Now())
	if errors.Is(err, session.ErrNotFound) {
		return false, nil // it has ended meanwhile
	}
	if err == nil && !w.everybody() {
		f.revoked(tx, i.Account, i.ID, w.reason(), from)
	}
	return err == nil, err
}

// which resolves the account, and cuts a time in the future.
func (f *Operator) which(ctx context.Context, w Which) (Which, error) {
	if w.Before.After(f.Now()) {
		w.Before = f.Now()
	}
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
