package operate

import (
	"context"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/consent"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
	"github.com/gatehouse-auth/gatehouse/internal/feature/upstream"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// People is what administrators see of accounts, and do to them. They never see or set
// a password.
type People struct {
	flow.Core
	// Operator does the changes, on their behalf.
	Operator *Operator
	Lockout  *lockout.Store
	// Closed is whether only the command line opens accounts.
	Closed bool
	// Providers are those by which people sign in.
	Providers *upstream.Providers
}

// Search returns a page of accounts.
func (f *People) Search(ctx context.Context, w account.Wanted, limit int) (found account.Found, err error) {
	ctx, run := f.Count.Begin(ctx, "people")
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		found, err = account.Search(tx, w, limit)
		return err
	})
	return found, run.End(err)
}

// Person is all that is shown of an account.
type Person struct {
	account.Detail
	Sessions []session.Info
	// Tries are the wrong passwords that count, and Devices the browsers that are known.
	Tries   lockout.State
	Devices int64
	// Links are those in mails that still work.
	Links int64
	// Factors are kinds and times, never a secret.
	Factors OwnedFactors
	// Erasure is whether and when it is to be erased.
	Erasure account.Erasure
	// Consents are what the person agreed to, and perhaps took back, the newest first.
	Consents []consent.Consent
	// Identities are what the account is linked to at other providers.
	Identities []flow.Linked
}

// StrangersMost and DevicesMost are how many wrong passwords are taken before an
// account is locked to strangers, and to its known devices.
const (
	StrangersMost = lockout.UnknownMost
	DevicesMost   = lockout.KnownMost
)

// LockedOut reports whether strangers, or programs, are kept out for now.
func (p Person) LockedOut() bool { return p.Tries.Unknown >= StrangersMost }

// Show returns one account.
func (f *People) Show(ctx context.Context, id string) (p Person, err error) {
	ctx, run := f.Count.Begin(ctx, "people")
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		if p.Detail, err = account.DetailByID(tx, id); err != nil {
			return err
		}
		if p.Sessions, err = session.List(tx, id, f.Now()); err != nil {
			return err
		}
		if p.Tries, err = f.Lockout.StateOf(tx, p.AddressKey, f.Now()); err != nil {
			return err
		}
		if p.Devices, err = lockout.CountDevices(tx, id); err != nil {
			return err
		}
		if p.Links, err = ticket.Living(tx, id, f.Now()); err != nil {
			return err
		}
		if p.Consents, err = consent.Of(tx, id); err != nil {
			return err
		}
		if p.Factors, err = ownedFactors(tx, id); err != nil {
			return err
		}
		linked, err := upstream.Of(tx, id)
		if err != nil {
			return err
		}
		p.Identities = flow.Named(f.Providers, linked)
		p.Erasure, err = account.ErasureOf(tx, id)
		return err
	})
	return p, run.End(err)
}

// Touches is what a change touches, counted before it is done.
type Touches struct {
	People, Sessions, Devices, Links int64
	// Exact is whether that is all; the count may end at a bound.
	Exact bool
	// Sample are some of the sessions, and Examples some of the people.
	Sample   []session.Info
	Examples []account.Account
}

// sampleSize is how many are shown of each.
const sampleSize = 5

// touches counts what a change of one account touches.
func (p Person) touches(sessions, devices, links bool) Touches {
	t := Touches{People: 1, Exact: true, Examples: []account.Account{p.Account}}
	if sessions {
		t.Sessions, t.Sample = int64(len(p.Sessions)), p.Sessions[:min(len(p.Sessions), sampleSize)]
	}
	if devices {
		t.Devices = p.Devices
	}
	if links {
		t.Links = p.Links
	}
	return t
}

// Act is a change of one account.
type Act struct {
	// Action is ActDisable, ActEnable, ActEndSessions, ActReset, ActUnlock, ActVerify,
	// ActResend, ActRoles, ActFactorReset, ActFactorKeep, ActErase, ActKeep or ActExport.
	Action  string
	Account string
	Why     string
	// Roles are all that it is to have, for ActRoles.
	Roles []string
	// Shown is what they were shown of the roles that it has ([Shown]); empty for who was not.
	Shown string
	// Wait is how long the account stays, for ActErase.
	Wait time.Duration
	// DryRun counts what it touches, and changes nothing.
	DryRun bool
}

// Needs says who may do an action to somebody's account.
func Needs(action string) Need {
	switch action {
	case ActEndSession, ActEndSessions, ActReset:
		return Helps
	}
	return Changes
}

// Do counts what the change touches, and makes it unless that is all that was asked.
func (f *People) Do(ctx context.Context, a Act, who flow.Identity, from event.Origin) (t Touches, err error) {
	ctx, run := f.Count.Begin(ctx, "act")
	t, err = f.do(ctx, a, who, from)
	return t, run.End(err)
}

func (f *People) do(ctx context.Context, a Act, who flow.Identity, from event.Origin) (t Touches, err error) {
	if !a.DryRun {
		if a.Why, err = ParseWhy(a.Why); err != nil {
			return t, err
		}
	}
	p, err := f.Show(ctx, a.Account)
	if err != nil {
		return t, err
	}
	if slices.Contains(p.Roles, account.Admin) && !slices.Contains(who.Roles, account.Admin) {
		return t, errAboveSupport
	}
	wipes := a.Action == ActReset || a.Action == ActFactorReset || a.Action == ActErase
	t = p.touches(wipes || a.Action == ActDisable || a.Action == ActEndSessions || a.Action == ActRoles, wipes, wipes)
	if a.Action == ActRoles {
		if a.Roles, err = account.ParseRoles(a.Roles); err != nil {
			return t, err
		}
	}
	if a.DryRun {
		return t, nil
	}
	return t, f.act(ctx, p, a, who, from)
}

func (f *People) act(ctx context.Context, p Person, a Act, who flow.Identity, from event.Origin) (err error) {
	o := f.Operator.As(who, a.Why)
	switch a.Action {
	case ActDisable:
		_, err = o.Disable(ctx, p.ID, from)
	case ActEnable:
		err = o.Enable(ctx, p.ID, from)
	case ActEndSessions:
		_, err = o.EndSessions(ctx, p.ID, from)
	case ActReset:
		_, _, err = o.ResetUser(ctx, p.ID, from)
	case ActUnlock:
		err = o.Unlock(ctx, p.ID, from)
	case ActVerify:
		err = o.Verify(ctx, p.ID, from)
	case ActResend:
		err = o.Resend(ctx, p.ID, from)
	case ActFactorReset:
		_, _, err = o.ResetFactors(ctx, p.ID, a.Why, o.FactorResetWait, from)
	case ActFactorKeep:
		_, err = o.StopFactorReset(ctx, p.ID, from)
	case ActRoles:
		_, err = o.Over(a.Shown).SetRoles(ctx, p.ID, a.Roles, from)
	case ActErase:
		_, _, err = o.EraseUser(ctx, p.ID, a.Wait, from)
	case ActKeep:
		_, err = o.KeepUser(ctx, p.ID, from)
	case ActExport:
		_, err = o.ExportUser(ctx, p.ID, from)
	default:
		err = fault.New(fault.NotFound, "unknown_action", "There is no such action.")
	}
	return err
}

// Invite opens an account, whose owner gets a mail by which they choose a password.
func (f *People) Invite(ctx context.Context, in Invitation, why string, who flow.Identity, from event.Origin) (a account.Account, err error) {
	ctx, run := f.Count.Begin(ctx, "act")
	if f.Closed {
		return a, run.End(flow.ErrRegistrationClosed)
	}
	if why, err = ParseWhy(why); err != nil {
		return a, run.End(err)
	}
	a, _, err = f.Operator.As(who, why).Invite(ctx, in, from)
	return a, run.End(err)
}

// EndSession ends one session of somebody's.
func (f *People) EndSession(ctx context.Context, id, why string, who flow.Identity, from event.Origin) error {
	ctx, run := f.Count.Begin(ctx, "act")
	why, err := ParseWhy(why)
	if err != nil {
		return run.End(err)
	}
	o := f.Operator.As(who, why)
	owner, err := o.SessionOwner(ctx, id)
	if err == nil && slices.Contains(owner.Roles, account.Admin) && !slices.Contains(who.Roles, account.Admin) {
		err = errAboveSupport
	}
	if err == nil {
		err = o.EndSession(ctx, id, from)
	}
	return run.End(err)
}

// Sessions returns living sessions in the order of their beginning, from the one after
// an id on, those of an account or from a network if that is said, and the cursor to
// go on with. There may be fewer than limit, or none, and yet a cursor.
func (f *People) Sessions(ctx context.Context, w Which, after string, limit int) (list []session.Info, next string, err error) {
	ctx, run := f.Count.Begin(ctx, "people")
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		for read := 0; read < readMost/20; read += revokeBatch {
			page, err := session.Living(tx, after, w.Before, f.Now(), revokeBatch)
			if err != nil {
				return err
			}
			for _, i := range page {
				after = i.ID
				if !w.holds(i) {
					continue
				}
				if list = append(list, i); len(list) == limit {
					next = after
					return nil
				}
			}
			if len(page) < revokeBatch {
				return nil
			}
		}
		next = after
		return nil
	})
	return list, next, run.End(err)
}

// readMost is how many sessions are looked at to count those that are meant.
const readMost = 100_000

// count counts what an end of sessions touches: which sessions, of how many people.
func (f *People) count(ctx context.Context, w Which) (t Touches, err error) {
	people := map[string]bool{}
	after := ""
	for read := 0; read < readMost && !t.Exact; read += revokeBatch {
		var page []session.Info
		if err := f.DB.Read(ctx, func(tx *db.Tx) error {
			page, err = session.Living(tx, after, w.Before, f.Now(), revokeBatch)
			return err
		}); err != nil {
			return t, err
		}
		for _, i := range page {
			after = i.ID
			if !w.holds(i) {
				continue
			}
			t.Sessions++
			if len(t.Sample) < sampleSize {
				t.Sample = append(t.Sample, i)
			}
			people[i.Account] = true
		}
		t.Exact = len(page) < revokeBatch
	}
	t.People = int64(len(people))
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		for _, i := range t.Sample {
			a, err := account.ByID(tx, i.Account)
			if err == nil && !slices.ContainsFunc(t.Examples, func(b account.Account) bool { return a.ID == b.ID }) {
				t.Examples = append(t.Examples, a)
			}
			if err != nil && fault.KindOf(err) != fault.NotFound {
				return err
			}
		}
		return nil
	})
	return t, err
}

// EndMany is an end of many sessions.
type EndMany struct {
	Which
	Why    string
	DryRun bool
	// Expected is how many sessions whoever asks has seen counted: if there are more by
	// 1 in 100, nothing ends. Zero is for who was not told.
	Expected int64
}

// End counts the sessions that are meant, and ends them unless that is all that was
// asked.
func (f *People) End(ctx context.Context, in EndMany, who flow.Identity, from event.Origin) (t Touches, err error) {
	ctx, run := f.Count.Begin(ctx, "act")
	t, err = f.end(ctx, in, who, from)
	return t, run.End(err)
}

func (f *People) end(ctx context.Context, in EndMany, who flow.Identity, from event.Origin) (t Touches, err error) {
	if !in.DryRun {
		if in.Why, err = ParseWhy(in.Why); err != nil {
			return t, err
		}
	}
	if in.Which, err = f.Operator.which(ctx, in.Which); err != nil {
		return t, err
	}
	if t, err = f.count(ctx, in.Which); err != nil || in.DryRun {
		return t, err
	}
	if in.Expected > 0 && t.Sessions > in.Expected+max(in.Expected/100, 1) {
		again := *ErrConfirm
		again.Message = "There are more sessions than were counted before. Look at the new count, and confirm that."
		return t, &again
	}
	n, err := f.Operator.As(who, in.Why).RevokeSessions(ctx, in.Which, from)
	t.Sessions = int64(n)
	return t, err
}

// Uses counts who uses a network, as far as their living sessions tell: a block keeps
// them out.
func (f *People) Uses(ctx context.Context, w Which) (t Touches, err error) {
	ctx, run := f.Count.Begin(ctx, "people")
	t, err = f.count(ctx, w)
	return t, run.End(err)
}

// LivingSessions counts the living sessions of everybody, a page at a time, so that
// nobody waits for it.
func LivingSessions(ctx context.Context, d *db.DB, now time.Time) (n int64, err error) {
	for after := ""; ; {
		var (
			page, living int
			last         string
		)
		err := d.Read(ctx, func(tx *db.Tx) error {
			page, living, last, err = session.CountAfter(tx, after, now, countPage)
			return err
		})
		if n += int64(living); err != nil || page < countPage {
			return n, err
		}
		after = last
	}
}

// countPage is how many rows one look counts.
const countPage = 5000
