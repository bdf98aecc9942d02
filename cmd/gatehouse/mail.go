package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/mail"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

type mailCommand struct {
	List  mailList  `cmd:"" help:"List mails, the newest first."`
	Retry mailRetry `cmd:"" help:"Send mails again that were given up, or at once that wait."`
	Test  mailTest  `cmd:"" help:"Send a mail to an address now, and say what the mail server answers."`
}

func (mailCommand) Help() string {
	return `How mails are delivered, and when they are given up: docs/guides/mail.md.

Example:
  gatehouse mail list --dead`
}

type mailList struct {
	Dead  bool `help:"Only those that were given up and can be sent again."`
	Limit int  `default:"50" help:"At most so many."`
	JSON  bool `name:"json" help:"Print JSON, one mail a line."`
}

func (mailList) Help() string {
	return `A mail is waiting, sent, dead (given up), or expired (its link was over before it could be sent). What it says is not shown.

Example:
  gatehouse mail list --dead --json`
}

// mailJSON is a row of the outbox for programs.
type mailJSON struct {
	ID       string     `json:"id"`
	Kind     string     `json:"kind"`
	State    string     `json:"state"`
	Account  string     `json:"account,omitempty"`
	To       string     `json:"to,omitempty"`
	QueuedAt time.Time  `json:"queued_at"`
	DueAt    *time.Time `json:"due_at"`
	SentAt   *time.Time `json:"sent_at"`
	DeadAt   *time.Time `json:"dead_at"`
	Tries    int        `json:"tries"`
	Error    string     `json:"error,omitempty"`
}

// Run lists the mails.
func (m mailList) Run(ctx context.Context, t *terminal) error {
	if m.Limit < 1 {
		return usageError("--limit is 1 or more.")
	}
	return t.operator(ctx, func(o *flow.Operator) error {
		list, err := o.Mails(ctx, m.Dead, m.Limit)
		if err != nil {
			return err
		}
		lines := [][]string{{"ID", "KIND", "STATE", "TO", "QUEUED", "NEXT TRY", "TRIES", "ERROR"}}
		for _, e := range list {
			if m.JSON {
				err := t.jsonLine(mailJSON{e.ID, e.Kind, e.State(), e.Account, e.To, e.QueuedAt.UTC(), jsonTime(e.DueAt), jsonTime(e.SentAt), jsonTime(e.DeadAt), e.Tries, e.Error})
				if err != nil {
					return err
				}
			}
			lines = append(lines, []string{e.ID, e.Kind, e.State(), e.To, day(e.QueuedAt), day(e.DueAt), fmt.Sprint(e.Tries), e.Error})
		}
		switch {
		case m.JSON:
			return nil
		case len(list) == 0:
			fmt.Fprintln(t.err, "No mails.")
			return nil
		}
		return t.table(lines)
	})
}

type mailRetry struct {
	ID   string `arg:"" optional:"" help:"The mail's id."`
	Dead bool   `help:"All that were given up."`
}

func (mailRetry) Help() string {
	return `A server that runs sends them within seconds. They have all their tries before them again.

Example:
  gatehouse mail retry --dead`
}

// Run makes the mails due.
func (m mailRetry) Run(ctx context.Context, t *terminal) error {
	if m.Dead == (m.ID != "") {
		return usageError("Name one mail by its id, or all that were given up by --dead.")
	}
	return t.operator(ctx, func(o *flow.Operator) error {
		n := int64(1)
		var err error
		if m.Dead {
			n, err = o.RetryDeadMails(ctx)
		} else {
			err = o.RetryMail(ctx, m.ID)
		}
		if err == nil {
			_, err = fmt.Fprintf(t.out, "Due now: %s.\n", count(int(n), "mail"))
		}
		return err
	})
}

type mailTest struct {
	Address string `arg:"" help:"Where to send it."`
}

func (mailTest) Help() string {
	return `It goes to SMTP_URL from MAIL_FROM, past the outbox, and needs no database.

Example:
  gatehouse mail test you@acme.com`
}

// mailTestTime is how long somebody at a terminal waits for each phase.
const mailTestTime = time.Minute

// errNoServer is for a test without a server.
var errNoServer = errors.New("SMTP_URL is not set: there is no mail server to try")

// Run sends the mail.
func (m mailTest) Run(ctx context.Context, t *terminal) error {
	c, _, err := t.settings()
	if err != nil {
		return err
	}
	sender, err := app.MailSender(c, mailTestTime)
	if err != nil {
		return err
	}
	if sender == nil {
		return errNoServer
	}
	conn, err := sender.Open(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	now := time.Now()
	err = conn.Send(mail.Message{
		ID: secret.Random{}.ID(now), To: m.Address, Date: now, Language: "en", Subject: "Mails from " + c.PublicURL + " work",
		Text: "This is a test that somebody who runs " + c.PublicURL + " has sent. Nothing needs to be done.\n",
	})
	if err == nil {
		_, err = fmt.Fprintf(t.out, "The mail server took it, from %s. It says: %s\n", c.MailFrom, conn.Answer())
	}
	return err
}
