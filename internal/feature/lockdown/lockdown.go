// Package lockdown is what is closed to people for a while because of an incident: registration, changes of addresses
// and factors, and signing in for all but administrators.
//
// What is closed until when stands in the row of install. The poll of the revocations reads it, so every replica obeys
// within a second, and goes on obeying while the database is away. It ends by itself: nobody has to remember it.
package lockdown

import (
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// Door is what can be closed.
type Door string

// The doors: that strangers open accounts; that people change addresses, factors or how they sign in; that anybody but an
// administrator signs in. Sessions that there are go on.
const (
	Registration Door = "registration"
	Changes      Door = "changes"
	SignIn       Door = "sign-in"
)

// Doors are all of them.
var Doors = []Door{Registration, Changes, SignIn}

// Longest is how long a door may be closed; it can be closed again.
const Longest = 7 * 24 * time.Hour

// ErrShut is for who finds a door closed.
var ErrShut = fault.New(fault.Denied, "closed_for_now",
	"This is closed for a while, to protect people's accounts. Nothing is wrong with yours. Please try again later.")

// Until is until when each door is closed; zero for one that is open.
type Until struct{ Registration, Changes, SignIn time.Time }

// Of returns one.
func (u Until) Of(d Door) time.Time {
	switch d {
	case Registration:
		return u.Registration
	case Changes:
		return u.Changes
	case SignIn:
		return u.SignIn
	}
	return time.Time{}
}

// Read returns until when each door is closed.
func Read(tx *db.Tx) (u Until, err error) {
	var registration, changes, signIn int64
	err = tx.QueryRow(`SELECT shut_registration, shut_changes, shut_sign_in FROM install`).Scan(&registration, &changes, &signIn)
	return Until{orZero(registration), orZero(changes), orZero(signIn)}, err
}

// Hold is [Read], and keeps others from changing it until the transaction ends. It holds the row of install, which comes
// before all other rows.
func Hold(tx *db.Tx) (u Until, err error) {
	var registration, changes, signIn int64
	err = tx.QueryRow(`UPDATE install SET shut_sign_in = shut_sign_in RETURNING shut_registration, shut_changes, shut_sign_in`).
		Scan(&registration, &changes, &signIn)
	return Until{orZero(registration), orZero(changes), orZero(signIn)}, err
}

func orZero(at int64) time.Time {
	if at == 0 {
		return time.Time{}
	}
	return db.Time(at)
}

// Shut closes a door until a time, or opens it with the zero time.
func Shut(tx *db.Tx, d Door, until time.Time) (err error) {
	at := int64(0)
	if !until.IsZero() {
		at = db.Micros(until)
	}
	switch d {
	case Registration:
		_, err = tx.Exec(`UPDATE install SET shut_registration = $1`, at)
	case Changes:
		_, err = tx.Exec(`UPDATE install SET shut_changes = $1`, at)
	case SignIn:
		_, err = tx.Exec(`UPDATE install SET shut_sign_in = $1`, at)
	default:
		err = fault.Field("closes", "invalid_door", "What can be closed is registration, changes or sign-in.")
	}
	return err
}

// State is what one replica knows to be closed. The nil State, which commands have, closes nothing.
type State struct {
	now   func() time.Time
	until atomic.Pointer[Until]
}

// NewState returns one that has read nothing yet: see [State.Poll].
func NewState(now func() time.Time) *State {
	s := &State{now: now}
	s.until.Store(&Until{})
	return s
}

// Poll reads what is closed.
func (s *State) Poll(tx *db.Tx) error {
	u, err := Read(tx)
	if err == nil {
		s.until.Store(&u)
	}
	return err
}

// Closed reports whether a door is closed now.
func (s *State) Closed(d Door) bool {
	return s != nil && s.until.Load().Of(d).After(s.now())
}

// Pass returns ErrShut if a door is closed.
func (s *State) Pass(d Door) error {
	if s.Closed(d) {
		return ErrShut
	}
	return nil
}
