package operate

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Invitation is who is invited.
type Invitation struct {
	Email string
	// Locale is the language of the mail (BCP 47); empty for the default.
	Locale string
	Roles  []string
}

// Invite opens an account and mails its owner a link by which they choose the password;
// that shows that the address is theirs. Until then nobody signs in: the password is
// random, and nobody has seen it. It returns the link as well, for where no mail is sent.
func (f *Operator) Invite(ctx context.Context, in Invitation, from event.Origin) (a account.Account, link string, err error) {
	roles, err := account.ParseRoles(in.Roles)
	if err != nil {
		return a, "", err
	}
	if in.Email == "" {
		return a, "", flow.Required("email")
	}
	links, err := f.EmailLinks(ctx)
	if err != nil {
		return a, "", err
	}
	unknown := secret.Random{}.Text(secret.KeySize)
	n, now, err := f.Accounts.Prepare(ctx, flow.Credentials{Email: in.Email, Password: unknown, Locale: in.Locale})
	if err != nil {
		return a, "", err
	}
	n.Roles = roles
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		if err := f.free(tx, n, now); err != nil {
			return err
		}
		f.Events.Append(tx, event.Event{
			Kind: event.AccountRegistered, Outcome: event.Success, Account: n.ID, Origin: from,
			Detail: event.Detail{By: f.by(), Actor: f.actor(), Reason: "invited"},
		})
		if len(roles) > 0 {
			if err := f.gaveRoles(tx, n.ID, roles, now, from); err != nil {
				return err
			}
		}
		f.acted(tx, ActInvite, event.Event{Account: n.ID, Origin: from, Detail: event.Detail{Roles: roles}})
		if a, err = account.ByID(tx, n.ID); err != nil {
			return err
		}
		link, err = f.sendInvitation(tx, links, n.ID)
		return err
	})
	return a, link, err
}

// sendInvitation queues the mail with the link.
func (f *Operator) sendInvitation(tx *db.Tx, links *flow.EmailLinks, id string) (link string, err error) {
	h, err := account.HolderByID(tx, id)
	if err != nil {
		return "", err
	}
	m := links.Mail(tx, notice.Invitation, "/reset?with=invitation", h, ticket.Ticket{Purpose: ticket.Invite, Address: h.Email, AddressKey: h.Key}, f.Now())
	m.ByOperator = true
	return m.Link, links.Guard.Notices.Send(tx, m, event.Origin{})
}

// errVerifiedAlready is for a mail that has nothing to ask.
var errVerifiedAlready = fault.New(fault.Conflict, "verified_already", "The address is verified already.")

// Resend mails the way to verify an address once more: to somebody who has never signed
// in, the invitation, by which they choose a password.
func (f *Operator) Resend(ctx context.Context, user string, from event.Origin) error {
	links, err := f.EmailLinks(ctx)
	if err != nil {
		return err
	}
	return f.DB.Write(ctx, func(tx *db.Tx) error {
		a, err := account.Find(tx, user)
		if err != nil {
			return err
		}
		h, err := account.HolderByID(tx, a.ID)
		switch {
		case err != nil:
			return err
		case h.Disabled:
			return errDisabledAnyway
		case h.Verified:
			return errVerifiedAlready
		}
		f.Events.Append(tx, event.Event{
			Kind: event.EmailVerification, Outcome: event.Success, Account: a.ID, Origin: from,
			Detail: event.Detail{By: f.by(), Actor: f.actor(), Reason: "mail_sent"},
		})
		f.acted(tx, ActResend, event.Event{Account: a.ID, Origin: from})
		if a.SignedInAt.IsZero() {
			_, err := f.sendInvitation(tx, links, a.ID)
			return err
		}
		m := links.VerifyMail(tx, h, "", f.Now())
		m.ByOperator = true
		return links.Guard.Notices.Send(tx, m, event.Origin{})
	})
}

// free makes an account whose address must be nobody's.
func (f *Operator) free(tx *db.Tx, n account.New, now time.Time) error {
	_, created, err := account.Create(tx, n, now)
	if err != nil {
		return err
	}
	if !created {
		return fault.New(fault.Conflict, "address_taken", n.Address.Typed+" already has an account.")
	}
	if err := flow.HeldByUndo(tx, n.Address.Key, now); errors.Is(err, flow.ErrHeld) {
		return fault.New(fault.Conflict, "address_taken",
			n.Address.Typed+" was an account's address until it was changed, and its owner can take that back for seven days.")
	} else if err != nil {
		return err
	}
	return nil
}
