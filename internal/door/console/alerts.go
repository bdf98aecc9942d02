package console

import (
	"net/http"
	"net/url"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// alerts are what the rules found.
func (c *Console) alerts(d *desk) error {
	v := d.v
	before := d.query().Get("cursor")
	if !isID(before) {
		before = ""
	}
	list, more, silent, err := c.Alerts.List(d.r.Context(), before, false, pageSize)
	if err != nil {
		return err
	}
	p := listPage{Title: v.T("desk.alerts"), Sub: v.H("alerts.text", "n", len(c.Rules)), Done: d.said()}
	open, past := card{ID: "open", Title: v.T("alerts.open")}, card{ID: "past", Title: v.T("alerts.past")}
	columns := columns(v.T("alerts.rule"), "", v.T("alerts.what"), "", v.T("alerts.count"), "num opt2", v.T("alerts.raised"), "keep opt",
		v.T("alerts.resolved"), "keep opt")
	for _, a := range list {
		to := &past
		resolved := ui.Cell{Text: d.clock(a.ResolvedAt), Class: "keep opt"}
		if a.ResolvedAt.IsZero() {
			to = &open
			if d.rules() {
				resolved = ui.Cell{Text: v.T("incidents.new"), Href: "/admin/incidents?" + url.Values{"alert": {a.Rule}}.Encode()}
			}
		}
		if to.Table == nil {
			to.Table = &ui.Table{Caption: to.Title, Columns: columns}
		}
		to.Table.Rows = append(to.Table.Rows, ui.Row{Cells: []ui.Cell{
			{Text: a.Rule, Code: true, Href: "/admin/events?" + url.Values{"event": {lookAt[a.Rule]}}.Encode()}, {Text: a.What, Small: a.Look},
			{Text: v.T("alerts.of", "n", a.N, "bound", a.Bound), Class: "num opt2"}, {Text: d.clock(a.RaisedAt), Class: "keep opt"},
			resolved,
		}})
	}
	if open.Table == nil {
		open.Empty = &emptyList{"bell", v.T("alerts.none"), v.T("alerts.none-text"), "", ""}
	}
	p.Cards = []card{open, d.rulesCard(silent)}
	if past.Table != nil {
		p.Cards = append(p.Cards, past)
	}
	p.Pager = &ui.Pager{}
	if more {
		p.Pager.Older = with("/admin/alerts", nil, "cursor", list[len(list)-1].ID)
	}
	return d.show("list", "/admin/alerts", p)
}

// lookAt are the events that a rule counts, where they are of one kind.
var lookAt = map[string]string{
	"failed_logins": "failed_login_attempt", "failed_logins_unusual": "failed_login_attempt", "spraying": "failed_login_attempt",
	"stuffing":      "failed_login_attempt",
	"registrations": "account_registered", "token_reuse": "suspicious_activity", "rate_limits": "rate_limit_exceeded",
}

func (d *desk) rulesCard(silent map[string]time.Time) card {
	v := d.v
	rules := card{ID: "rules", Title: v.T("alerts.rules"), Table: &ui.Table{Caption: v.T("alerts.rules"), Columns: columns(v.T("alerts.rule"), "",
		v.T("alerts.about"), "opt2", v.T("alerts.state"), "")}}
	for _, r := range d.Rules {
		state := ui.Cell{Text: v.T("alerts.watching")}
		if until, ok := silent[r.Name]; ok {
			state = ui.Cell{Tag: v.T("alerts.silent"), Level: "warn", Text: d.clock(until)}
		}
		if d.rules() {
			state.Small, state.Href = nil, "/admin/alerts/silence?"+url.Values{"rule": {r.Name}}.Encode()
			if state.Tag == "" {
				state.Text = v.T("alerts.silence")
			}
		}
		rules.Table.Rows = append(rules.Table.Rows, ui.Row{Cells: []ui.Cell{{Text: r.Name, Code: true}, {Text: r.About, Class: "opt2"}, state}})
	}
	return rules
}

func (c *Console) askSilence(d *desk) error { return d.silence(http.StatusOK, d.query().Get("rule")) }

func (d *desk) silence(status int, rule string) error {
	v := d.v
	return d.asks(status, "/admin/alerts", operate.Changes, ui.Ask{
		Title: v.T("silence.title", "rule", rule), Text: v.H("silence.text"), Action: "/admin/alerts/silence", Cancel: "/admin/alerts",
		Hidden: map[string]string{"rule": rule}, Button: v.T("silence.button"), Stays: []string{v.T("silence.stays")},
	})
}

// silentFor is for how long the console silences a rule; the API takes any time.
const silentFor = 24 * time.Hour

func (c *Console) doSilence(d *desk) error {
	if err := c.Alerts.Silence(d.r.Context(), d.in["rule"], d.Now().Add(silentFor), d.who.By(), d.who.Account, d.who.Session, web.Origin(d.r)); err != nil {
		return err
	}
	return d.done("/admin/alerts", operate.ActSilence)
}
