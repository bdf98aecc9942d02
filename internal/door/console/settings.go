package console

import (
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
)

// settings are those in force.
func (c *Console) settings(d *desk) error {
	v, q := d.v, d.query()
	text, show := strings.ToLower(strings.TrimSpace(q.Get("q"))), q.Get("show")
	p := listPage{Title: v.T("desk.settings"), Sub: v.H("settings.text")}
	p.Filter = &filterForm{Action: "/admin/settings", Q: q.Get("q"), QLabel: v.T("settings.find"), Live: true, Segments: []segment{
		{"/admin/settings", v.T("settings.all"), show == ""}, {"/admin/settings?show=changed", v.T("settings.changed"), show == "changed"},
		{"/admin/settings?show=secrets", v.T("settings.secrets"), show == "secrets"},
	}}
	list := card{ID: "list", Title: v.T("desk.settings")}
	t := &ui.Table{Caption: v.T("desk.settings"), Columns: columns(v.T("settings.name"), "", v.T("settings.value"), "", v.T("settings.source"), "opt2",
		v.T("settings.default"), "opt")}
	for _, s := range c.Operations.Settings {
		if !strings.Contains(strings.ToLower(s.Name), text) || show == "changed" && s.Source == "default" || show == "secrets" && !s.Secret {
			continue
		}
		t.Rows = append(t.Rows, ui.Row{Cells: []ui.Cell{{Text: s.Name, Code: true}, {Text: s.Value}, {Text: s.Source, Class: "opt2"}, {Text: s.Default,
			Class: "opt"}}})
	}
	if len(t.Rows) > 0 {
		list.Table = t
	} else {
		list.Empty = &emptyList{"sliders", v.T("settings.none"), v.T("settings.none-text"), "/admin/settings", v.T("settings.all")}
	}
	p.Cards = []card{list}
	return d.show("list", "/admin/settings", p)
}
