package flow

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/password"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/feature/upstream"
)

// EmailLinks is what the flows share that send a link, or begin with one.
//
// Each takes the account's row first, by naming how often its password was
// replaced, and then uses the ticket up: so a link is void after any change of
// the password, of any number at once one gets it, and no two wait for each other.
type EmailLinks struct {
	Core
	Tickets *ticket.Store
	Guard   *Guard
	Limits  *Limits
	Hasher  *password.Hasher
	Policy  password.Policy
	Revoked *token.Revocations
	New     NewAddresses
	// Base is PUBLIC_URL: what every link begins with, whatever a request says of its
	// host.
	Base string
	// Key signs what tells the browser that registered.
	Key func() []byte
	// Providers are those by which people sign in.
	Providers *upstream.Providers

	undos clientQueues
}

// LinkOrCode is what somebody brings from a mail: a link's token, or the code, the
// address that it was sent to, and what shows that they asked for it.
type LinkOrCode struct {
	Token, Email, Code string
	// Requests are those that they made, the newest first: of more than
	// [ticket.RequestsMost] the others don't count.
	Requests []string
}

// RequestLife is for how long a browser keeps what shows that it asked for a code:
// longer than codes are good, so that it learns of one that no longer is.
const RequestLife = 3 * ticket.CodeLife

// ErrNotAsked is for a code that comes from where no mail was asked for.
var ErrNotAsked = fault.Field("request", "request_required", "A code works only where its mail was asked for: in the same browser, or with the request "+
	"that the answer had. Open the link in the mail instead, or ask for a new mail here.")

// link is where a ticket's mail leads.
func (l *EmailLinks) link(page, token string) string {
	return strings.TrimSuffix(l.Base, "/") + page + "#" + token
}

// Mail issues a ticket and returns the mail that carries it.
func (l *EmailLinks) Mail(tx *db.Tx, kind notice.Kind, page string, h account.Holder, t ticket.Ticket, now time.Time) notice.Mail {
	t.Account, t.PasswordN = h.ID, h.PasswordN
	s := l.Tickets.Issue(tx, t, now)
	return notice.Mail{
		Kind: kind, Account: h.ID, To: t.Address, Name: h.Name, Locale: h.Locale, At: now,
		Link: l.link(page, s.Token), LinkLife: t.Purpose.Life(), Code: s.Code, CodeLife: ticket.CodeLife,
	}
}

// ErrDoneAlready is for a link or a code that was used, and is shown once more: by a
// second press of the button, or a page that was loaded again. Doors answer it as a
// success, which it was.
var ErrDoneAlready = fault.New(fault.Conflict, "done_already", "This was already done with the same mail. There is nothing left to do.")

// pressedTwice makes an ErrDoneAlready from the error of a ticket that was used.
func pressedTwice(err error) error {
	if errors.Is(err, ticket.ErrUsed) {
		return ErrDoneAlready.Because(err)
	}
	return err
}

// find returns the ticket that somebody shows, for one of two purposes, without
// using it up. A wrong code counts, and is an event of the kind. One that was used
// is returned with an error whose cause is ticket.ErrUsed.
func (l *EmailLinks) find(ctx context.Context, in LinkOrCode, kind event.Kind, from event.Origin, p, or ticket.Purpose) (t ticket.Ticket, err error) {
	if in.Token != "" {
		return l.byToken(ctx, in, p, or)
	}
	switch {
	case in.Code == "" && in.Email == "":
		return t, Required("token")
	case in.Email == "":
		return t, Required("email")
	case in.Code == "":
		return t, Required("code")
	case !slices.ContainsFunc(in.Requests, func(r string) bool { return r != "" }):
		return t, ErrNotAsked
	}
	address, err := account.ParseAddress("email", in.Email)
	if err != nil {
		return t, err
	}
	defer takeMinimumTime(ctx, time.Now())
	var refused *fault.Error
	err = l.DB.Write(ctx, func(tx *db.Tx) error {
		t, refused, err = l.Tickets.Try(tx, address.Key, ticket.ParseCode(in.Code), in.Requests, l.Now(), p, or)
		if err == nil && refused != nil && !errors.Is(refused, ticket.ErrUsed) {
			l.Guard.Events.Append(tx, event.Event{
				Kind: kind, Outcome: event.Failure, Origin: from,
				Detail: event.Detail{Reason: refused.Code, Address: addressHash(l.Guard.Pseudonym, address.Key)},
			})
		}
		return err
	})
	if err == nil && refused != nil {
		err = refused
	}
	return t, err
}

// The faults of a link's token that comes with what belongs to another (ASVS 2.2.3).
var (
	errTokenAndCode = fault.Field("code", "token_and_code", "Send the token of the link, or the email and the code, not both.")
	errOtherAddress = fault.Field("email", "email_of_another", "This link went to another address. Leave the email out, or send the one that got the mail.")
)

// byToken returns the ticket of a link. What else was sent must belong to it.
func (l *EmailLinks) byToken(ctx context.Context, in LinkOrCode, p, or ticket.Purpose) (t ticket.Ticket, err error) {
	if in.Code != "" {
		return t, errTokenAndCode
	}
	err = l.DB.Read(ctx, func(tx *db.Tx) error {
		t, err = ticket.ByToken(tx, in.Token, l.Now(), p, or)
		return err
	})
	if err != nil || in.Email == "" {
		return t, err
	}
	address, err := account.ParseAddress("email", in.Email)
	if err == nil && address.Key != t.AddressKey {
		err = errOtherAddress
	}
	return t, err
}

// minimumTime is how long an answer takes at the least that must not tell, by its
// time, whether an address has an account: longer than what is done for either.
const minimumTime = 80 * time.Millisecond

// takeMinimumTime waits until as much time has passed since it began.
func takeMinimumTime(ctx context.Context, began time.Time) {
	t := time.NewTimer(minimumTime - time.Since(began))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// holder returns the account of a ticket, which may be gone.
func (l *EmailLinks) holder(ctx context.Context, id string) (h account.Holder, err error) {
	err = l.DB.Read(ctx, func(tx *db.Tx) error {
		h, err = account.HolderByID(tx, id)
		return err
	})
	if errors.Is(err, account.ErrNotFound) {
		err = ticket.ErrLink
	}
	return h, err
}

// checkPassword takes a try at the account's password, compares, and records a wrong one.
// The caller ends a right one with reauthenticated, in its transaction, and then calls end,
// which lets the next try of this client begin: until then this one counts as a guess, and
// of many right ones at once some would have to wait for minutes.
func (l *EmailLinks) checkPassword(ctx context.Context, h account.Holder, hash, pass string, b *Browser, wrong *fault.Error,
	from event.Origin) (try lockout.Try, end func(), err error) {
	return l.checkAnyPassword(ctx, h, []string{hash}, pass, b, wrong, from)
}

// reauthenticated ends a try that was right, and records that whoever it was has shown the
// password once more (ASVS 16.3.1).
func (l *EmailLinks) reauthenticated(tx *db.Tx, try lockout.Try, id, session string, from event.Origin) {
	l.Guard.succeeded(tx, try)
	l.Guard.Events.Append(tx, event.Event{
		Kind: event.Reauthenticated, Outcome: event.Success, Account: id, Session: session, Origin: from, Detail: event.Detail{AMR: []string{"pwd"}},
	})
}

// checkAnyPassword is checkPassword for one of several stored hashes.
func (l *EmailLinks) checkAnyPassword(ctx context.Context, h account.Holder, hashes []string, pass string, b *Browser, wrong *fault.Error,
	from event.Origin) (try lockout.Try, end func(), err error) {
	address := account.Address{Typed: h.Email, Key: h.Key}
	if err := l.Hasher.Room(); err != nil {
		return try, nil, err // before the try is counted
	}
	client := l.Guard.clientOf(address, b, from)
	leave, err := l.Guard.queues.enter(ctx, client, l.Guard.Lockout.AtOnce())
	if err != nil {
		return try, nil, err
	}
	defer func() {
		if end == nil {
			leave()
		}
	}()
	if try, err = l.Guard.take(ctx, client, from); err != nil {
		return try, nil, err
	}
	match, err := l.matchesAny(inTurn(ctx, from), h.ID, hashes, pass)
	if err != nil {
		l.Guard.giveBack(ctx, try)
		return try, nil, err
	}
	if match {
		return try, leave, nil
	}
	err = l.Guard.record(ctx, func(tx *db.Tx) error { return l.Guard.failed(tx, try, h.ID, address, "wrong_password", from) })
	if err == nil {
		err = wrong.Because(Reason("wrong_password"))
	}
	return try, nil, err
}

// matchesAny reports whether the password is that of one of the stored hashes. One
// that can't be compared, since the pepper is gone that it is sealed under, is an
// error only if none of the others matches.
func (l *EmailLinks) matchesAny(ctx context.Context, id string, hashes []string, pass string) (ok bool, unreadable error) {
	for _, hash := range hashes {
		match, err := l.Hasher.Verify(ctx, id, hash, pass)
		switch {
		case err != nil && (ctx.Err() != nil || fault.KindOf(err) == fault.Unavailable):
			return false, err
		case err != nil:
			unreadable = err
		case match.OK:
			return true, nil
		}
	}
	return false, unreadable
}

// endSessions ends the account's sessions, save one, with the events that record
// it.
func (l *EmailLinks) endSessions(tx *db.Tx, id, keep, why string, from event.Origin) error {
	_, err := l.EndAll(tx, l.Revoked, id, keep, session.WhyRevoked, event.Detail{Reason: why}, from)
	return err
}

// ForgetDevices makes every browser a stranger to the account, and the links void
// that make one known.
func ForgetDevices(tx *db.Tx, id string) error {
	if _, err := lockout.ForgetDevices(tx, id); err != nil {
		return err
	}
	return lockout.VoidLinks(tx, id)
}

// registered is what the browser keeps that registered the account: with it, the
// link in the mail needs no password.
func registered(key []byte, id string) string {
	return id + "." + base64.RawURLEncoding.EncodeToString(secret.MAC(key, []byte("flow/registered"), []byte(id)))
}

// RegisteredLife is for how long the browser keeps it: as long as the link works.
var RegisteredLife = ticket.Verify.Life()
