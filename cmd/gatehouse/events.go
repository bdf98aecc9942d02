package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

type eventsCommand struct {
	List   eventsList   `cmd:"" help:"List events, the newest first."`
	Tail   eventsTail   `cmd:"" help:"Print events as they are sealed."`
	Show   eventsShow   `cmd:"" help:"Show one event, with the proof that it is in the log."`
	Verify eventsVerify `cmd:"" help:"Read the whole log, or an export, and tell what was changed."`
	Export eventsExport `cmd:"" help:"Write events to a file, for other programs or for an auditor."`
	Origin eventsOrigin `cmd:"" help:"Show under which key the log is signed, or begin a new origin."`
	Retire eventsRetire `cmd:"" help:"Delete old events. The log still verifies."`
	Erase  eventsErase  `cmd:"" help:"Delete what points at a person. The log still verifies."`
}

func (eventsCommand) Help() string {
	return `What happened, to whom, from where, and how it ended: docs/events.md lists the kinds, docs/guides/events.md tells how the log is kept from being rewritten.

Example:
  gatehouse events list --since 24h --event failed_login_attempt --network 203.0.113.0/24`
}

// eventFilter is which events are wanted.
type eventFilter struct {
	Since   string   `placeholder:"TIME" help:"Only from this time on: 2026-11-24T12:00:00Z, 2026-11-24, or as long ago as 90m, 24h or 7d."`
	Until   string   `placeholder:"TIME" help:"Only before this time."`
	Account string   `placeholder:"USER" help:"Only this account's: its id or its address."`
	Network string   `placeholder:"CIDR" help:"Only from this address or network."`
	Event   []string `placeholder:"KIND" help:"Only this kind; may be repeated."`
	Outcome string   `placeholder:"OUTCOME" help:"Only success or failure."`
}

func (f eventFilter) parse(ctx context.Context, o *flow.Operator) (out event.Filter, err error) {
	now := time.Now()
	if out.Since, err = moment(f.Since, now); err != nil {
		return out, err
	}
	if out.Until, err = moment(f.Until, now); err != nil {
		return out, err
	}
	if f.Network != "" {
		if out.Network, err = network(f.Network); err != nil {
			return out, err
		}
	}
	for _, k := range f.Event {
		if !slices.ContainsFunc(event.Catalogue, func(e event.About) bool { return string(e.Kind) == k }) {
			return out, usageError(fmt.Sprintf("There is no kind of event called %q: docs/events.md lists them.", k))
		}
		out.Kinds = append(out.Kinds, event.Kind(k))
	}
	switch out.Outcome = event.Outcome(f.Outcome); out.Outcome {
	case "", event.Success, event.Failure:
	default:
		return out, usageError("--outcome is success or failure.")
	}
	if f.Account != "" {
		a, err := o.User(ctx, f.Account)
		if err != nil {
			return out, err
		}
		out.Account = a.ID
	}
	return out, nil
}

// moment reads a time, or how long ago it was.
func moment(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		s = days + "h"
		if d, err := time.ParseDuration(s); err == nil && d >= 0 {
			return now.Add(-24 * d), nil
		}
	} else if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, usageError(fmt.Sprintf("%q is no time: write 2026-11-24T12:00:00Z, 2026-11-24, or how long ago: 90m, 24h, 7d.", s))
}

// network reads an address or a network.
func network(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, usageError(fmt.Sprintf("%q is no address and no network: write 203.0.113.7 or 2001:db8::/32.", s))
	}
	return p.Masked(), nil
}

type eventsList struct {
	eventFilter `embed:""`
	Limit       int  `default:"50" help:"At most so many; 0 is all."`
	JSON        bool `name:"json" help:"Print JSON, one event a line."`
}

func (eventsList) Help() string {
	return "Example:\n  gatehouse events list --since 7d --account ada@example.org"
}

// Run lists the events.
func (e eventsList) Run(ctx context.Context, t *terminal) error {
	if e.Limit < 0 {
		return usageError("--limit is 0 or more.")
	}
	return t.operator(ctx, func(o *flow.Operator) error {
		f, err := e.parse(ctx, o)
		if err != nil {
			return err
		}
		if e.JSON {
			return o.EachEvent(ctx, f, e.Limit, func(e event.Entry) error { return t.jsonLine(e.Line()) })
		}
		lines := [][]string{eventHeads}
		err = o.EachEvent(ctx, f, e.Limit, func(e event.Entry) error {
			lines = append(lines, eventCells(e))
			return nil
		})
		if err != nil || len(lines) > 1 {
			return errors.Join(err, t.table(lines))
		}
		fmt.Fprintln(t.err, "No events.")
		return nil
	})
}

var eventHeads = []string{"TIME", "EVENT", "OUTCOME", "ACCOUNT", "ADDRESS", "REASON", "ID"}

// eventCells is an event as a line of a table. None of these cells holds what a
// client wrote.
func eventCells(e event.Entry) []string {
	account := e.Account
	if e.Erased {
		account = "(erased)"
	}
	return []string{day(e.Time), string(e.Kind), string(e.Outcome), account, e.Address, e.Detail.Reason, e.ID}
}

type eventsTail struct {
	JSON bool  `name:"json" help:"Print JSON, one event a line."`
	From int64 `default:"-1" placeholder:"LEAF" help:"Begin with this leaf of the log rather than with what comes."`
}

func (eventsTail) Help() string {
	return "It goes on until it is interrupted. An event shows about a second after it happened.\n\nExample:\n  gatehouse events tail"
}

// Run prints events as they come.
func (e eventsTail) Run(ctx context.Context, t *terminal) error {
	return t.operator(ctx, func(o *flow.Operator) error {
		next := e.From
		if next < 0 {
			h, _, _, err := o.LogHead(ctx, 0)
			if err != nil {
				return err
			}
			next = h.Size
		}
		for {
			page, after, err := o.EventsAfter(ctx, next, 500)
			if err != nil {
				return interrupted(ctx, err)
			}
			for _, s := range page {
				if e.JSON {
					err = t.jsonLine(s.Line())
				} else {
					_, err = fmt.Fprintln(t.out, strings.Join(eventCells(s.Entry), "  "))
				}
				if err != nil {
					return err
				}
			}
			if next = after; len(page) > 0 {
				continue
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(500 * time.Millisecond):
			}
		}
	})
}

// interrupted is nil if the error is only that somebody pressed ^C.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

type eventsShow struct {
	ID   string `arg:"" help:"The event's id."`
	JSON bool   `name:"json" help:"Print JSON."`
}

func (eventsShow) Help() string {
	return "Example:\n  gatehouse events show 0198c0de-0000-7000-8000-000000000001"
}

// Run shows the event.
func (e eventsShow) Run(ctx context.Context, t *terminal) error {
	return t.operator(ctx, func(o *flow.Operator) error {
		s, err := o.Event(ctx, e.ID)
		if err != nil {
			return err
		}
		if e.JSON {
			return t.json(struct {
				event.Line
				Leaf  *int64   `json:"leaf"`
				Hash  string   `json:"hash,omitempty"`
				Proof []string `json:"proof,omitempty"`
				Size  int64    `json:"log_size"`
				Root  string   `json:"log_root"`
			}{s.Line(), leafOf(s), hashOf(s), proofOf(s), s.Head.Size, s.Head.Root.String()})
		}
		lines := [][]string{{"id", s.ID}, {"time", s.Time.UTC().Format(time.RFC3339Nano)}, {"event", string(s.Kind)}, {"outcome", string(s.Outcome)},
			{"account", s.Account}, {"session", s.Session}, {"address", s.Address}, {"device", fmt.Sprintf("%q", s.UserAgent)}, {"request", fmt.Sprintf("%q", s.RequestID)}}
		if s.Leaf < 0 {
			lines = append(lines, []string{"sealed", "not yet"})
		} else {
			lines = append(lines, []string{"sealed", fmt.Sprintf("leaf %d of %d, with a proof of %d hashes (--json)", s.Leaf, s.Head.Size, len(s.Proof))})
		}
		return t.table(lines)
	})
}

func leafOf(s event.Sealed) *int64 {
	if s.Leaf < 0 {
		return nil
	}
	return &s.Leaf
}

func hashOf(s event.Sealed) string {
	if s.Leaf < 0 {
		return ""
	}
	return s.Hash.String()
}

func proofOf(s event.Sealed) (out []string) {
	for _, h := range s.Proof {
		out = append(out, h.String())
	}
	return out
}

type eventsVerify struct {
	Export     string `placeholder:"PATH" help:"Verify this export (events export --sealed) rather than the database; - is standard input."`
	Key        string `placeholder:"KEY" help:"The public key that must have signed the log. Keep it elsewhere: gatehouse events origin prints it."`
	Checkpoint string `placeholder:"PATH" help:"A checkpoint that was kept elsewhere: the log must contain it."`
	From       bool   `help:"Begin at the checkpoint rather than with the first event."`
	JSON       bool   `name:"json" help:"Print JSON."`
}

func (eventsVerify) Help() string {
	return `It names the first event that was changed, removed, added or put elsewhere, and exits with 1. Without a key and a checkpoint that were kept elsewhere it can't find what somebody did who rewrote the whole database, and signed it with the server's own key.

Example:
  gatehouse events verify --checkpoint /mnt/elsewhere/gatehouse.anchor`
}

// errFound makes the command exit with 1.
var errFound = errors.New("the event log was tampered with")

// Run verifies.
func (e eventsVerify) Run(ctx context.Context, t *terminal) error {
	if e.From && e.Checkpoint == "" {
		return usageError("--from needs --checkpoint.")
	}
	if e.Export != "" {
		if e.Checkpoint != "" {
			return usageError("An export carries its own checkpoint: leave out --checkpoint.")
		}
		return e.export(t)
	}
	options := event.VerifyOptions{Key: e.Key, From: e.From}
	if e.Checkpoint != "" {
		text, err := lastCheckpoint(e.Checkpoint)
		if err != nil {
			return err
		}
		options.Checkpoint = text
	}
	return t.operator(ctx, func(o *flow.Operator) error {
		if isTerminal(t.err) && !e.JSON {
			options.Progress = func(read, of int64) { fmt.Fprintf(t.err, "\r%d of %d", read, of) }
			defer fmt.Fprintln(t.err)
		}
		r, err := o.VerifyLog(ctx, options)
		if err != nil {
			return err
		}
		return e.tell(t, r)
	})
}

// lastCheckpoint returns the last checkpoint in a file: EVENT_ANCHOR appends them.
func lastCheckpoint(path string) (string, error) {
	b, err := os.ReadFile(path) //nolint:gosec // the operator names it
	if err != nil {
		return "", fmt.Errorf("the checkpoint can't be read: %w", err)
	}
	return event.LastCheckpoint(string(b)), nil
}

func (e eventsVerify) export(t *terminal) error {
	var in io.Reader = t.in
	if e.Export != "-" {
		f, err := os.Open(e.Export)
		if err != nil {
			return fmt.Errorf("the export can't be read: %w", err)
		}
		defer f.Close()
		in = f
	}
	r, err := event.VerifyExport(in, e.Key)
	if err != nil {
		return err
	}
	return e.tell(t, r)
}

func (e eventsVerify) tell(t *terminal, r event.Report) error {
	if e.JSON {
		if err := t.json(r); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(t.out, "Read %s from leaf %d on; %d lost their personal part and %d were retired, by the rules. %s agree.\n",
			count(int(r.Leaves), "event"), r.From, r.Erased, r.Retired, count(int(r.Checkpoints), "checkpoint"))
		fmt.Fprintf(t.out, "Origin %s, key %s\n", r.Origin, r.Verifier)
		for _, f := range r.Findings {
			fmt.Fprintf(t.out, "%s: %s\n", f.What, f.Text)
		}
	}
	if len(r.Findings) > 0 {
		return errFound
	}
	if !e.JSON {
		fmt.Fprintln(t.out, "The log is as it was sealed.")
	}
	return nil
}

type eventsExport struct {
	eventFilter `embed:""`
	Format      event.Format `default:"jsonl" enum:"jsonl,csv,ecs" help:"jsonl, csv, or ecs (Elastic Common Schema)."`
	Sealed      bool         `help:"Write the log itself, with all that it takes to verify it elsewhere."`
	From        int64        `placeholder:"LEAF" help:"With --sealed: begin with this leaf."`
}

func (eventsExport) Help() string {
	return `It writes to standard output, the newest first; with --sealed in the order of the log.

Examples:
  gatehouse events export --since 30d --format csv >events.csv
  gatehouse events export --sealed >log.jsonl`
}

// Run exports.
func (e eventsExport) Run(ctx context.Context, t *terminal) error {
	if e.Sealed {
		if e.eventFilter.any() || e.Format != event.JSONLines {
			return usageError("--sealed takes no filter and no other format: what is left out can't be verified.")
		}
		return t.operator(ctx, func(o *flow.Operator) error {
			n, err := o.ExportSealed(ctx, e.From, t.out)
			if err == nil {
				fmt.Fprintf(t.err, "Exported %s.\n", count(int(n), "event"))
			}
			return err
		})
	}
	return t.operator(ctx, func(o *flow.Operator) error {
		f, err := e.parse(ctx, o)
		if err != nil {
			return err
		}
		x := event.NewExporter(t.out, e.Format)
		return errors.Join(o.EachEvent(ctx, f, 0, x.Write), x.Close())
	})
}

func (f eventFilter) any() bool {
	return f.Since != "" || f.Until != "" || f.Account != "" || f.Network != "" || f.Outcome != "" || len(f.Event) > 0
}

type eventsOrigin struct {
	New  bool `help:"Take the log as it is for the log from now on, under a new origin."`
	Yes  bool `help:"Do it. Without this it only says what it would do."`
	JSON bool `name:"json" help:"Print JSON."`
}

func (eventsOrigin) Help() string {
	return `Keep the public key and the newest checkpoint somewhere else: with both, nobody can rewrite the log unseen.

A new origin is for a log that contradicts what was signed, as after a restored backup. Find out why first: gatehouse events verify. The first event after it names the last checkpoint before it.

Example:
  gatehouse events origin`
}

// Run shows the origins, or begins one.
func (e eventsOrigin) Run(ctx context.Context, t *terminal) error {
	c, _, err := t.settings()
	if err != nil {
		return err
	}
	return t.operator(ctx, func(o *flow.Operator) error {
		head, origins, list, err := o.LogHead(ctx, 1)
		if err != nil {
			return err
		}
		if e.New {
			if !e.Yes {
				_, err := fmt.Fprintf(t.out, "This would take the %s in the log for the whole log, whatever was signed before. Say --yes to do it.\n", count(int(head.Size), "event"))
				return err
			}
			key, err := app.EventKey(c)
			if err != nil {
				return err
			}
			made, err := o.RestartLog(ctx, key, t.origin())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(t.out, "Began the origin %s with the key\n%s\n", made.Name, made.Verifier)
			return err
		}
		if e.JSON {
			return t.json(newOriginsJSON(head, origins, list))
		}
		if len(origins) == 0 {
			fmt.Fprintln(t.err, "Nothing is signed yet: start the server first.")
			return nil
		}
		last := origins[len(origins)-1]
		fmt.Fprintf(t.out, "origin  %s\nkey     %s\nsealed  %s\n", last.Name, last.Verifier, count(int(head.Size), "event"))
		for _, c := range list {
			fmt.Fprintf(t.out, "\nThe newest checkpoint, of %s:\n%s", day(c.Time), c.Note)
		}
		return nil
	})
}

// originsJSON is how the log is signed, for programs.
type originsJSON struct {
	Size       int64        `json:"size"`
	Root       string       `json:"root"`
	Origins    []originJSON `json:"origins"`
	Checkpoint string       `json:"checkpoint,omitempty"`
}

type originJSON struct {
	Name  string    `json:"origin"`
	Key   string    `json:"key"`
	Size  int64     `json:"size"`
	Since time.Time `json:"since"`
}

func newOriginsJSON(h event.Head, origins []event.LogOrigin, list []event.Checkpoint) originsJSON {
	out := originsJSON{Size: h.Size, Root: h.Root.String(), Origins: []originJSON{}}
	for _, o := range origins {
		out.Origins = append(out.Origins, originJSON{o.Name, o.Verifier, o.Size, o.Time})
	}
	if len(list) > 0 {
		out.Checkpoint = list[0].Note
	}
	return out
}

type eventsRetire struct {
	Before string `required:"" placeholder:"TIME" help:"Delete the events before this time: 2026-08-01, or as long ago as 90d. At least 30 days."`
	Yes    bool   `help:"Do it. Without this it only says what it would do."`
}

func (eventsRetire) Help() string {
	return "Example:\n  gatehouse events retire --before 90d --yes"
}

// Run deletes the events, or says how many it would.
func (e eventsRetire) Run(ctx context.Context, t *terminal) error {
	before, err := moment(e.Before, time.Now())
	if err != nil {
		return err
	}
	return t.operator(ctx, func(o *flow.Operator) error {
		until, n, err := o.Retirable(ctx, before)
		if err != nil {
			return err
		}
		if !e.Yes {
			_, err := fmt.Fprintf(t.out, "This would delete %s from before %s. Say --yes to do it.\n", count(int(n), "event"), day(before))
			return err
		}
		if n > 0 {
			if n, err = o.RetireEvents(ctx, until); err != nil {
				return err
			}
		}
		_, err = fmt.Fprintf(t.out, "Deleted %s from before %s. Their hashes stay in the log.\n", count(int(n), "event"), day(before))
		return err
	})
}

type eventsErase struct {
	User string `arg:"" help:"The account's id or address; of an account that is gone, its id."`
	Yes  bool   `help:"Do it. Without this it only says what it would do."`
}

func (eventsErase) Help() string {
	return `The account itself is not touched. What happened stays in the log, without who, from where, and on which device.

Example:
  gatehouse events erase --yes ada@example.org`
}

// Run erases, or says what it would.
func (e eventsErase) Run(ctx context.Context, t *terminal) error {
	if !e.Yes {
		_, err := fmt.Fprintf(t.out, "This would delete what points at %s in all events, for good. Say --yes to do it.\n", e.User)
		return err
	}
	return t.operator(ctx, func(o *flow.Operator) error {
		n, err := o.EraseEvents(ctx, e.User, t.origin())
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(t.out, "Erased %s from %s.\n", e.User, count(n, "event"))
		return err
	})
}
