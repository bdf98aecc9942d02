package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/ops/alert"
)

type alertCommand struct {
	List    alertList    `cmd:"" help:"List alerts, the newest first."`
	Test    alertTest    `cmd:"" help:"Send a test alert to every channel."`
	Silence alertSilence `cmd:"" help:"Mute a rule's notifications for a while."`
}

func (alertCommand) Help() string {
	return `Alerts are raised by rules that watch the event log. docs/guides/alerts.md lists the rules.

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

func alerts(o *operate.Operator) *alert.Admin {
	return &alert.Admin{DB: o.DB, Events: o.Events, Now: o.Now}
}

type alertList struct {
	Open  bool `help:"Only alerts that are still open."`
	Limit int  `default:"50" help:"Show at most this many."`
	JSON  bool `name:"json" help:"Print JSON, one alert a line."`
}

func (alertList) Help() string {
	return "Each alert says in one sentence what was found, and which command shows more.\n\nExample:\n  gatehouse alert list --open"
}

// Run lists the alerts.
func (l alertList) Run(ctx context.Context, t *terminal.Terminal) error {
	if l.Limit < 1 {
		return terminal.UsageError("--limit is 1 or more.")
	}
	return t.Operator(ctx, func(o *operate.Operator) error {
		list, _, silent, err := alerts(o).List(ctx, "", l.Open, l.Limit)
		if err != nil {
			return err
		}
		for _, rule := range slices.Sorted(maps.Keys(silent)) {
			fmt.Fprintf(t.Err, "note: %s is silenced until %s.\n", rule, terminal.Time(silent[rule]))
		}
		return l.print(t, list)
	})
}

func (l alertList) print(t *terminal.Terminal, list []alert.Alert) error {
	if len(list) == 0 && !l.JSON {
		fmt.Fprintln(t.Err, "No alerts.")
	}
	for _, a := range list {
		if l.JSON {
			err := t.JSONLine(alertJSON{
				ID: a.ID, Rule: a.Rule, RaisedAt: a.RaisedAt.UTC(), ResolvedAt: terminal.JSONTime(a.ResolvedAt),
				Count: a.N, Bound: a.Bound, What: a.What, Look: a.Look,
			})
			if err != nil {
				return err
			}
			continue
		}
		state := "open"
		if !a.ResolvedAt.IsZero() {
			state = "resolved " + terminal.Time(a.ResolvedAt)
		}
		fmt.Fprintf(t.Out, "%s  %s  %s\n  %s\n  %s\n", terminal.Time(a.RaisedAt), a.Rule, state, a.What, a.Look)
	}
	return nil
}

type alertTest struct{}

func (alertTest) Help() string {
	return "It goes to every channel that alerts are sent to (ALERT_WEBHOOK_URL, ALERT_MAIL_TO) and is marked as a test.\n\nExample:\n  gatehouse alert test"
}

// Run sends the test alert.
func (alertTest) Run(ctx context.Context, t *terminal.Terminal) error {
	c, _, err := t.Settings()
	if err != nil {
		return err
	}
	send, done, err := app.AlertChannels(c)
	if err != nil {
		return err
	}
	defer done()
	if len(send)+len(c.Alerts.MailTo) == 0 {
		return errors.New("no channel is configured, so alerts show up only in the log and in gatehouse alert list. Set ALERT_WEBHOOK_URL or ALERT_MAIL_TO")
	}
	m := alert.Test(time.Now())
	failed := mailAlert(ctx, t, c, m)
	for _, name := range slices.Sorted(maps.Keys(send)) {
		if err := send[name](ctx, m); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", name, err))
			continue
		}
		fmt.Fprintf(t.Out, "%s: sent.\n", name)
	}
	return failed
}

// mailAlert queues the mails about an alert, if there are any.
func mailAlert(ctx context.Context, t *terminal.Terminal, c *config.Config, m alert.Message) error {
	if len(c.Alerts.MailTo) == 0 {
		return nil
	}
	return t.Operator(ctx, func(o *operate.Operator) error {
		n, err := o.Notices(ctx)
		if err != nil {
			return err
		}
		mails := app.AlertMails(c, n.Outbox)
		if err := o.DB.Write(ctx, func(tx *db.Tx) error { return mails(tx, m) }); err != nil {
			return err
		}
		_, err = fmt.Fprintf(t.Out, "mail: queued for %s. Follow it with gatehouse mail list.\n", strings.Join(c.Alerts.MailTo, ", "))
		return err
	})
}

type alertSilence struct {
	Rule string `arg:"" help:"The rule's name."`
	For  string `placeholder:"TIME" default:"1h" help:"How long: 90m, 24h or 7d; 0 ends the silence."`
}

func (alertSilence) Help() string {
	names := make([]string, 0, len(alert.Rules))
	for _, r := range alert.Rules {
		names = append(names, r.Name)
	}
	return "Alerts are still raised and listed, but nobody is notified. The rules are " + strings.Join(names, ", ") + `.

Example:
  gatehouse alert silence registrations --for 24h`
}

// Run silences the rule.
func (s alertSilence) Run(ctx context.Context, t *terminal.Terminal) error {
	lasts, ok := terminal.Duration(s.For, 366*24*time.Hour)
	if !ok {
		return terminal.UsageError("--for must be a duration of at most a year, such as 90m, 24h or 7d, or 0.")
	}
	until := time.Now().Add(lasts)
	return t.Operator(ctx, func(o *operate.Operator) error {
		err := alerts(o).Silence(ctx, s.Rule, until, flow.Identity{}.By(), "", "", t.Origin())
		if err != nil {
			return err
		}
		if lasts == 0 {
			_, err = fmt.Fprintf(t.Out, "%s is no longer silenced.\n", s.Rule)
			return err
		}
		_, err = fmt.Fprintf(t.Out, "%s is silenced until %s.\n", s.Rule, terminal.Time(until))
		return err
	})
}
