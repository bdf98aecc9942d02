package console

import (
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
)

// doctorPage is what the doctor found; the findings are in its own words, as on the command line.
type doctorPage struct {
	Sub                     any
	Bad, Unseen             []doctor.Finding
	Failed, Unknown, Passed int64
	// Lesser are those to mend behind the gravest, a line each; Accepted those whose risk somebody has taken.
	Lesser, Accepted, Good *ui.Table
	// Stale are accepted risks that are over, or concern nothing any more.
	Stale []string
}

// inFull is how many findings are shown with their controls: a page is 50 KB at most, and an installation that is still
// being set up has dozens.
const inFull = 8

// doctor judges the deployment anew each time: it takes a moment, and changes nothing.
func (c *Console) doctor(d *desk) error {
	v := d.v
	r := c.Doctor(d.r.Context())
	p := doctorPage{
		Sub: v.H("doctor.text"), Failed: int64(r.Count(doctor.Failed)), Unknown: int64(r.Count(doctor.Unknown)), Passed: int64(r.Count(doctor.Passed)),
		Stale: r.Stale,
		Good:  &ui.Table{Caption: v.T("doctor.passed"), Columns: columns(v.T("doctor.check"), "", v.T("doctor.found"), "opt2")},
	}
	lesser := &ui.Table{Caption: v.T("doctor.to-mend"), Columns: columns(v.T("doctor.check"), "", v.T("doctor.found"), "", v.T("doctor.mend"), "")}
	accepted := &ui.Table{Caption: v.T("doctor.accepted"), Columns: columns(v.T("doctor.check"), "", v.T("doctor.owner"), "", v.T("doctor.reason"), "",
		v.T("doctor.found"), "opt2")}
	for _, f := range r.Findings {
		switch f.State {
		case doctor.Accepted:
			p.Accepted = accepted
			accepted.Rows = append(accepted.Rows, ui.Row{Cells: []ui.Cell{
				{Text: f.Title, Small: f.Rule}, {Text: f.Accepted.Owner, Small: v.T("doctor.until", "day", f.Accepted.Expires)},
				{Text: f.Accepted.Reason}, {Text: f.Evidence, Class: "opt2"},
			}})
		case doctor.Failed:
			if len(p.Bad) < inFull {
				p.Bad = append(p.Bad, f)
				continue
			}
			p.Lesser = lesser
			lesser.Rows = append(lesser.Rows, ui.Row{Cells: []ui.Cell{{Text: f.Title, Small: f.Rule}, {Text: f.Evidence}, {Text: f.Mend}}})
		case doctor.Unknown:
			p.Unseen = append(p.Unseen, f)
		case doctor.Excused: // it does not concern this deployment: the command line lists those too
		case doctor.Passed:
			p.Good.Rows = append(p.Good.Rows, ui.Row{Cells: []ui.Cell{{Text: f.Title, Small: f.Rule}, {Text: f.Evidence, Class: "opt2"}}})
		}
	}
	return d.show("doctor", "/admin/doctor", p)
}

// Grave reports whether a finding is of the two heaviest kinds, for its colour.
func (doctorPage) Grave(f doctor.Finding) bool { return f.Severity.AtLeast(doctor.High) }

// Fragment is a finding's name as a part of an address.
func (doctorPage) Fragment(f doctor.Finding) string {
	return strings.ToLower(strings.ReplaceAll(f.Rule, "/", "-"))
}
