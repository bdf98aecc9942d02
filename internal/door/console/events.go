package console

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

// kinds are all kinds of events, as a select has them.
func kinds() (out []string) {
	for _, a := range event.Catalogue {
		out = append(out, string(a.Kind), string(a.Kind))
	}
	return out
}

// eventFilter reads the filters of the address. What can't be read filters nothing, and
// is told.
func (d *desk) eventFilter() (f event.Filter) {
	q := d.query()
	if k := event.Kind(q.Get("event")); slices.Contains(kinds(), string(k)) {
		f.Kinds = []event.Kind{k}
	}
	if o := event.Outcome(q.Get("outcome")); o == event.Success || o == event.Failure {
		f.Outcome = o
	}
	if s := q.Get("account"); isID(s) {
		f.Account = s
	}
	if s := strings.TrimSpace(q.Get("network")); s != "" {
		n, err := parseNetwork(s)
		if err != nil {
			_, d.v.Problem = d.problem(err)
			d.v.Problem.Field = ""
		}
		f.Network = n
	}
	if s := q.Get("cursor"); isID(s) {
		f.Before = s
	}
	return f
}

// events is the log, newest first.
func (c *Console) events(d *desk) error {
	f := d.eventFilter()
	found, next, err := c.Audit.Search(d.r.Context(), f, pageSize)
	if err != nil {
		return err
	}
	v, q := d.v, d.query()
	p := listPage{Title: v.T("desk.events"), Sub: v.H("events.text"), Live: "", Done: d.said()}
	export := "/v1/admin/events/export"
	if clean := cleaned(q, "event", "outcome", "account", "network"); clean != "" {
		export += "?" + clean
	}
	p.Actions = []ui.Link{{Href: export, Text: v.T("events.export")}}
	chosen := ""
	if len(f.Kinds) == 1 {
		chosen = string(f.Kinds[0])
	}
	p.Filter = &filterForm{
		Action: "/admin/events", Q: q.Get("network"), QLabel: v.T("events.network"), Button: v.T("desk.apply"),
		Selects: []selectField{
			{"event", v.T("events.kind"), options(chosen, append([]string{"", v.T("events.any")}, kinds()...)...)},
			{"outcome", v.T("events.outcome"), options(string(f.Outcome), "", v.T("events.any-outcome"), "success", "success", "failure", "failure")},
		},
	}
	if f.Account != "" {
		p.Filter.Hidden = [][2]string{{"account", f.Account}}
	}
	list := card{ID: "list", Title: v.T("events.list")}
	if len(found) == 0 {
		list.Empty = &emptyList{"log", v.T("events.none"), v.T("events.none-text"), "/admin/events", v.T("events.all")}
	} else {
		list.Table = &ui.Table{Caption: v.T("events.list"), Columns: d.eventColumns()}
		for _, e := range found {
			list.Table.Rows = append(list.Table.Rows, ui.Row{Cells: d.eventCells(e)})
		}
	}
	p.Cards = []card{list}
	p.Pager = &ui.Pager{Text: v.T("desk.shown", "n", len(found))}
	if next != "" {
		p.Pager.Older = with("/admin/events", q, "cursor", next)
	}
	if f.Before != "" {
		p.Pager.Newer = with("/admin/events", q, "cursor", "")
	} else if len(found) > 0 {
		p.Live, p.LiveText, p.PauseText = with("/admin/events/live", q, "from", "now"), v.T("events.live"), v.T("events.paused")
	}
	return d.show("list", "/admin/events", p)
}

func cleaned(q url.Values, names ...string) string {
	out := url.Values{}
	for _, n := range names {
		if s := q.Get(n); s != "" {
			out.Set(n, s)
		}
	}
	return out.Encode()
}

func (d *desk) eventColumns() []ui.Column {
	v := d.v
	return columns(v.T("events.time"), "", v.T("events.kind"), "", v.T("events.outcome"), "opt2", v.T("events.who"), "opt2", v.T("desk.network"), "",
		v.T("events.what"), "opt")
}

func (d *desk) eventCells(e event.Entry) []ui.Cell {
	who := ui.Cell{Text: "–", Class: "opt2"}
	if e.Account != "" {
		who = ui.Cell{Text: e.Account[:min(len(e.Account), 13)] + "…", Href: "/admin/people/" + e.Account, Code: true, Class: "opt2"}
	}
	said := what(e)
	if e.Detail.Count > 0 {
		said = strings.TrimPrefix(said+" · "+d.v.L.Number(e.Detail.Count), " · ")
	}
	outcome := ui.Cell{Text: "", Class: "opt2"}
	if e.Outcome == event.Failure {
		outcome = ui.Cell{Tag: string(e.Outcome), Level: "bad", Text: "", Class: "opt2"}
	}
	return []ui.Cell{
		{Text: d.moment(e.Time), Href: "/admin/events/" + e.ID}, {Text: string(e.Kind), Code: true}, outcome, who, networkCell(e.Address, ""), {Text: said,
			Class: "opt"},
	}
}

// moment is a time to the second.
func (d *desk) moment(t time.Time) any { return d.v.Stamp(t, "2006-01-02 15:04:05") }

// liveMost is how long a page follows the log before it asks anew, and liveStep how
// often it looks.
const (
	liveMost = 25 * time.Second
	liveStep = time.Second
)

// live sends new events as they are sealed, as rows of the table: server-sent events.
// Browsers that lose the line come again, and say where they were.
func (c *Console) live(d *desk) error {
	f := d.eventFilter()
	if len(f.Kinds) == 0 && d.query().Get("event") != "" {
		return fault.Field("event", "invalid_event", "There is no such kind of event.")
	}
	leaf := int64(-1)
	if _, err := fmt.Sscan(d.r.Header.Get("Last-Event-ID"), &leaf); err != nil {
		leaf = -1
	}
	_, leaf, err := c.Audit.Tail(d.r.Context(), leaf, 0)
	if err != nil {
		return err
	}
	h := d.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	ctx, cancel := web.Patient(d.w, d.r, liveMost)
	defer cancel()
	out, deadline := http.NewResponseController(d.w), time.Now().Add(liveMost)
	if _, err := fmt.Fprintf(d.w, "retry: 1000\nid: %d\n\n", leaf); err != nil || out.Flush() != nil {
		return nil
	}
	tick := time.NewTicker(liveStep)
	defer tick.Stop()
	for time.Now().Before(deadline) {
		select {
		case <-ctx.Done():
			return nil
		case <-c.Stopping:
			return nil
		case <-tick.C:
		}
		page, next, err := c.Audit.Tail(ctx, leaf, 100)
		if err != nil {
			return nil // the browser comes again
		}
		for _, s := range page {
			if !passes(f, s.Entry) {
				continue
			}
			row, err := d.pages.Piece(d.v, "rows", []ui.Row{{Cells: d.eventCells(s.Entry), Fresh: true}})
			if err != nil {
				return nil
			}
			if _, err := fmt.Fprintf(d.w, "id: %d\ndata: %s\n\n", s.Leaf+1, strings.ReplaceAll(string(row), "\n", " ")); err != nil {
				return nil
			}
		}
		if next != leaf && out.Flush() != nil {
			return nil
		}
		leaf = next
	}
	return nil
}

// passes reports whether an event is one of those that are shown.
func passes(f event.Filter, e event.Entry) bool {
	if len(f.Kinds) > 0 && !slices.Contains(f.Kinds, e.Kind) || f.Outcome != "" && e.Outcome != f.Outcome || f.Account != "" && e.Account != f.Account {
		return false
	}
	if !f.Network.IsValid() {
		return true
	}
	n, err := parseNetwork(e.Address)
	return err == nil && f.Network.Contains(n.Addr())
}

// eventPage is one event, with its proof.
type eventPage struct {
	event.Sealed
	When   any
	Raw    string
	Proof  []string
	Facts  []fact
	Person string // the link
}

// event is one event.
func (c *Console) event(d *desk) error {
	s, err := c.Audit.Show(d.r.Context(), d.r.PathValue("id"))
	if err != nil {
		return err
	}
	v := d.v
	p := eventPage{Sealed: s, When: d.moment(s.Time), Raw: raw(s.Entry)}
	if s.Account != "" {
		p.Person = "/admin/people/" + s.Account
	}
	if s.Leaf >= 0 {
		for _, h := range s.Proof {
			p.Proof = append(p.Proof, h.String())
		}
		p.Facts = []fact{
			{v.T("event.leaf"), v.L.Number(s.Leaf)}, {v.T("event.hash"), s.Hash.String()}, {v.T("event.size"), v.L.Number(s.Head.Size)}, {v.T("event.root"),
				s.Head.Root.String()},
		}
	}
	return d.show("event", "/admin/events", p)
}
