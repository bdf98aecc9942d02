package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/mail"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

type mailCommand struct {
	List  mailList  `cmd:"" help:"List mails, the newest first."`
	Retry mailRetry `cmd:"" help:"Send failed mails again, or a queued one at once."`
	Test  mailTest  `cmd:"" help:"Send a test mail now, and show what the mail server answers."`
}

func (mailCommand) Help() string {
	return `docs/guides/mail.md explains how mails are delivered, and when Gatehouse gives up on one.

Example:
  gatehouse mail list --dead`
}

type mailList struct {
	Dead  bool `help:"Only mails that failed for good and can be retried."`
	Limit int  `default:"50" help:"Show at most this many."`
	JSON  bool `name:"json" help:"Print JSON, one mail per line."`
}

func (mailList) Help() string {
	return `A mail is waiting, sent, dead (delivery failed for good), or expired (its link expired before it could be sent). Its text is not shown.

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
func (m mailList) Run(ctx context.Context, t *terminal.Terminal) error {
	if m.Limit < 1 {
		return terminal.UsageError("--limit must be 1 or more.")
	}
	return t.Operator(ctx, func(o *operate.Operator) error {
		list, err := o.Mails(ctx, m.Dead, m.Limit)
		if err != nil {
			return err
		}
		lines := [][]string{{"ID", "KIND", "STATE", "TO", "QUEUED", "NEXT TRY", "TRIES", "ERROR"}}
		for _, e := range list {
			if m.JSON {
				err := t.JSONLine(mailJSON{
					e.ID, e.Kind, e.State(), e.Account, e.To, e.QueuedAt.UTC(),
					terminal.JSONTime(e.DueAt), terminal.JSONTime(e.SentAt), terminal.JSONTime(e.DeadAt), e.Tries, e.Error,
				})
				if err != nil {
					return err
				}
			}
			lines = append(lines, []string{e.ID, e.Kind, e.State(), e.To, terminal.Time(e.QueuedAt), terminal.Time(e.DueAt), fmt.Sprint(e.Tries), e.Error})
		}
		switch {
		case m.JSON:
			return nil
		case len(list) == 0:
			fmt.Fprintln(t.Err, "No mails.")
			return nil
		}
		return t.Table(lines)
	})
}

type mailRetry struct {
	ID   string `arg:"" optional:"" help:"The mail's id."`
	Dead bool   `help:"All mails that failed for good."`
}

func (mailRetry) Help() string {
	return `A running server sends them within seconds, with the full number of attempts.

Example:
  gatehouse mail retry --dead`
}

// Run makes the mails due.
func (m mailRetry) Run(ctx context.Context, t *terminal.Terminal) error {
	if m.Dead == (m.ID != "") {
		return terminal.UsageError("Name a mail by its id, or use --dead for all that failed for good.")
	}
	return t.Operator(ctx, func(o *operate.Operator) error {
		n := int64(1)
		var err error
		if m.Dead {
			n, err = o.RetryDeadMails(ctx, t.Origin())
		} else {
			err = o.RetryMail(ctx, m.ID, t.Origin())
		}
		if err == nil {
			_, err = fmt.Fprintf(t.Out, "%s will be sent now.\n", terminal.Count(int(n), "mail"))
		}
		return err
	})
}

type mailTest struct {
	Address string `arg:"" help:"The address to send it to."`
}

func (mailTest) Help() string {
	return `It is sent to SMTP_URL from MAIL_FROM directly, without the outbox, and needs no database.

Example:
  gatehouse mail test you@acme.com`
}

// mailTestTime is how long the test waits for each phase.
const mailTestTime = time.Minute

// errNoServer is for a test without a server.
var errNoServer = errors.New("SMTP_URL is not set: there is no mail server to test")

// Run sends the mail.
func (m mailTest) Run(ctx context.Context, t *terminal.Terminal) error {
	c, _, err := t.Settings()
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
		Text: "This is a test mail from an operator of " + c.PublicURL + ". You don't need to do anything.\n",
	})
	if err == nil {
		_, err = fmt.Fprintf(t.Out, "The mail server accepted it, from %s. It answered: %s\n", c.MailFrom, conn.Answer())
	}
	return err
}
