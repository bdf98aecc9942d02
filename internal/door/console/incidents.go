package console

import (
	"cmp"
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/incident"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockdown"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
)

// incidentRoutes are the pages of incidents.
func (c *Console) incidentRoutes() web.Routes {
	return web.Routes{
		"GET /admin/incidents":               c.page(operate.Reads, c.incidents),
		"POST /admin/incidents":              c.page(operate.Changes, c.openIncident),
		"GET /admin/incidents/{id}":          c.page(operate.Reads, c.incident),
		"POST /admin/incidents/{id}":         c.page(operate.Changes, c.changeIncident),
		"GET /admin/incidents/{id}/contain":  c.page(operate.Reads, c.askContain),
		"POST /admin/incidents/{id}/contain": c.page(operate.Changes, c.doContain),
		"GET /admin/incidents/{id}/approve":  c.page(operate.Reads, c.askApprove),
		"POST /admin/incidents/{id}/approve": c.page(operate.Changes, c.doApprove),
		"GET /admin/incidents/{id}/undo":     c.page(operate.Reads, c.askUndo),
		"POST /admin/incidents/{id}/undo":    c.page(operate.Changes, c.doUndo),
		"GET /admin/incidents/{id}/stop":     c.page(operate.Reads, c.askStop),
		"POST /admin/incidents/{id}/stop":    c.page(operate.Changes, c.doStop),
	}
}

// by is on whose behalf the request does something.
func (d *desk) by() respond.By { return respond.By{Who: d.who, Origin: web.Origin(d.r)} }

// incidents are all of them, and a form that opens one.
func (c *Console) incidents(d *desk) error { return d.showIncidents(http.StatusOK) }

func (d *desk) showIncidents(status int) error {
	v := d.v
	before, err := strconv.ParseInt(d.query().Get("cursor"), 10, 64)
	if err != nil || before < 0 {
		before = 0
	}
	list, more, err := d.Incidents.List(d.r.Context(), before, pageSize)
	if err != nil {
		return err
	}
	p := listPage{Title: v.T("incidents.title"), Sub: v.H("incidents.text"), Pager: &ui.Pager{}}
	if d.rules() {
		p.Form = &smallForm{
			ID: "h-open", Title: v.T("incidents.new"), Action: "/admin/incidents", Method: "post", Button: v.T("incidents.button"),
			Fields: []ui.Part{{Name: "title", ID: "title", Label: v.T("incidents.name"), Value: d.in["title"], Required: true, Max: 120}},
		}
		if rule := d.rule(cmp.Or(d.in["alert"], d.query().Get("alert"))); rule.Name != "" {
			p.Form.Hidden = map[string]string{"alert": rule.Name}
			p.Form.Fields[0].Value = cmp.Or(d.in["title"], rule.About)
		}
	}
	in := card{ID: "list", Title: v.T("incidents.title")}
	if len(list) == 0 {
		in.Empty = &emptyList{"flag", v.T("incidents.none"), v.T("incidents.none-text"), "", ""}
	} else {
		in.Table = &ui.Table{Caption: v.T("incidents.title"), Columns: columns(v.T("incidents.name"), "", v.T("incidents.state"), "", v.T("incidents.opened"),
			"opt keep", v.T("incidents.due"), "opt keep")}
	}
	for _, i := range list {
		in.Table.Rows = append(in.Table.Rows, ui.Row{Cells: []ui.Cell{
			{Text: i.Title, Small: i.Name(), Href: "/admin/incidents/" + i.Name()}, {Text: d.stateOf(i)}, {Text: d.clock(i.OpenedAt), Class: "opt keep"},
			{Text: d.clock(i.Due()), Class: "opt keep"},
		}})
	}
	if p.Cards = []card{in}; more {
		p.Pager.Older = with("/admin/incidents", nil, "cursor", strconv.FormatInt(list[len(list)-1].N, 10))
	}
	return d.showStatus(status, "list", "/admin/incidents", p)
}

func (d *desk) stateOf(i incident.Incident) string {
	if i.ClosedAt.IsZero() {
		return d.v.T("incidents.open")
	}
	return d.v.T("incidents.closed")
}

// rule is the rule of that name, or none.
func (d *desk) rule(name string) Rule {
	if i := slices.IndexFunc(d.Rules, func(r Rule) bool { return r.Name == name }); i >= 0 {
		return d.Rules[i]
	}
	return Rule{}
}

func (c *Console) openIncident(d *desk) error {
	i, err := c.Incidents.Open(d.r.Context(), respond.Opening{Title: d.in["title"], Alert: d.rule(d.in["alert"]).Name}, d.by())
	if err != nil {
		return d.again(err, d.showIncidents)
	}
	return seeOther(d.w, "/admin/incidents/"+i.Name())
}

// waits is what was done where nothing was: it waits for somebody else.
const waits = "waits"

// incidentPage is one incident.
type incidentPage struct {
	respond.Standing
	State, Done string
	Open, Rules bool
	// Scopes: who asks may see who was touched, also of one that is closed.
	Scopes bool
	// Left is how many hours are left of the 72, Over how many are over; Gone is the part of them that is over, in percent.
	Left, Over int64
	Gone       float64
	Path       string
	Entries    []entryLine
	Acts       []actLine
	Steps      []stepLine
	Actions    []ui.Option
}

type entryLine struct {
	At              any
	Text, Who, Icon string
}

type actLine struct {
	Text, Small, Approve, Undo, Stop string
	Over                             bool
}

type stepLine struct {
	Step, Text, Small string
	Done              bool
}

// number is which incident the address names.
func (d *desk) number() (int64, error) {
	n, err := incident.ParseName(d.r.PathValue("id"))
	if err != nil {
		err = incident.ErrUnknown
	}
	return n, err
}

func (c *Console) incident(d *desk) error { return d.showIncident(http.StatusOK) }

func (d *desk) showIncident(status int) error {
	n, err := d.number()
	if err != nil {
		return err
	}
	s, err := d.Incidents.Show(d.r.Context(), n)
	if err != nil {
		return err
	}
	left := s.Left(d.Now())
	p := incidentPage{
		Standing: s, State: d.stateOf(s.Incident), Open: s.ClosedAt.IsZero(), Rules: d.rules() && s.ClosedAt.IsZero(), Path: "/admin/incidents/" + s.Name(),
		Scopes: d.rules(),
		Left:   int64(max(left, 0) / time.Hour), Gone: min(100, 100*float64(incident.Notice-left)/float64(incident.Notice)),
	}
	if left < 0 {
		p.Over = int64(-left/time.Hour) + 1
	}
	switch d.query().Get("done") {
	case "":
	case waits:
		p.Done = d.v.T("incident.waits")
	default:
		p.Done = d.v.T("incident.done")
	}
	for _, a := range respond.Abouts {
		if a.Does != respond.RotateSecret { // its secret is shown once, and not on a page
			p.Actions = append(p.Actions, ui.Option{Value: a.Does, Text: a.Text})
		}
	}
	d.fill(&p)
	return d.showStatus(status, "incident", "/admin/incidents", p)
}

// fill puts the lines of an incident into its page; they are in English, as on the command line.
func (d *desk) fill(p *incidentPage) {
	for _, e := range p.Timeline {
		icon := map[incident.EntryKind]string{incident.Acted: "ban", incident.Ended: "check", incident.Scoped: "find", incident.Noted: "log"}[e.Kind]
		if icon == "" {
			icon = "flag"
		}
		p.Entries = append(p.Entries, entryLine{d.clock(e.Time), e.Text, e.Actor, icon})
	}
	for _, a := range p.Standing.Actions {
		about, _ := respond.FindAbout(a.Does)
		line := actLine{Text: about.Text, Small: string(a.State) + ": " + respond.Touched(a.Touched).String(), Over: !a.EndedAt.IsZero()}
		if d.rules() && line.Over && about.Undo != "" && a.State != incident.TakenBack && a.Happened() {
			line.Undo = p.Path + "/undo?" + url.Values{"action": {a.ID}}.Encode()
		}
		if d.rules() && !line.Over {
			line.Stop = p.Path + "/stop?" + url.Values{"action": {a.ID}}.Encode()
		}
		if d.rules() && a.State == incident.Waiting && a.Actor != d.who.Account && a.Does != respond.RotateSecret {
			line.Approve = p.Path + "/approve?" + url.Values{"action": {a.ID}}.Encode()
		}
		p.Acts = append(p.Acts, line)
	}
	for _, s := range incident.Steps {
		done, ok := p.Standing.Done[s]
		line := stepLine{Step: string(s), Text: respond.StepText(s), Done: ok}
		if ok {
			line.Small = done.At.UTC().Format("2006-01-02 15:04") + ", " + done.Actor
		}
		p.Steps = append(p.Steps, line)
	}
}

// changeIncident adds a note, ticks a step, or closes it: by which button was pressed.
func (c *Console) changeIncident(d *desk) error {
	n, err := d.number()
	if err != nil {
		return err
	}
	switch {
	case d.in["step"] != "":
		err = c.Incidents.Tick(d.r.Context(), n, incident.Step(d.in["step"]), d.in["confirm"] != "", d.by())
	case d.in["lessons"] != "":
		err = c.Incidents.Close(d.r.Context(), n, d.in["lessons"], d.by())
	default:
		err = c.Incidents.Note(d.r.Context(), n, d.in["text"], d.by())
	}
	if err != nil {
		return d.again(err, d.showIncident)
	}
	return d.done(d.r.URL.Path, "incident")
}

// orderFields are those of an order in the address of its preview, and then in the form.
var orderFields = []string{"action", "users", "network", "since", "minutes", "all", "doors", "client"}

// order reads an order; get returns a field.
func (d *desk) order(get func(name string) string) (o respond.Order, err error) {
	o = respond.Order{
		Does: get("action"), Users: words(get("users")), All: get("all") != "", Client: get("client"), Why: d.in["reason"], Confirmed: d.in["confirm"] != "",
		Own: []netip.Addr{web.Origin(d.r).Address},
	}
	for _, s := range words(get("network")) {
		n, err := parseNetwork(s)
		if err != nil {
			return o, err
		}
		o.Networks = append(o.Networks, n)
	}
	if s := get("since"); s != "" {
		if o.Since, err = time.Parse(time.RFC3339, s); err != nil {
			return o, fault.Field("since", "invalid_time", "Write the time like 2030-01-31T12:00:00Z.")
		}
	}
	if s := get("minutes"); s != "" {
		minutes, err := strconv.ParseInt(s, 10, 32)
		if err != nil || minutes < 0 {
			return o, fault.Field("minutes", "invalid_order", "Write a number of minutes.")
		}
		o.For = time.Duration(minutes) * time.Minute
	} else if o.Does == respond.BlockNetworks {
		o.For = 7 * 24 * time.Hour // as on the page of blocks: endless is said
	}
	for _, s := range words(get("doors")) {
		o.Doors = append(o.Doors, lockdown.Door(s))
	}
	if o.Does == respond.RotateKeys {
		o.Purposes = []keyring.Purpose{keyring.AccessSign}
	}
	return o, nil
}

func (c *Console) askContain(d *desk) error {
	q := d.query()
	err := d.askOrder(http.StatusOK, q.Get)
	if fault.KindOf(err) == fault.Invalid && err != nil {
		return d.again(err, d.showIncident)
	}
	return err
}

// askOrder says what an order would touch.
func (d *desk) askOrder(status int, get func(name string) string) error {
	n, err := d.number()
	if err != nil {
		return err
	}
	o, err := d.order(get)
	if err != nil {
		return err
	}
	p, err := d.Incidents.PreviewFor(d.r.Context(), n, o)
	if err != nil {
		return err
	}
	v, path := d.v, "/admin/incidents/"+d.r.PathValue("id")
	a := ui.Ask{Action: path + "/contain", Cancel: path, Button: v.T("incident.do"), Hidden: map[string]string{}}
	d.putPreview(&a, p)
	for _, name := range orderFields {
		if s := get(name); s != "" {
			a.Hidden[name] = s
		}
	}
	if p.Caught != nil {
		a.Hidden["confirm"] = "1"
		if v.Problem == nil {
			_, v.Problem = d.problem(p.Caught)
		}
	}
	return d.asks(status, "/admin/incidents", operate.Changes, a)
}

// putPreview says in a question what an order would touch.
func (d *desk) putPreview(a *ui.Ask, p respond.Preview) {
	v := d.v
	a.Title, a.Text = v.T("incident.ask", "what", p.Touches.String()), v.H("incident.ask-text", "action", p.About.Text, "order", p.Order)
	a.Reason, a.Danger, a.Table = true, true, d.peopleOf(operate.Touches{Examples: p.Sample})
	a.Stays = []string{v.T("ask.at-once")}
	if p.Waits {
		a.Stays = []string{v.T("incident.waits")}
	}
	if p.About.Undo == "" {
		a.Stays = append(a.Stays, v.T("ask.no-way-back"))
	}
	if n := p.Touches["people"]; n > manyPeople {
		a.Number = n
		a.Hidden["id"] = strconv.FormatInt(n, 10)
	}
}

func (c *Console) doContain(d *desk) error {
	get := func(name string) string { return d.in[name] }
	n, err := d.number()
	if err != nil {
		return err
	}
	o, err := d.order(get)
	if err == nil && strings.TrimSpace(d.in["number"]) != d.in["id"] {
		err = errNumber
	}
	var done respond.Done
	if err == nil {
		done, err = c.Incidents.Contain(d.r.Context(), n, o, d.by())
	}
	if err != nil {
		return d.again(err, func(status int) error { return d.askOrder(status, get) })
	}
	what := "incident"
	if done.State == incident.Waiting {
		what = waits
	}
	return d.done("/admin/incidents/"+d.r.PathValue("id"), what)
}

func (c *Console) askApprove(d *desk) error {
	return d.askApproval(http.StatusOK, d.query().Get("action"))
}

// askApproval says what would be touched now by what somebody else has ordered.
func (d *desk) askApproval(status int, action string) error {
	n, err := d.number()
	if err != nil {
		return err
	}
	_, p, err := d.Incidents.PreviewWaiting(d.r.Context(), n, action)
	if err != nil {
		return err
	}
	path := "/admin/incidents/" + d.r.PathValue("id")
	a := ui.Ask{Action: path + "/approve", Cancel: path, Button: d.v.T("incident.approve"), Hidden: map[string]string{"action": action}}
	d.putPreview(&a, p)
	return d.asks(status, "/admin/incidents", operate.Changes, a)
}

func (c *Console) doApprove(d *desk) error {
	approve := func(ctx context.Context, n int64, id, why string, by respond.By) (incident.Action, error) {
		if strings.TrimSpace(d.in["number"]) != d.in["id"] {
			return incident.Action{}, errNumber
		}
		a, _, err := c.Incidents.PreviewWaiting(ctx, n, id)
		if err == nil && a.Does == respond.RotateSecret {
			err = errShownOnce
		}
		if err != nil {
			return a, err
		}
		done, err := c.Incidents.Approve(ctx, n, id, why, by)
		return done.Action, err
	}
	return d.withAction(approve, d.askApproval)
}

// errShownOnce is for what would have to be shown on a page that is kept.
var errShownOnce = fault.New(fault.Conflict, "not_on_a_page",
	"The new secret of an application is shown once, and not on a page: approve it by the command line or the API.")

func (c *Console) askUndo(d *desk) error {
	return d.askTakeBack(http.StatusOK, d.query().Get("action"))
}

func (d *desk) askTakeBack(status int, action string) error {
	v := d.v
	return d.askOfAction(status, action, "/undo", ui.Ask{Title: v.T("incident.undo-title"), Text: v.H("incident.undo-text"), Button: v.T("incident.undo")})
}

func (c *Console) doUndo(d *desk) error { return d.withAction(c.Incidents.Undo, d.askTakeBack) }

func (c *Console) askStop(d *desk) error {
	return d.askHalt(http.StatusOK, d.query().Get("action"))
}

func (d *desk) askHalt(status int, action string) error {
	v := d.v
	return d.askOfAction(status, action, "/stop", ui.Ask{Title: v.T("incident.stop-title"), Text: v.H("incident.stop-text"), Button: v.T("incident.stop")})
}

func (c *Console) doStop(d *desk) error { return d.withAction(c.Incidents.Stop, d.askHalt) }

// askOfAction asks before something is done with an action of an incident.
func (d *desk) askOfAction(status int, action, to string, a ui.Ask) error {
	path := "/admin/incidents/" + d.r.PathValue("id")
	a.Action, a.Cancel, a.Reason, a.Hidden = path+to, path, true, map[string]string{"action": action}
	return d.asks(status, "/admin/incidents", operate.Changes, a)
}

// withAction does it; what is refused is asked again.
func (d *desk) withAction(
	do func(ctx context.Context, n int64, id, why string, by respond.By) (incident.Action, error), ask func(status int, action string) error,
) error {
	n, err := d.number()
	if err != nil {
		return err
	}
	if _, err := do(d.r.Context(), n, d.in["action"], d.in["reason"], d.by()); err != nil {
		return d.again(err, func(status int) error { return ask(status, d.in["action"]) })
	}
	return d.done("/admin/incidents/"+d.r.PathValue("id"), "incident")
}
