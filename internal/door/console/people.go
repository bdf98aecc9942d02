package console

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/consent"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// pageSize is how many rows a list has.
const pageSize = 50

// people is the list of accounts.
func (c *Console) people(d *desk) error {
	q := d.query()
	wanted := account.Wanted{Text: q.Get("q"), Role: q.Get("role"), State: account.State(q.Get("state")), After: q.Get("cursor")}
	if wanted.State != "" && !slices.Contains(account.States(), wanted.State) {
		wanted.State = ""
	}
	if len(wanted.Text) > 200 {
		wanted.Text = wanted.Text[:200]
	}
	found, err := c.People.Search(d.r.Context(), wanted, pageSize)
	if fault.KindOf(err) == fault.Invalid { // a cursor that no page gave
		wanted.After = ""
		found, err = c.People.Search(d.r.Context(), wanted, pageSize)
	}
	if err != nil {
		return err
	}
	v := d.v
	p := listPage{Title: v.T("desk.people"), Sub: v.H("people.some", "n", found.Count), Done: d.said()}
	if !found.Exact {
		p.Sub = v.H("people.more", "n", found.Count)
	}
	if d.rules() && !c.People.Closed {
		p.Actions = []ui.Link{{Href: "/admin/people/new", Text: v.T("people.invite"), Main: true}}
	}
	p.Filter = &filterForm{
		Action: "/admin/people", Q: wanted.Text, QLabel: v.T("people.find"), Live: true, Button: v.T("desk.apply"),
		Selects: []selectField{
			{"state", v.T("people.state"), options(string(wanted.State), "", v.T("people.any-state"), "active", v.T("state.active"), "unverified",
				v.T("state.unverified"),
				"reset_due", v.T("state.reset-due"), "disabled", v.T("state.disabled"))},
			{"role", v.T("people.role"), options(wanted.Role, "", v.T("people.any-role"), "admin", "admin", "support", "support")},
		},
	}
	list := card{ID: "list", Title: v.T("people.list")}
	if len(found.List) == 0 {
		list.Empty = &emptyList{"find", v.T("people.none"), v.T("people.none-text"), "/admin/people", v.T("people.all")}
	} else {
		list.Table = d.peopleTable(found.List)
	}
	p.Cards = []card{list}
	p.Pager = &ui.Pager{Text: v.T("desk.shown", "n", len(found.List))}
	if found.Next != "" {
		p.Pager.Older = with("/admin/people", q, "cursor", found.Next)
	}
	if wanted.After != "" {
		p.Pager.Newer = with("/admin/people", q, "cursor", "")
	}
	return d.show("list", "/admin/people", p)
}

func (d *desk) peopleTable(list []account.Row) *ui.Table {
	v := d.v
	t := &ui.Table{Caption: v.T("people.list"), Columns: columns(v.T("people.person"), "", v.T("people.address"), "opt", v.T("people.state"), "",
		v.T("people.role"), "opt", v.T("people.signed-in"), "opt2 keep", v.T("people.opened"), "opt keep")}
	for _, a := range list {
		name := a.Name
		if name == "" {
			name = v.T("people.no-name")
		}
		state := ui.Cell{}
		if s := a.State(); s == account.Active {
			state.Text = v.T("state.active")
		} else {
			state.Tag, state.Level, state.Text = d.state(s), levels[s], ""
		}
		t.Rows = append(t.Rows, ui.Row{Cells: []ui.Cell{
			{Text: name, Href: "/admin/people/" + a.ID, Thin: a.Email}, {Text: a.Email, Class: "opt"}, state,
			{Text: strings.Join(a.Roles, ", "), Class: "opt"}, {Text: d.clock(a.SignedInAt), Class: "opt2 keep"}, {Text: d.clock(a.CreatedAt), Class: "opt keep"},
		}})
	}
	return t
}

var levels = map[account.State]string{account.Disabled: "bad", account.ResetDue: "warn", account.Unverified: "thin"}

// state is a state in words.
func (d *desk) state(s account.State) string {
	switch s {
	case account.Disabled:
		return d.v.T("state.disabled")
	case account.ResetDue:
		return d.v.T("state.reset-due")
	case account.Unverified:
		return d.v.T("state.unverified")
	}
	return d.v.T("state.active")
}

// personPage is all about one account.
type personPage struct {
	operate.Person
	Shown       string // the name, or the address
	State       string
	StateLevel  string
	Done        string
	Main        []ui.Link
	More        []ui.Link
	Timeline    []ui.Moment
	Segments    []segment
	Older       string
	SessionList *ui.Table
	Facts       []fact
}

type fact struct{ Name, Value string }

// quiet are the events that a timeline of what matters leaves out.
var quiet = []event.Kind{event.TokenRefresh}

func (c *Console) person(d *desk) error {
	p, err := c.People.Show(d.r.Context(), d.r.PathValue("id"))
	if err != nil {
		return err
	}
	filter := event.Filter{Account: p.ID, Before: d.query().Get("cursor")}
	all := d.query().Get("all") != ""
	if !all {
		for _, a := range event.Catalogue {
			if !slices.Contains(quiet, a.Kind) {
				filter.Kinds = append(filter.Kinds, a.Kind)
			}
		}
	}
	if filter.Before != "" && !isID(filter.Before) {
		filter.Before = ""
	}
	events, next, err := c.Audit.Search(d.r.Context(), filter, 30)
	if err != nil {
		return err
	}
	v, path := d.v, "/admin/people/"+p.ID
	shown := personPage{Person: p, Shown: p.Name, Done: d.said(), Timeline: d.moments(events), SessionList: d.sessionTable(p.Sessions)}
	if shown.Shown == "" {
		shown.Shown = p.Email
	}
	if s := p.State(); s != account.Active {
		shown.State, shown.StateLevel = d.state(s), levels[s]
	}
	if next != "" {
		shown.Older = with(path, d.query(), "cursor", next)
	}
	shown.Segments = []segment{{path, v.T("person.matters"), !all}, {path + "?all=1", v.T("person.everything"), all}}
	shown.Main, shown.More = d.personActions(p, path)
	none := v.T("desk.none")
	roles := none
	if len(p.Roles) > 0 {
		roles = strings.Join(p.Roles, ", ")
	}
	language := p.Locale
	if language == "" {
		language = none
	}
	app := none
	if p.Factors.App != nil {
		app = v.T("factors.since", "date", p.Factors.App.MadeAt)
	}
	shown.Facts = []fact{
		{v.T("person.password"), v.T("person.password-set", "date", p.PasswordAt)},
		{v.T("factors.app"), app}, {v.T("passkeys.title"), v.L.Number(int64(len(p.Factors.Keys)))},
		{v.T("factors.codes"), v.L.Number(int64(p.Factors.CodesLeft))},
		{v.T("people.role"), roles},
		{v.T("person.tries"), v.T("person.tries-of", "n", p.Tries.Unknown, "most", operate.StrangersMost, "known", p.Tries.Known, "knownmost", operate.DevicesMost)},
		{v.T("person.devices"), v.L.Number(p.Devices)}, {v.T("person.links"), v.L.Number(p.Links)}, {v.T("person.language"), language},
	}
	shown.Facts = append(append(shown.Facts, identityFacts(v, p.Identities)...), consentFacts(v, p.Consents)...)

	return d.show("person", "/admin/people", shown)
}

// identityFacts are the other providers that an account is linked to.
func identityFacts(v *ui.View, list []flow.Linked) (out []fact) {
	for _, i := range list {
		out = append(out, fact{i.Name, v.T("identities.linked", "time", i.LinkedAt)})
	}
	return out
}

// personActions are those that who is signed in may do, the usual ones first.
func (d *desk) personActions(p operate.Person, path string) (main, more []ui.Link) {
	v := d.v
	if slices.Contains(p.Roles, account.Admin) && !d.rules() {
		return nil, nil
	}
	main = append(main, ui.Link{Href: path + "/end-sessions", Text: v.T("act.sessions")})
	if p.DisabledAt.IsZero() {
		more = append(more, ui.Link{Href: path + "/reset", Text: v.T("act.reset")})
	}
	if !d.rules() {
		return main, more
	}
	if p.Tries.Unknown+p.Tries.Known > 0 {
		main = append(main, ui.Link{Href: path + "/unlock", Text: v.T("act.unlock")})
	}
	if p.VerifiedAt.IsZero() {
		more = append(more, ui.Link{Href: path + "/resend", Text: v.T("act.resend")}, ui.Link{Href: path + "/verify", Text: v.T("act.verify")})
	}
	switch {
	case !p.Factors.ResetDue.IsZero():
		main = append(main, ui.Link{Href: path + "/factor-keep", Text: v.T("act.factors-keep")})
	case len(p.Factors.Factors()) > 0 && !slices.Contains(p.Roles, account.Admin):
		more = append(more, ui.Link{Href: path + "/factor-reset", Text: v.T("act.factors")})
	}
	more = append(more, ui.Link{Href: path + "/roles", Text: v.T("act.roles")}, ui.Link{Href: path + "/export", Text: v.T("act.export")})
	if p.Erasure.At.IsZero() {
		more = append(more, ui.Link{Href: path + "/erase", Text: v.T("act.erase")})
	} else {
		main = append(main, ui.Link{Href: path + "/keep", Text: v.T("act.keep")})
	}
	if p.DisabledAt.IsZero() {
		more = append(more, ui.Link{Href: path + "/disable", Text: v.T("act.disable"), Main: true})
	} else {
		more = append(more, ui.Link{Href: path + "/enable", Text: v.T("act.enable")})
	}
	return main, more
}

// marks are the icons of the timeline.
var marks = map[event.Kind]string{
	event.Login: "leave", event.Logout: "out", event.FailedLogin: "lock", event.AccountLockout: "lock", event.TokenRefresh: "again",
	event.PasswordChange: "key", event.PasswordReset: "key", event.EmailChange: "mail", event.EmailVerification: "mail", event.AccountRegistered: "user",
	event.AdminAction: "shield", event.SessionRevoked: "ban", event.AccountDisabled: "ban", event.SuspiciousActivity: "warn", event.RoleChange: "users",
	event.DeviceKnown: "laptop", event.ProfileChange: "pencil", event.ConsentChange: "book", event.AgreementAsked: "book",
}

func (d *desk) moments(events []event.Entry) (list []ui.Moment) {
	day := ""
	for _, e := range events {
		if on := d.v.Date(e.Time); on != day {
			day = on
			list = append(list, ui.Moment{Day: day})
		}
		icon := marks[e.Kind]
		if icon == "" {
			icon = "dots"
		}
		var small []string
		for _, s := range []string{e.Address, session.DeviceName(e.UserAgent)} {
			if s != "" {
				small = append(small, s)
			}
		}
		text := string(e.Kind)
		if w := what(e); w != "" {
			text += ": " + w
		}
		list = append(list, ui.Moment{
			At: e.Time, Icon: icon, Text: text, Small: strings.Join(small, " · "), Raw: raw(e),
			Bad: e.Kind == event.SuspiciousActivity || e.Kind == event.FailedLogin || e.Kind == event.AccountLockout,
		})
	}
	return list
}

// device is what a user agent names.
func (d *desk) device(userAgent string) string {
	if name := session.DeviceName(userAgent); name != "" {
		return name
	}
	return d.v.T("person.unknown")
}

func (d *desk) sessionTable(list []session.Info) *ui.Table {
	v := d.v
	if len(list) == 0 {
		return nil
	}
	t := &ui.Table{Caption: v.T("person.sessions"), Columns: columns(v.T("person.device"), "", v.T("desk.network"), "", v.T("person.used"), "num")}
	for _, s := range list {
		t.Rows = append(t.Rows, ui.Row{Cells: []ui.Cell{
			{Text: d.device(s.UserAgent), Small: v.T("person.began", "date", s.BeganAt)}, networkCell(s.Address, ""), {Text: d.clock(s.UsedAt),
				Class: "num"},
		}})
	}
	return t
}

// invite is the form of an invitation.
func (c *Console) invite(d *desk) error { return d.inviteForm(http.StatusOK) }

func (d *desk) inviteForm(status int) error {
	if !d.rules() {
		return errNotYours
	}
	v, in := d.v, d.in
	p := listPage{Title: v.T("people.invite"), Sub: v.H("invite.text"), Form: &smallForm{
		ID: "h-invite", Title: v.T("invite.title"), Action: "/admin/people/new", Method: "post", Button: v.T("invite.button"),
		Fields: []ui.Part{
			{Name: "email", ID: "email", Label: v.T("field.address"), Value: in["email"], Required: true, LTR: true, Type: "text", Mode: "email", Max: 320,
				Autocomplete: "off"},
			{Name: "roles", ID: "roles", Label: v.T("invite.roles"), Hint: v.T("invite.roles-hint"), Value: in["roles"], LTR: true, Max: 200},
			{Name: "reason", ID: "reason", Label: v.T("ask.reason"), Hint: v.T("ask.reason-hint"), Value: in["reason"], Required: true, Max: 200},
		},
		Selects: []ui.Part{{Name: "locale", ID: "locale", Label: v.T("invite.language"),
			Options: options(in["locale"], "en", "English", "de", "Deutsch", "fr", "Français", "es", "Español", "ar", "العربية")}},
	}}
	return d.showStatus(status, "list", "/admin/people", p)
}

func (c *Console) doInvite(d *desk) error {
	a, err := c.People.Invite(d.r.Context(), operate.Invitation{Email: d.in["email"], Locale: d.in["locale"], Roles: words(d.in["roles"])}, d.in["reason"],
		d.who, web.Origin(d.r))
	if err != nil {
		var status int
		status, d.v.Problem = d.problem(err)
		if rerr := d.inviteForm(status); rerr != nil {
			return rerr
		}
		return err
	}
	return d.done("/admin/people/"+a.ID, operate.ActInvite)
}

// words are those of a field that has several.
func words(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == ';' })
}

var errNotYours = fault.New(fault.Denied, "not_administrator", "This is for administrators: the role support may look, end sessions and send resets.")

// consentsMost is how many of the latest consents are shown.
const consentsMost = 10

// consentFacts are what a person agreed to, and perhaps took back.
func consentFacts(v *ui.View, list []consent.Consent) (facts []fact) {
	for _, c := range list[:min(len(list), consentsMost)] {
		said := v.T("person.consent", "version", c.Version, "date", c.GivenAt)
		if !c.WithdrawnAt.IsZero() {
			said = v.T("person.consent-gone", "version", c.Version, "date", c.GivenAt, "until", c.WithdrawnAt)
		}
		facts = append(facts, fact{c.Document, said})
	}
	return facts
}
