package console

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// clientsCard lists the registered applications.
func (d *desk) clientsCard(list []client.Client) card {
	v := d.v
	apps := card{ID: "clients", Title: v.T("clients.list")}
	if len(list) == 0 {
		apps.Empty = &emptyList{"app", v.T("clients.none"), v.T("clients.none-text"), "", ""}
		return apps
	}
	apps.Table = &ui.Table{Caption: v.T("clients.list"), Columns: columns(v.T("clients.name"), "", v.T("clients.type"), "opt2", v.T("people.state"), "opt",
		v.T("clients.secret"), "keep opt2")}
	older := -mostSelves
	for _, a := range list {
		if a.Self {
			older++
		}
	}
	for _, a := range list {
		if a.Self && older > 0 {
			older--
			continue
		}
		apps.Table.Rows = append(apps.Table.Rows, ui.Row{Cells: []ui.Cell{
			{Text: a.Name, Small: a.ID, Href: "/admin/clients/" + a.ID}, {Text: d.clientType(a.Type), Class: "opt2"}, d.clientState(a, "opt"),
			{Text: d.secretSet(a), Class: "keep opt2"},
		}})
	}
	return apps
}

// mostSelves is how many applications are listed that registered themselves: there may be thousands.
const mostSelves = 30

// secretSet is when the secret was made, where there is one.
func (d *desk) secretSet(a client.Client) any {
	if !a.HasSecret() {
		return "–"
	}
	return d.clock(a.RotatedAt)
}

func (d *desk) clientState(a client.Client, class string) ui.Cell {
	if a.DisabledAt.IsZero() {
		return ui.Cell{Tag: d.v.T("clients.on"), Level: "good", Class: class}
	}
	return ui.Cell{Tag: d.v.T("clients.off"), Level: "bad", Class: class}
}

func (d *desk) clientType(t client.Type) string {
	switch t {
	case client.Web:
		return d.v.T("clients.type-web")
	case client.SPA:
		return d.v.T("clients.type-spa")
	case client.Native:
		return d.v.T("clients.type-native")
	case client.Device:
		return d.v.T("clients.type-device")
	case client.Guarded:
		return d.v.T("clients.type-guarded")
	}
	return d.v.T("clients.type-service")
}

func (c *Console) askClient(d *desk) error { return d.newClient(http.StatusOK) }

func (d *desk) newClient(status int) error {
	if !d.rules() {
		return errNotYours
	}
	v, in := d.v, d.in
	types := ui.Part{Name: "type", Label: v.T("clients.type"), Hint: v.T("clients.type-hint")}
	for _, t := range client.Types() {
		types.Options = append(types.Options, ui.Option{Value: string(t), Text: d.clientType(t), Selected: in["type"] == string(t)})
	}
	return d.showStatus(status, "list", "/admin/keys", listPage{Title: v.T("clients.new"), Sub: v.H("clients.new-text"), Form: &smallForm{
		ID: "h-client", Title: v.T("clients.about"), Action: "/admin/clients/new", Method: "post", Button: v.T("clients.new"), Keep: true,
		Fields: []ui.Part{
			{Name: "name", ID: "name", Label: v.T("clients.name"), Value: in["name"], Required: true, LTR: true, Max: 63},
			d.reasonField(),
		},
		Selects: []ui.Part{types},
		Lines: []ui.Part{
			{Name: "redirect_uris", Label: v.T("clients.redirects"), Hint: v.T("clients.redirects-hint"), Value: in["redirect_uris"]},
		},
	}})
}

func (d *desk) reasonField() ui.Part {
	v := d.v
	return ui.Part{Name: "reason", ID: "reason", Label: v.T("ask.reason"), Hint: v.T("ask.reason-hint"), Value: d.in["reason"], Required: true, Max: 200}
}

func (c *Console) doClient(d *desk) error {
	kind, err := client.ParseType(d.in["type"])
	if err != nil {
		return d.again(err, d.newClient)
	}
	settings := client.Settings{RedirectURIs: strings.Fields(d.in["redirect_uris"])}
	a, secret, err := c.Operations.AddClient(d.r.Context(), d.in["name"], kind, settings, d.in["reason"], d.who, web.Origin(d.r))
	if err != nil {
		return d.again(err, d.newClient)
	}
	if secret == "" {
		return d.done("/admin/clients/"+a.ID, operate.ActNewClient)
	}
	return d.showSecret(a, secret)
}

// secretPage shows a secret once.
type secretPage struct{ Name, ID, Secret string }

func (d *desk) showSecret(a client.Client, secret string) error {
	return d.show("secret", "/admin/keys", secretPage{a.Name, a.ID, secret})
}

// client is one application, and what it may do.
func (c *Console) client(d *desk) error { return d.showClient(http.StatusOK) }

func (d *desk) showClient(status int) error {
	a, err := d.Operations.Client(d.r.Context(), d.r.PathValue("id"))
	if err != nil {
		return err
	}
	v, path := d.v, "/admin/clients/"+a.ID
	facts := card{ID: "client", Title: v.T("clients.about"), Table: &ui.Table{Caption: v.T("clients.about"), Columns: columns(v.T("clients.id"), "",
		v.T("clients.type"), "", v.T("people.state"), "", v.T("clients.secret"), "keep opt2"), Rows: []ui.Row{{Cells: []ui.Cell{
		{Text: a.ID, Code: true}, {Text: d.clientType(a.Type)}, d.clientState(a, ""), {Text: d.secretSet(a), Class: "keep opt2"},
	}}}}}
	p := listPage{Title: a.Shown(), Done: d.said(), Cards: []card{facts}}
	if a.FromFile {
		p.Sub = v.H("clients.from-file")
	}
	if a.Self {
		p.Sub = v.H("clients.self")
	}
	if d.rules() && !a.FromFile {
		turn := ui.Link{Href: path + "/disable", Text: v.T("clients.disable")}
		if !a.DisabledAt.IsZero() {
			turn = ui.Link{Href: path + "/enable", Text: v.T("clients.enable")}
		}
		p.Actions = []ui.Link{turn}
		if a.HasSecret() {
			p.Actions = append(p.Actions, ui.Link{Href: path + "/secret", Text: v.T("clients.new-secret")})
		}
		p.Actions = append(p.Actions, ui.Link{Href: path + "/delete", Text: v.T("clients.delete")})
		switch {
		case a.Newer:
		case a.Type.SignsIn():
			p.Form = d.settingsForm(a)
		default:
			p.Form = d.serviceForm(a)
		}
	}
	return d.showStatus(status, "list", "/admin/keys", p)
}

// settingsForm changes what an application may do.
func (d *desk) settingsForm(a client.Client) *smallForm {
	v, s := d.v, a.Settings
	if d.in != nil { // what was refused stays in the form
		s, _ = d.clientSettings(a)
	}
	choose := func(name, label string, chosen bool, no, yes string) ui.Part {
		return ui.Part{Name: name, Label: label, Options: []ui.Option{{Text: no, Selected: !chosen}, {Value: "1", Text: yes, Selected: chosen}}}
	}
	f := d.serviceForm(a)
	if a.Type == client.Device {
		return d.deviceForm(f, s)
	}
	f.Lines = append([]ui.Part{
		{Name: "redirect_uris", Label: v.T("clients.redirects"), Hint: v.T("clients.redirects-hint"), Value: strings.Join(s.RedirectURIs, "\n"), Required: true},
		{Name: "post_logout_redirect_uris", Label: v.T("clients.post-logout"), Hint: v.T("clients.post-logout-hint"),
			Value: strings.Join(s.PostLogoutURIs, "\n")},
	}, f.Lines...)
	f.Fields = append([]ui.Part{
		{Name: "title", Label: v.T("clients.title"), Hint: v.T("clients.title-hint"), Value: s.Title, Max: 100},
		{Name: "require_roles", Label: v.T("clients.roles"), Hint: v.T("clients.roles-hint"), Value: strings.Join(s.RequireRoles, ", "), LTR: true},
	}, f.Fields...)
	f.Selects = []ui.Part{
		choose("first_party", v.T("clients.consent"), s.FirstParty, v.T("clients.consent-asked"), v.T("clients.consent-ours")),
		d.leastACR(s), d.responseModes(s),
		choose("lean_id_token", v.T("clients.lean"), s.LeanIDToken, v.T("clients.lean-no"), v.T("clients.lean-yes")), d.idAlgorithm(s),
	}
	if a.Type == client.Guarded { // it has no part in the protocol
		f.Lines, f.Selects = f.Lines[:1], f.Selects[1:2]
		return f
	}
	if a.Type != client.SPA {
		f.Selects = append(f.Selects, choose("require_par", v.T("clients.par"), s.RequirePAR, v.T("clients.par-no"), v.T("clients.par-yes")))
	}
	if a.Type == client.Web {
		f.Fields = slices.Insert(f.Fields, 1, ui.Part{
			Name: "backchannel_logout_uri", Label: v.T("clients.backchannel"), Hint: v.T("clients.backchannel-hint"), Value: s.BackchannelLogoutURI,
			LTR: true, Max: 2048,
		})
		f.Selects = append(f.Selects, choose("backchannel_logout_session_required", v.T("clients.backchannel-session"), s.BackchannelLogoutSessionRequired,
			v.T("clients.backchannel-session-no"), v.T("clients.backchannel-session-yes")))
		f.Selects = append(f.Selects, choose("pkce_optional", v.T("clients.pkce"), s.PKCEOptional, v.T("clients.pkce-no"), v.T("clients.pkce-yes")))
	}
	return f
}

// deviceForm is what there is to change of a device: it has no addresses.
func (d *desk) deviceForm(f *smallForm, s client.Settings) *smallForm {
	v := d.v
	f.Fields = append([]ui.Part{
		{Name: "title", Label: v.T("clients.title"), Hint: v.T("clients.title-hint"), Value: s.Title, Max: 100},
		{Name: "require_roles", Label: v.T("clients.roles"), Hint: v.T("clients.roles-hint"), Value: strings.Join(s.RequireRoles, ", "), LTR: true},
	}, f.Fields...)
	f.Selects = []ui.Part{d.leastACR(s), d.idAlgorithm(s)}
	return f
}

func (d *desk) leastACR(s client.Settings) ui.Part {
	v := d.v
	return ui.Part{Name: "require_acr", Label: v.T("clients.acr"), Options: []ui.Option{
		{Text: v.T("clients.acr-any"), Selected: s.RequireACR == ""}, {Value: "2fa", Text: v.T("clients.acr-2fa"), Selected: s.RequireACR == "2fa"},
		{Value: "phr", Text: v.T("clients.acr-phr"), Selected: s.RequireACR == "phr"},
	}}
}

// idAlgorithm chooses what an application's ID tokens are signed with.
func (d *desk) idAlgorithm(s client.Settings) ui.Part {
	p := ui.Part{Name: "id_token_alg", Label: d.v.T("clients.id-alg")}
	for i, algorithm := range client.IDAlgorithms() {
		o := ui.Option{Value: algorithm, Text: algorithm, Selected: s.IDAlgorithm() == algorithm}
		if i == 0 {
			o.Value = ""
		}
		p.Options = append(p.Options, o)
	}
	return p
}

// responseModes chooses how an application takes answers.
func (d *desk) responseModes(s client.Settings) ui.Part {
	v, chosen := d.v, strings.Join(s.ResponseModes, " ")
	p := ui.Part{Name: "response_modes", Label: v.T("clients.modes"), Options: []ui.Option{
		{Text: v.T("clients.modes-query"), Selected: chosen == "" || chosen == client.ModeQuery},
		{Value: client.ModeFormPost, Text: v.T("clients.modes-form"), Selected: chosen == client.ModeFormPost},
		{Value: client.ModeFragment, Text: v.T("clients.modes-fragment"), Selected: chosen == client.ModeFragment},
	}}
	if len(s.ResponseModes) > 1 {
		p.Options = append(p.Options, ui.Option{Value: chosen, Text: strings.Join(s.ResponseModes, ", "), Selected: true})
	}
	return p
}

// serviceForm changes how an application shows who it is: all that there is to change of a service.
func (d *desk) serviceForm(a client.Client) *smallForm {
	v := d.v
	f := &smallForm{
		ID: "h-settings", Title: v.T("clients.settings"), Action: "/admin/clients/" + a.ID, Method: "post", Button: v.T("clients.save"), Keep: true,
		Hidden: map[string]string{"shown": operate.Shown(a.Settings)}, Fields: []ui.Part{d.reasonField()},
	}
	if !a.Type.Secretless() {
		keys := ui.Part{Name: "jwks", Label: v.T("clients.keys"), Hint: v.T("clients.keys-hint"), Value: a.Settings.JWKS.Text()}
		if d.in != nil {
			keys.Value = d.in["jwks"]
		}
		f.Lines = []ui.Part{keys}
		serves := ui.Part{Name: "serves", Label: v.T("clients.serves"), Hint: v.T("clients.serves-hint"), Value: strings.Join(a.Settings.Serves, "\n")}
		if d.in != nil {
			serves.Value = d.in["serves"]
		}
		f.Lines = append(f.Lines, serves)
		uri := ui.Part{Name: "jwks_uri", Label: v.T("clients.keys-uri"), Hint: v.T("clients.keys-uri-hint"), Value: a.Settings.JWKSURI, LTR: true, Max: 2048}
		if d.in != nil {
			uri.Value = d.in["jwks_uri"]
		}
		f.Fields = append([]ui.Part{uri}, f.Fields...)
	}
	return d.resourceFields(f, a)
}

// resourceFields choose which resources an application may ask tokens for, and which scopes it may have.
func (d *desk) resourceFields(f *smallForm, a client.Client) *smallForm {
	v, s := d.v, a.Settings
	if d.in != nil {
		s, _ = d.clientSettings(a)
	}
	hint := v.T("clients.resources-hint")
	if !a.Type.SignsIn() {
		hint = v.T("clients.resources-service")
	}
	f.Lines = append(f.Lines, ui.Part{Name: "resources", Label: v.T("clients.resources"), Hint: hint, Value: strings.Join(s.Resources, "\n")})
	f.Fields = append([]ui.Part{
		{Name: "default_resource", Label: v.T("clients.default-resource"), Hint: v.T("clients.default-resource-hint"), Value: s.DefaultResource, LTR: true,
			Max: 512},
		{Name: "scopes", Label: v.T("clients.scopes"), Hint: v.T("clients.scopes-hint"), Value: strings.Join(s.Scopes, " "), LTR: true},
	}, f.Fields...)
	return f
}

// clientSettings are those of the form. What the form of the application's type does not have stays as it is. What is wrong with the
// keys is the error.
func (d *desk) clientSettings(a client.Client) (s client.Settings, err error) {
	s = a.Settings
	text := func(name string, to *string) {
		if v, ok := d.in[name]; ok {
			*to = strings.TrimSpace(v)
		}
	}
	list := func(name string, to *[]string, split func(string) []string) {
		if v, ok := d.in[name]; ok {
			*to = split(v)
		}
	}
	yes := func(name string, to *bool) {
		if v, ok := d.in[name]; ok {
			*to = v != ""
		}
	}
	text("title", &s.Title)
	text("require_acr", &s.RequireACR)
	text("backchannel_logout_uri", &s.BackchannelLogoutURI)
	text("id_token_alg", &s.IDTokenAlg)
	text("jwks_uri", &s.JWKSURI)
	text("default_resource", &s.DefaultResource)
	list("redirect_uris", &s.RedirectURIs, strings.Fields)
	list("post_logout_redirect_uris", &s.PostLogoutURIs, strings.Fields)
	list("response_modes", &s.ResponseModes, strings.Fields)
	list("resources", &s.Resources, strings.Fields)
	list("scopes", &s.Scopes, strings.Fields)
	list("serves", &s.Serves, strings.Fields)
	list("require_roles", &s.RequireRoles, words)
	yes("first_party", &s.FirstParty)
	yes("require_par", &s.RequirePAR)
	yes("backchannel_logout_session_required", &s.BackchannelLogoutSessionRequired)
	yes("pkce_optional", &s.PKCEOptional)
	yes("lean_id_token", &s.LeanIDToken)
	if v, ok := d.in["jwks"]; ok {
		s.JWKS, err = client.ParseKeys(v)
	}
	return s, err
}

func (c *Console) doSettings(d *desk) error {
	id := d.r.PathValue("id")
	a, err := c.Operations.Client(d.r.Context(), id)
	if err != nil {
		return err
	}
	settings, err := d.clientSettings(a)
	if err != nil {
		return d.again(err, d.showClient)
	}
	if _, err := c.Operations.ChangeClient(d.r.Context(), id, &settings, d.in["shown"], nil, d.in["reason"], d.who, web.Origin(d.r)); err != nil {
		return d.again(err, d.showClient)
	}
	return d.done("/admin/clients/"+id, operate.ActSetClient)
}

func (c *Console) askDisable(d *desk) error { return d.turnOff(http.StatusOK) }

func (d *desk) turnOff(status int) error {
	v := d.v
	return d.asks(status, "/admin/keys", operate.Changes, ui.Ask{
		Title: v.T("client-off.title"), Text: v.H("client-off.text"), Action: d.r.URL.Path, Cancel: "/admin/clients/" + d.r.PathValue("id"), Reason: true,
		Button: v.T("client-off.button"), Danger: true, Stays: []string{v.T("ask.at-once"), v.T("client-off.stays")},
	})
}

func (c *Console) doDisable(d *desk) error { return d.turn(true, d.turnOff) }

func (c *Console) askEnable(d *desk) error { return d.turnOn(http.StatusOK) }

func (d *desk) turnOn(status int) error {
	v := d.v
	return d.asks(status, "/admin/keys", operate.Changes, ui.Ask{
		Title: v.T("client-on.title"), Text: v.H("client-on.text"), Action: d.r.URL.Path, Cancel: "/admin/clients/" + d.r.PathValue("id"), Reason: true,
		Button: v.T("client-on.button"),
	})
}

func (c *Console) doEnable(d *desk) error { return d.turn(false, d.turnOn) }

// turn has an application refused, or taken again.
func (d *desk) turn(off bool, show func(status int) error) error {
	id := d.r.PathValue("id")
	if _, err := d.Operations.ChangeClient(d.r.Context(), id, nil, "", &off, d.in["reason"], d.who, web.Origin(d.r)); err != nil {
		return d.again(err, show)
	}
	return d.done("/admin/clients/"+id, operate.ActSetClient)
}

func (c *Console) askSecret(d *desk) error { return d.newSecret(http.StatusOK) }

func (d *desk) newSecret(status int) error {
	v := d.v
	return d.asks(status, "/admin/keys", operate.Changes, ui.Ask{
		Title: v.T("secret.title"), Text: v.H("secret.text"), Action: d.r.URL.Path, Cancel: "/admin/clients/" + d.r.PathValue("id"), Reason: true,
		Button: v.T("clients.new-secret"), Danger: true,
	})
}

// keepSecret is how long the old secret of an application goes on.
const keepSecret = 24 * time.Hour

func (c *Console) doSecret(d *desk) error {
	a, secret, err := c.Operations.RotateClient(d.r.Context(), d.r.PathValue("id"), keepSecret, d.in["reason"], d.who, web.Origin(d.r))
	if err != nil {
		return d.again(err, d.newSecret)
	}
	return d.showSecret(a, secret)
}

func (c *Console) askDelete(d *desk) error { return d.deleteClient(http.StatusOK) }

func (d *desk) deleteClient(status int) error {
	v := d.v
	return d.asks(status, "/admin/keys", operate.Changes, ui.Ask{
		Title: v.T("delete.title"), Text: v.H("delete.text"), Action: d.r.URL.Path, Cancel: "/admin/clients/" + d.r.PathValue("id"), Reason: true,
		Button: v.T("clients.delete"), Danger: true, Stays: []string{v.T("ask.at-once"), v.T("ask.no-way-back")},
	})
}

func (c *Console) doDelete(d *desk) error {
	if err := c.Operations.RemoveClient(d.r.Context(), d.r.PathValue("id"), d.in["reason"], d.who, web.Origin(d.r)); err != nil {
		return d.again(err, d.deleteClient)
	}
	return d.done("/admin/keys", operate.ActNoClient)
}
