package console

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/ops/privacy"
)

// actions are what can be done to an account, by the words of the address.
var actions = map[string]string{
	"disable": operate.ActDisable, "enable": operate.ActEnable, "end-sessions": operate.ActEndSessions, "reset": operate.ActReset, "unlock": operate.ActUnlock,
	"verify": operate.ActVerify, "resend": operate.ActResend, "roles": operate.ActRoles,
	"factor-reset": operate.ActFactorReset, "factor-keep": operate.ActFactorKeep,
	"erase": operate.ActErase, "keep": operate.ActKeep, "export": operate.ActExport,
}

var errNoAction = fault.New(fault.NotFound, "not_found", "There is no such page.")

// manyPeople is from how many people on the number must be typed.
const manyPeople = 10

// asks shows a confirmation. Who has not signed in of late is led to do so first, and
// comes back to it.
func (d *desk) asks(status int, where string, need operate.Need, a ui.Ask) error {
	if !d.may(need) {
		return errNotYours
	}
	if d.r.Method == http.MethodGet && !d.Administrate.Fresh(d.who) {
		return d.signIn(d.w, d.r, true, "")
	}
	back := d.in["back"]
	if d.r.Method == http.MethodGet {
		back = d.r.URL.RequestURI()
	}
	if backTo(back, a.Action) {
		if a.Hidden == nil {
			a.Hidden = map[string]string{}
		}
		a.Hidden["back"] = back
	}
	return d.showStatus(status, "confirm", where, a)
}

// backTo reports whether an address is that of a form's own preview, with what it was asked about.
func backTo(address, action string) bool { return strings.HasPrefix(address, action+"?") }

// ask shows what an action on an account touches.
func (c *Console) ask(d *desk) error {
	action, ok := actions[d.r.PathValue("action")]
	if !ok {
		return errNoAction
	}
	return d.askAct(http.StatusOK, action)
}

func (d *desk) askAct(status int, action string) error {
	id := d.r.PathValue("id")
	t, err := d.People.Do(d.r.Context(), operate.Act{Action: action, Account: id, DryRun: true, Roles: words(d.in["roles"])}, d.who, web.Origin(d.r))
	if err != nil && (d.r.Method == http.MethodGet || fault.KindOf(err) != fault.Invalid) {
		return err
	}
	if err != nil { // the roles can't be read, which the page says already
		t = operate.Touches{Examples: []account.Account{}}
	}
	p, err := d.People.Show(d.r.Context(), id)
	if err != nil {
		return err
	}
	name := p.Email
	if p.Name != "" {
		name = p.Name + " (" + p.Email + ")"
	}
	a := ui.Ask{Action: d.r.URL.Path, Cancel: "/admin/people/" + id, Reason: true, Table: d.sample(t.Sample)}
	d.putWords(&a, action, name, t)
	if action == operate.ActRoles {
		a.Hidden = map[string]string{"shown": operate.Shown(strings.Join(p.Roles, " "))}
		value := strings.Join(p.Roles, ", ")
		if d.in != nil {
			value = d.in["roles"]
		}
		return d.showRoles(status, a, value)
	}
	return d.asks(status, "/admin/people", operate.Needs(action), a)
}

// putWords says what an action on an account does.
func (d *desk) putWords(a *ui.Ask, action, name string, t operate.Touches) {
	v := d.v
	switch action {
	case operate.ActDisable:
		a.Title, a.Text, a.Button, a.Danger = v.T("ask.disable", "name", name), v.H("ask.disable-text", "n", t.Sessions), v.T("act.disable-button"), true
		a.Stays = []string{v.T("ask.mailed"), v.T("ask.disable-stays")}
	case operate.ActEnable:
		a.Title, a.Text, a.Button = v.T("ask.enable", "name", name), v.H("ask.enable-text"), v.T("act.enable-button")
		a.Stays = []string{v.T("ask.mailed")}
	case operate.ActEndSessions:
		a.Title, a.Text, a.Button, a.Danger = v.T("ask.sessions", "n", t.Sessions, "name", name), v.H("ask.sessions-text"), v.T("act.sessions-button", "n",
			t.Sessions), true
		a.Stays = []string{v.T("ask.at-once"), v.T("ask.sessions-stays"), v.T("ask.no-way-back")}
	case operate.ActReset:
		a.Title, a.Button, a.Danger = v.T("ask.reset", "name", name), v.T("act.reset-button"), true
		a.Text = v.H("ask.reset-text", "sessions", t.Sessions, "devices", t.Devices, "links", t.Links)
		a.Stays = []string{v.T("ask.mailed"), v.T("ask.reset-stays")}
	case operate.ActUnlock:
		a.Title, a.Text, a.Button = v.T("ask.unlock", "name", name), v.H("ask.unlock-text"), v.T("act.unlock")
	case operate.ActVerify:
		a.Title, a.Text, a.Button = v.T("ask.verify", "name", name), v.H("ask.verify-text"), v.T("act.verify")
	case operate.ActResend:
		a.Title, a.Text, a.Button = v.T("ask.resend", "name", name), v.H("ask.resend-text"), v.T("act.resend")
	case operate.ActFactorReset:
		a.Title, a.Button, a.Danger = v.T("ask.factors", "name", name), v.T("act.factors-button"), true
		a.Text = v.H("ask.factors-text", "n", int(d.People.Operator.FactorResetWait/time.Hour), "sessions", t.Sessions, "devices", t.Devices)
		a.Stays = []string{v.T("ask.mailed"), v.T("ask.factors-stays")}
	case operate.ActFactorKeep:
		a.Title, a.Text, a.Button = v.T("ask.factors-keep", "name", name), v.H("ask.factors-keep-text"), v.T("act.factors-keep")
	case operate.ActErase:
		a.Title, a.Button, a.Danger = v.T("ask.erase", "name", name), v.T("act.erase-button"), true
		a.Text = v.H("ask.erase-text", "n", int(d.People.Operator.ErasureGrace/(24*time.Hour)), "sessions", t.Sessions)
		a.Stays = []string{v.T("ask.mailed"), v.T("ask.erase-stays")}
	case operate.ActKeep:
		a.Title, a.Text, a.Button = v.T("ask.keep", "name", name), v.H("ask.keep-text"), v.T("act.keep")
	case operate.ActExport:
		a.Title, a.Text, a.Button = v.T("ask.export", "name", name), v.H("ask.export-text"), v.T("act.export-button")
		a.Stays = []string{v.T("ask.mailed")}
	case operate.ActRoles:
		a.Title, a.Text, a.Button = v.T("ask.roles", "name", name), v.H("ask.roles-text", "n", t.Sessions), v.T("act.roles-button")
		a.Stays = []string{v.T("ask.mailed"), v.T("ask.at-once")}
	}
}

// rolesPage is a confirmation with a field for the roles.
type rolesPage struct {
	ui.Ask
	Roles string
}

func (d *desk) showRoles(status int, a ui.Ask, roles string) error {
	if !d.rules() {
		return errNotYours
	}
	if d.r.Method == http.MethodGet && !d.Administrate.Fresh(d.who) {
		return d.signIn(d.w, d.r, true, "")
	}
	return d.showStatus(status, "roles", "/admin/people", rolesPage{a, roles})
}

// sample are some of the sessions that would end.
func (d *desk) sample(list []session.Info) *ui.Table {
	if len(list) == 0 {
		return nil
	}
	t := d.sessionTable(list)
	t.Caption = d.v.T("ask.example")
	return t
}

// doAct does what was confirmed.
func (c *Console) doAct(d *desk) error {
	action, ok := actions[d.r.PathValue("action")]
	if !ok {
		return errNoAction
	}
	if err := c.Administrate.Do(d.who, operate.Needs(action), web.Origin(d.r)); err != nil {
		if f := fault.As(err); f != nil && f.Code == "sign_in_again" {
			return c.signIn(d.w, d.r, true, d.in["back"])
		}
		return err
	}
	id := d.r.PathValue("id")
	act := operate.Act{Action: action, Account: id, Why: d.in["reason"], Roles: words(d.in["roles"]), Shown: d.in["shown"],
		Wait: c.People.Operator.ErasureGrace}
	if _, err := c.People.Do(d.r.Context(), act, d.who, web.Origin(d.r)); err != nil {
		return d.again(err, func(status int) error { return d.askAct(status, action) })
	}
	if action == operate.ActExport {
		return web.Download(d.w, d.r, "application/zip", privacy.FileName, c.Exporter.Of(id))
	}
	return d.done("/admin/people/"+id, action)
}

// again shows a form once more with what is wrong.
func (d *desk) again(err error, show func(status int) error) error {
	if k := fault.KindOf(err); k == fault.NotFound || k == fault.Unavailable || k == fault.Internal {
		return err
	}
	var status int
	status, d.v.Problem = d.problem(err)
	if rerr := show(status); rerr != nil {
		return rerr
	}
	return err
}

// endWhich reads which sessions are to end, from the address.
func (d *desk) endWhich() (w operate.Which, q url.Values, err error) {
	from := d.query()
	q = url.Values{}
	if s := strings.TrimSpace(from.Get("network")); s != "" {
		if w.Network, err = parseNetwork(s); err != nil {
			return w, q, err
		}
		q.Set("network", w.Network.String())
	}
	if s := from.Get("before"); s != "" {
		if w.Before, err = time.Parse(time.RFC3339, s); err != nil || w.Before.After(d.Now()) {
			return w, q, fault.Field("before", "invalid_time", "Write the time like 2030-01-31T12:00:00Z.")
		}
		q.Set("before", s)
	}
	return w, q, nil
}

// askEnd shows how many sessions of how many people would end.
func (c *Console) askEnd(d *desk) error { return d.askMany(http.StatusOK) }

func (d *desk) askMany(status int) error {
	w, q, err := d.endWhich()
	if err != nil {
		return err
	}
	t, err := d.People.End(d.r.Context(), operate.EndMany{Which: w, DryRun: true}, d.who, web.Origin(d.r))
	if err != nil {
		return err
	}
	v := d.v
	to := "/admin/sessions/end"
	if len(q) > 0 {
		to += "?" + q.Encode()
	}
	whose := v.H("end.everybody")
	if w.Network.IsValid() {
		whose = v.H("end.network", "network", w.Network)
	}
	a := ui.Ask{
		Title: v.T("end.title", "n", t.Sessions, "people", t.People), Text: whose, Action: to, Cancel: "/admin", Reason: true, Danger: true,
		Button: v.T("act.sessions-button", "n", t.Sessions), Table: d.peopleOf(t), Hidden: map[string]string{"id": strconv.FormatInt(t.Sessions, 10)},
		Stays: []string{v.T("ask.at-once"), v.T("ask.sessions-stays"), v.T("ask.no-way-back")},
	}
	if t.People > manyPeople {
		a.Number = t.Sessions
	}
	return d.asks(status, "/admin", operate.Changes, a)
}

// peopleOf are some of those that something touches.
func (d *desk) peopleOf(t operate.Touches) *ui.Table {
	if len(t.Examples) == 0 {
		return nil
	}
	out := &ui.Table{Caption: d.v.T("ask.example"), Columns: columns(d.v.T("people.person"), "", d.v.T("people.address"), "")}
	for _, p := range t.Examples {
		name := p.Name
		if name == "" {
			name = d.v.T("people.no-name")
		}
		out.Rows = append(out.Rows, ui.Row{Cells: []ui.Cell{{Text: name, Href: "/admin/people/" + p.ID}, {Text: p.Email}}})
	}
	return out
}

var errNumber = fault.Field("number", "wrong_number", "Type the number as it stands here, without spaces or commas.")

// doEnd ends many sessions.
func (c *Console) doEnd(d *desk) error {
	w, _, err := d.endWhich()
	if err != nil {
		return err
	}
	seen, _ := strconv.ParseInt(d.in["id"], 10, 64)
	t, err := c.People.End(d.r.Context(), operate.EndMany{Which: w, DryRun: true}, d.who, web.Origin(d.r))
	if err == nil && t.People > manyPeople && d.in["number"] != strconv.FormatInt(seen, 10) {
		err = errNumber
	}
	if err == nil {
		_, err = c.People.End(d.r.Context(), operate.EndMany{Which: w, Why: d.in["reason"], Expected: max(seen, 1)}, d.who, web.Origin(d.r))
	}
	if err != nil {
		return d.again(err, d.askMany)
	}
	return d.done("/admin", operate.ActEndSessions)
}
