package console

import (
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// overviewPage is how the service fares.
type overviewPage struct {
	Done     string
	Sub      string
	Segments []segment
	Charts   []ui.Chart
	Note     string // where there is nothing to compare with yet
	Figures  *ui.Table
	Alerts   *ui.Table
	Jobs     *ui.Table
	Health   []fact
	Latest   *ui.Table
	End      bool // whether sessions of everybody may be ended here
}

func (c *Console) overview(d *desk) error {
	v := d.v
	span, err := operate.SpanOf(d.query().Get("range"))
	if err != nil {
		span = operate.Spans()[0]
	}
	f, err := c.Operations.Overview.Figures(d.r.Context(), span)
	if err != nil {
		return err
	}
	p := overviewPage{Done: d.said(), End: d.rules(), Sub: v.T("overview.text")}
	p.Segments = []segment{
		{"/admin", v.T("overview.day"), span.Name == "24h"}, {"/admin?range=7d", v.T("overview.week"), span.Name == "7d"},
		{"/admin?range=30d", v.T("overview.month"), span.Name == "30d"},
	}
	compares := true
	for _, curve := range f.Curves {
		if curve.Name == event.FigureBlocked || curve.Name == event.FigureAccounts {
			if curve.Name == event.FigureAccounts && curve.Total > 0 {
				p.Sub = v.T("overview.accounts", "n", curve.Total)
			}
			continue
		}
		compares = compares && curve.Compares
		p.Charts = append(p.Charts, d.chart(f, curve))
	}
	if !compares {
		p.Note = v.T("overview.no-week")
	}
	p.Figures = d.figures(f)
	if err := d.beside(&p); err != nil {
		return err
	}
	return d.show("overview", "/admin", p)
}

// names are the figures in words.
func (d *desk) name(figure string) string {
	v := d.v
	switch figure {
	case event.FigureSignIns:
		return v.T("figure.sign-ins")
	case event.FigureFailures:
		return v.T("figure.failures")
	case event.FigureRegistrations:
		return v.T("figure.registrations")
	case event.FigureRefreshes:
		return v.T("figure.refreshes")
	case event.FigureLimits:
		return v.T("figure.limits")
	}
	return v.T("figure.sessions")
}

// hot is how many times last week's a bad figure is to be marked.
const hot = 3

func (d *desk) chart(f operate.Figures, c operate.Curve) ui.Chart {
	v := d.v
	out := ui.Chart{Title: d.name(c.Name), Figure: v.L.Number(c.Total), Level: c.Level, Now: floats(c.Points), To: v.T("overview.now")}
	out.From, out.Middle = axis(f.From, f.Span), axis(f.From.Add(time.Duration(f.Span.Hours/2)*time.Hour), f.Span)
	if c.Compares {
		out.Before = floats(c.Was)
		switch {
		case c.WasTotal == 0:
			out.Change = v.T("overview.was", "n", c.WasTotal)
		case (c.Name == event.FigureFailures || c.Name == event.FigureLimits) && c.Total >= hot*c.WasTotal:
			out.Change, out.Hot = v.T("overview.times", "n", c.Total/c.WasTotal), true
		default:
			change := float64(c.Total-c.WasTotal) / float64(c.WasTotal) * 100
			out.Change = v.T("overview.change", "change", fmt.Sprintf("%+.0f %%", change))
		}
	}
	out.Label = v.T("overview.label", "name", out.Title, "figure", out.Figure, "change", out.Change)
	return out
}

func floats(list []int64) (out []float64) {
	for _, n := range list {
		out = append(out, float64(n))
	}
	return out
}

// axis is a time under a chart.
func axis(t time.Time, s operate.Span) string {
	if s.Hours <= 24 {
		return t.UTC().Format("15:04")
	}
	return t.UTC().Format("01-02")
}

// figures are the curves as a table, in twelve rows at the most.
func (d *desk) figures(f operate.Figures) *ui.Table {
	v := d.v
	t := &ui.Table{Caption: v.T("overview.table"), Columns: columns(v.T("overview.from"), "")}
	var shown []operate.Curve
	for _, c := range f.Curves {
		if c.Name != event.FigureBlocked && c.Name != event.FigureAccounts {
			shown = append(shown, c)
			t.Columns = append(t.Columns, ui.Column{Text: d.name(c.Name), Class: "num"})
		}
	}
	if len(shown) == 0 {
		return t
	}
	n := len(shown[0].Points)
	step := max(1, (n+11)/12)
	for at := 0; at < n; at += step {
		from := f.From.Add(time.Duration(int64(at)*f.Span.Step) * time.Hour)
		row := ui.Row{Cells: []ui.Cell{{Text: from.UTC().Format("01-02 15:04")}}}
		for _, c := range shown {
			var sum int64
			for i := at; i < min(at+step, n); i++ {
				if c.Level {
					sum = c.Points[i]
				} else {
					sum += c.Points[i]
				}
			}
			row.Cells = append(row.Cells, ui.Cell{Text: v.L.Number(sum), Class: "num"})
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// beside adds what is beside the charts: alerts, jobs, and the newest events.
func (d *desk) beside(p *overviewPage) error {
	v, ctx := d.v, d.r.Context()
	h, err := d.Operations.Overview.Health(ctx)
	if err != nil {
		return err
	}
	p.Health = []fact{
		{v.T("overview.mail"), v.T("overview.mails", "n", h.Mail.Queued, "dead", h.Mail.Dead)}, {v.T("overview.sealed"), v.L.Number(h.Sealed)},
		{v.T("overview.replicas"), v.L.Number(int64(h.Replicas))},
	}
	p.Jobs = &ui.Table{Caption: v.T("overview.jobs"), Columns: columns(v.T("overview.job"), "", v.T("overview.last"), "num", v.T("overview.next"), "num")}
	for _, j := range h.Jobs {
		name := ui.Cell{Text: j.Name, Code: true}
		if j.Error != "" {
			name.Tag, name.Level = v.T("overview.failed"), "bad"
		}
		next := ui.Cell{Class: "num"}
		switch {
		case j.Running:
			next.Text = v.T("overview.running")
		case !j.Due.IsZero():
			next.Text = d.clock(j.Due)
		}
		p.Jobs.Rows = append(p.Jobs.Rows, ui.Row{Cells: []ui.Cell{name, {Text: d.clock(j.Finished), Class: "num"}, next}})
	}
	open, _, _, err := d.Alerts.List(ctx, "", true, 5)
	if err != nil {
		return err
	}
	if len(open) > 0 {
		p.Alerts = &ui.Table{Caption: v.T("alerts.open"), Columns: columns(v.T("alerts.rule"), "", v.T("alerts.what"), "")}
		for _, a := range open {
			p.Alerts.Rows = append(p.Alerts.Rows, ui.Row{Cells: []ui.Cell{{Text: a.Rule, Href: "/admin/alerts", Code: true}, {Text: a.What}}})
		}
	}
	latest, _, err := d.Audit.Search(ctx, event.Filter{}, 5)
	if err != nil {
		return err
	}
	if len(latest) > 0 {
		p.Latest = &ui.Table{Caption: v.T("overview.latest"), Columns: columns(v.T("events.time"), "", v.T("events.kind"), "", v.T("events.what"), "")}
		for _, e := range latest {
			p.Latest.Rows = append(p.Latest.Rows, ui.Row{Cells: []ui.Cell{{Text: d.moment(e.Time), Href: "/admin/events/" + e.ID}, {Text: string(e.Kind),
				Code: true}, {Text: what(e)}}})
		}
	}
	return nil
}
