package console

import (
	"net/http"
	"strconv"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/ops/retention"
)

// shownRuns is how many of the last runs and pauses are shown.
const shownRuns = 10

// retention is what is kept for how long, what has gone, and on demand what is due.
func (c *Console) retention(d *desk) error {
	v := d.v
	st, err := c.Retention.Standing(d.r.Context())
	if err != nil {
		return err
	}
	var due []retention.Due
	if d.query().Get("due") != "" {
		if due, err = c.Retention.Glance(d.r.Context(), retention.GlanceFor); err != nil {
			return err
		}
	}
	runs, _, err := c.Audit.Search(d.r.Context(), event.Filter{
		Kinds: []event.Kind{event.RetentionRun, event.RetentionPaused, event.RetentionResumed},
	}, shownRuns)
	if err != nil {
		return err
	}
	p := listPage{Title: v.T("desk.retention"), Sub: v.H("retention.text"), Done: d.said()}
	p.Actions = []ui.Link{{Href: "/admin/retention?due=1", Text: v.T("retention.count"), Main: true}}
	if d.rules() {
		if st.Hold != nil || st.Brake != "" || st.Wait.After(d.Now()) {
			p.Actions = append(p.Actions, ui.Link{Href: "/admin/retention/resume", Text: v.T("retention.resume")})
		}
		p.Form = &smallForm{
			ID: "h-pause", Title: v.T("retention.pause"), Action: "/admin/retention/pause", Method: "get", Button: v.T("blocks.preview"),
			Fields: []ui.Part{{Name: "reason", ID: "reason", Label: v.T("ask.reason"), Required: true, Max: 200}},
			Selects: []ui.Part{{Name: "for", ID: "for", Label: v.T("blocks.for"), Options: options("30", "7", v.T("time.days", "n", 7), "30",
				v.T("time.days", "n", 30), "90", v.T("time.days", "n", 90), "365", v.T("time.days", "n", 365))}},
		}
	}
	p.Cards = []card{d.retentionState(st), d.retentionKinds(st, due), d.retentionRuns(runs)}
	return d.show("list", "/admin/retention", p)
}

// retentionState is whether things are deleted, and why not.
func (d *desk) retentionState(st retention.Standing) card {
	v := d.v
	t := &ui.Table{Caption: v.T("people.state"), Columns: columns(v.T("people.state"), "", v.T("blocks.until"), "keep", v.T("blocks.why"), "")}
	row := func(level, tag string, until time.Time, why ui.Cell) {
		when := ui.Cell{Text: "–", Class: "keep"}
		if !until.IsZero() {
			when.Text = d.clock(until)
		}
		t.Rows = append(t.Rows, ui.Row{Cells: []ui.Cell{{Tag: tag, Level: level, Text: ""}, when, why}})
	}
	if h := st.Hold; h != nil {
		why := ui.Cell{Text: h.Reason, Small: h.By}
		if isID(h.By) {
			why.Href = "/admin/people/" + h.By
		}
		row("warn", v.T("retention.paused"), h.Until, why)
	}
	if st.Wait.After(d.Now()) {
		row("warn", v.T("retention.waits"), st.Wait, ui.Cell{Text: v.T("retention.waits-text")})
	}
	switch st.Brake {
	case "late":
		row("warn", v.T("retention.braked"), time.Time{}, ui.Cell{Text: v.T("retention.late")})
	case "many":
		row("warn", v.T("retention.braked"), time.Time{}, ui.Cell{Text: v.T("retention.many")})
	}
	if st.Failures > 0 {
		row("bad", v.T("retention.fails"), time.Time{}, ui.Cell{Text: st.Error})
	}
	if len(t.Rows) == 0 {
		row("good", v.T("retention.runs-hourly"), time.Time{}, ui.Cell{Text: "–"})
	}
	last := v.T("desk.never")
	if !st.Ran.IsZero() {
		last = st.Ran.UTC().Format("2006-01-02 15:04")
	}
	return card{ID: "state", Title: v.T("people.state"), Table: t, Note: v.T("retention.last", "time", last)}
}

// retentionKinds is what goes by which rule.
func (d *desk) retentionKinds(st retention.Standing, due []retention.Due) card {
	v := d.v
	t := &ui.Table{Caption: v.T("retention.kinds"), Columns: columns(v.T("mail.kind"), "", v.T("retention.kept"), "num", v.T("retention.deleted"), "num opt")}
	if due != nil {
		t.Columns = append(t.Columns, columns(v.T("retention.due"), "num", v.T("retention.oldest"), "keep opt2")...)
	}
	last := map[string]int64{}
	for _, one := range st.Deleted {
		last[one.Kind] = one.Count
	}
	for i, kind := range d.Retention.Rules() {
		cells := []ui.Cell{
			{Text: kind.Name, Code: true, Small: kind.Line}, {Text: v.T("time.days", "n", int(kind.Kept/(24*time.Hour))), Class: "num"},
			{Text: v.L.Number(last[kind.Name]), Class: "num opt"},
		}
		if due != nil && i < len(due) {
			count := v.L.Number(due[i].Count)
			if due[i].More {
				count = v.T("retention.at-least", "n", due[i].Count)
			}
			cells = append(cells, ui.Cell{Text: count, Class: "num"}, ui.Cell{Text: d.clock(due[i].Oldest), Class: "keep opt2"})
		}
		t.Rows = append(t.Rows, ui.Row{Cells: cells})
	}
	return card{ID: "kinds", Title: v.T("retention.kinds"), Table: t}
}

// retentionRuns is what was deleted, paused and resumed of late.
func (d *desk) retentionRuns(list []event.Entry) card {
	v := d.v
	out := card{ID: "runs", Title: v.T("retention.log")}
	if len(list) == 0 {
		out.Empty = &emptyList{"log", v.T("retention.none"), v.T("retention.none-text"), "", ""}
		return out
	}
	out.Table = &ui.Table{Caption: v.T("retention.log"), Columns: columns(v.T("retention.when"), "keep", v.T("retention.what"), "",
		v.T("retention.deleted"), "num", v.T("blocks.why"), "opt")}
	for _, e := range list {
		count := "–"
		if e.Kind == event.RetentionRun {
			count = v.L.Number(e.Detail.Count)
		}
		out.Table.Rows = append(out.Table.Rows, ui.Row{Cells: []ui.Cell{
			{Text: d.clock(e.Time), Href: "/admin/events/" + e.ID, Class: "keep"}, {Text: string(e.Kind), Code: true, Small: e.Detail.By},
			{Text: count, Class: "num"}, {Text: e.Detail.Why, Class: "opt"},
		}})
	}
	return out
}

// pauseDays reads for how long, in days.
func pauseDays(s string) int {
	if n, err := strconv.Atoi(s); err == nil && n > 0 && n <= 365 {
		return n
	}
	return 30
}

func (c *Console) askPause(d *desk) error {
	q := d.query()
	return d.pausing(http.StatusOK, q.Get("for"), q.Get("reason"))
}

func (d *desk) pausing(status int, days, reason string) error {
	v, n := d.v, pauseDays(days)
	return d.asks(status, "/admin/retention", operate.Changes, ui.Ask{
		Title: v.T("retention.ask-pause", "n", n), Text: v.H("retention.ask-pause-text"), Action: "/admin/retention/pause", Cancel: "/admin/retention",
		Button: v.T("retention.pause-button"), Hidden: map[string]string{"for": strconv.Itoa(n), "reason": reason}, Stays: []string{v.T("retention.pause-stays")},
	})
}

func (c *Console) doPause(d *desk) error {
	until := d.Now().Add(time.Duration(pauseDays(d.in["for"])) * 24 * time.Hour)
	if err := c.Retention.Pause(d.r.Context(), until, d.in["reason"], retention.Administrator(d.who, "", web.Origin(d.r))); err != nil {
		return d.again(err, func(status int) error { return d.pausing(status, d.in["for"], d.in["reason"]) })
	}
	return d.done("/admin/retention", operate.ActPause)
}

func (c *Console) askResume(d *desk) error { return d.resuming(http.StatusOK) }

func (d *desk) resuming(status int) error {
	v := d.v
	return d.asks(status, "/admin/retention", operate.Changes, ui.Ask{
		Title: v.T("retention.ask-resume"), Text: v.H("retention.ask-resume-text"), Action: "/admin/retention/resume", Cancel: "/admin/retention",
		Button: v.T("retention.resume"), Reason: true, Danger: true,
	})
}

func (c *Console) doResume(d *desk) error {
	if err := c.Retention.Resume(d.r.Context(), retention.Administrator(d.who, d.in["reason"], web.Origin(d.r))); err != nil {
		return d.again(err, d.resuming)
	}
	return d.done("/admin/retention", operate.ActResume)
}
