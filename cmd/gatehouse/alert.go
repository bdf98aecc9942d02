package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/ops/alert"
)

type alertCommand struct {
	List    alertList    `cmd:"" help:"List alerts, the newest first."`
	Test    alertTest    `cmd:"" help:"Tell a test alert to every channel."`
	Silence alertSilence `cmd:"" help:"Tell nobody of a rule's alerts for a while."`
}

func (alertCommand) Help() string {
	return `What the rules over the event log have found: docs/guides/alerts.md lists them.

Example:
  gatehouse alert list --open`
}

// alertJSON is an alert for programs.
type alertJSON struct {
	ID         string     `json:"id"`
	Rule       string     `json:"rule"`
	RaisedAt   time.Time  `json:"raised_at"`
	ResolvedAt *time.Time `json:"resolved_at"`
	Count      int64      `json:"count"`
	Bound      int64      `json:"bound"`
	What       string     `json:"what"`
	Look       string     `json:"look"`
}

func alerts(o *flow.Operator) *alert.Admin {
	return &alert.Admin{DB: o.DB, Events: o.Events, Now: o.Now}
}

type alertList struct {
	Open  bool `help:"Only those that are not over."`
	Limit int  `default:"50" help:"At most so many."`
	JSON  bool `name:"json" help:"Print JSON, one alert a line."`
}

func (alertList) Help() string {
	return "Each says in a sentence what was found, and which command shows more.\n\nExample:\n  gatehouse alert list --open"
}

// Run lists the alerts.
func (l alertList) Run(ctx context.Context, t *terminal) error {
	if l.Limit < 1 {
		return usageError("--limit is 1 or more.")
	}
	return t.operator(ctx, func(o *flow.Operator) error {
		list, _, silent, err := alerts(o).List(ctx, "", l.Open, l.Limit)
		if err != nil {
			return err
		}
		for _, rule := range slices.Sorted(maps.Keys(silent)) {
			fmt.Fprintf(t.err, "note: %s is silent until %s.\n", rule, day(silent[rule]))
		}
		return l.print(t, list)
	})
}

func (l alertList) print(t *terminal, list []alert.Alert) error {
	if len(list) == 0 && !l.JSON {
		fmt.Fprintln(t.err, "No alerts.")
	}
	for _, a := range list {
		if l.JSON {
			err := t.jsonLine(alertJSON{ID: a.ID, Rule: a.Rule, RaisedAt: a.RaisedAt.UTC(), ResolvedAt: jsonTime(a.ResolvedAt), Count: a.N, Bound: a.Bound, What: a.What, Look: a.Look})
			if err != nil {
				return err
			}
			continue
		}
		state := "open"
		if !a.ResolvedAt.IsZero() {
			state = "over since " + day(a.ResolvedAt)
		}
		fmt.Fprintf(t.out, "%s  %s  %s\n  %s\n  %s\n", day(a.RaisedAt), a.Rule, state, a.What, a.Look)
	}
	return nil
}

type alertTest struct{}

func (alertTest) Help() string {
	return "It goes to wherever alerts are told (ALERT_WEBHOOK_URL, ALERT_MAIL_TO) and is marked as a test.\n\nExample:\n  gatehouse alert test"
}

// Run tells the test alert.
func (alertTest) Run(ctx context.Context, t *terminal) error {
	c, _, err := t.settings()
	if err != nil {
		return err
	}
	send, done, err := app.AlertChannels(c)
	if err != nil {
		return err
	}
	defer done()
	if len(send)+len(c.Alerts.MailTo) == 0 {
		return errors.New("alerts are told nowhere but in the log and in gatehouse alert list. Set ALERT_WEBHOOK_URL or ALERT_MAIL_TO")
	}
	m := alert.Test(now())
	failed := t.mailAlert(ctx, c, m)
	for _, name := range slices.Sorted(maps.Keys(send)) {
		if err := send[name](ctx, m); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", name, err))
			continue
		}
		fmt.Fprintf(t.out, "%s: told.\n", name)
	}
	return failed
}

// mailAlert queues the mails about an alert, if there are any.
func (t *terminal) mailAlert(ctx context.Context, c *config.Config, m alert.Message) error {
	if len(c.Alerts.MailTo) == 0 {
		return nil
	}
	return t.operator(ctx, func(o *flow.Operator) error {
		n, err := o.Notices(ctx)
		if err != nil {
			return err
		}
		mails := app.AlertMails(c, n.Outbox)
		if err := o.DB.Write(ctx, func(tx *db.Tx) error { return mails(tx, m) }); err != nil {
			return err
		}
		_, err = fmt.Fprintf(t.out, "mail: queued for %s. gatehouse mail list tells what becomes of it.\n", strings.Join(c.Alerts.MailTo, ", "))
		return err
	})
}

type alertSilence struct {
	Rule string `arg:"" help:"The rule's name."`
	For  string `placeholder:"TIME" default:"1h" help:"How long: 90m, 24h or 7d; 0 ends it."`
}

func (alertSilence) Help() string {
	names := make([]string, 0, len(alert.Rules))
	for _, r := range alert.Rules {
		names = append(names, r.Name)
	}
	return "Alerts are raised and listed all the same. The rules are " + strings.Join(names, ", ") + ".\n\nExample:\n  gatehouse alert silence registrations --for 24h"
}

// Run silences the rule.
func (s alertSilence) Run(ctx context.Context, t *terminal) error {
	at := now()
	ago, err := moment(s.For, at)
	if s.For == "0" {
		ago, err = at, nil
	}
	if err != nil || ago.After(at) || at.Sub(ago) > 366*24*time.Hour {
		return usageError("--for is how long, a year at most: 90m, 24h, 7d, or 0.")
	}
	until := at.Add(at.Sub(ago))
	return t.operator(ctx, func(o *flow.Operator) error {
		err := alerts(o).Silence(ctx, s.Rule, until, flow.Identity{}.By(), "", "", t.origin())
		if err != nil {
			return err
		}
		if until.Equal(at) {
			_, err = fmt.Fprintf(t.out, "%s is told again.\n", s.Rule)
			return err
		}
		_, err = fmt.Fprintf(t.out, "%s is silent until %s.\n", s.Rule, day(until))
		return err
	})
}

type userCanary struct {
	User   string `arg:"" help:"Its id or its address."`
	Remove bool   `help:"Make it an account like all others."`
}

func (userCanary) Help() string {
	return `An account that nobody has a reason to touch: whoever tries to sign in to it has its address from where they should not have it. Any event of it raises an alert, those of operators apart. Make it with a random password and an address that stands nowhere else.

Example:
  gatehouse user canary trap@example.org`
}

// Run makes the account a canary.
func (u userCanary) Run(ctx context.Context, t *terminal) error {
	return t.operator(ctx, func(o *flow.Operator) error {
		a, err := o.User(ctx, u.User)
		if err != nil {
			return err
		}
		if err := o.DB.Write(ctx, func(tx *db.Tx) error { return alert.SetCanary(tx, a.ID, !u.Remove, now()) }); err != nil {
			return err
		}
		if u.Remove {
			_, err = fmt.Fprintf(t.out, "%s is no canary any more.\n", a.Email)
			return err
		}
		_, err = fmt.Fprintf(t.out, "%s is a canary: whatever touches it raises an alert.\n", a.Email)
		return err
	})
}
