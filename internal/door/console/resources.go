package console

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// resourceAt is the page of a resource.
func resourceAt(uri string) string { return "/admin/resource?uri=" + url.QueryEscape(uri) }

// resourcesCard lists the registered resources.
func (d *desk) resourcesCard(list []client.Resource) card {
	v := d.v
	in := card{ID: "resources", Title: v.T("resources.list")}
	if len(list) == 0 {
		in.Empty = &emptyList{"net", v.T("resources.none"), v.T("resources.none-text"), "", ""}
		return in
	}
	in.Table = &ui.Table{Caption: v.T("resources.list"), Columns: columns(v.T("resources.name"), "", v.T("resources.scopes"), "opt2",
		v.T("resources.open"), "opt")}
	for _, r := range list {
		in.Table.Rows = append(in.Table.Rows, ui.Row{Cells: []ui.Cell{
			{Text: r.Name, Small: r.URI, Href: resourceAt(r.URI)}, {Text: strings.Join(scopesOf(r), ", "), Class: "opt2"},
			{Text: d.openness(r.Open), Class: "opt"},
		}})
	}
	return in
}

func scopesOf(r client.Resource) (names []string) {
	for _, s := range r.Scopes {
		names = append(names, s.Name)
	}
	return names
}

func (d *desk) openness(open bool) string {
	if open {
		return d.v.T("resources.open-yes")
	}
	return d.v.T("resources.open-no")
}

func (c *Console) askResource(d *desk) error { return d.newResource(http.StatusOK) }

func (d *desk) newResource(status int) error {
	if !d.rules() {
		return errNotYours
	}
	v := d.v
	f := d.resourceForm(d.resourceIn(""))
	f.Action, f.Button = "/admin/resources/new", v.T("resources.new")
	f.Fields = append([]ui.Part{
		{Name: "uri", ID: "uri", Label: "URI", Hint: v.T("resources.uri-hint"), Value: d.in["uri"], Required: true, LTR: true, Max: 512},
	}, f.Fields...)
	return d.showStatus(status, "list", "/admin/keys", listPage{Title: v.T("resources.new"), Sub: v.H("resources.new-text"), Form: f})
}

// resourceForm has all of a resource but its URI.
func (d *desk) resourceForm(r client.Resource) *smallForm {
	v := d.v
	return &smallForm{
		ID: "h-resource", Title: v.T("resources.about"), Method: "post", Keep: true,
		Fields: []ui.Part{
			{Name: "name", ID: "name", Label: v.T("resources.name"), Hint: v.T("resources.name-hint"), Value: r.Name, Required: true, Max: 100},
			d.reasonField(),
		},
		Selects: []ui.Part{{Name: "open", ID: "open", Label: v.T("resources.open"), Options: []ui.Option{
			{Text: v.T("resources.open-no"), Selected: !r.Open}, {Value: "1", Text: v.T("resources.open-yes"), Selected: r.Open},
		}}},
		Lines: []ui.Part{{Name: "scopes", Label: v.T("resources.scopes"), Hint: v.T("resources.scopes-hint"), Value: strings.Join(r.ScopeLines(), "\n")}},
	}
}

// resourceIn is what a form says of a resource: on each line a scope, and behind a space what people are told of it.
func (d *desk) resourceIn(uri string) client.Resource {
	return client.Resource{
		URI: uri, Name: strings.TrimSpace(d.in["name"]), Open: d.in["open"] != "", Scopes: client.ParseScopes(strings.Split(d.in["scopes"], "\n")),
	}
}

func (c *Console) doResource(d *desk) error {
	r := d.resourceIn(strings.TrimSpace(d.in["uri"]))
	if _, err := c.Operations.AddResource(d.r.Context(), r, d.in["reason"], d.who, web.Origin(d.r)); err != nil {
		return d.again(err, d.newResource)
	}
	return d.done(resourceAt(r.URI), operate.ActNewResource)
}

// resource is one of them.
func (c *Console) resource(d *desk) error { return d.showResource(http.StatusOK) }

func (d *desk) showResource(status int) error {
	r, err := d.Operations.Resource(d.r.Context(), d.query().Get("uri"))
	if err != nil {
		return err
	}
	v := d.v
	facts := card{ID: "facts", Title: v.T("resources.about"), Table: &ui.Table{Caption: v.T("resources.about"), Columns: columns("URI", "",
		v.T("resources.scopes"), "opt2", v.T("resources.open"), "opt"), Rows: []ui.Row{{Cells: []ui.Cell{
		{Text: r.URI, Code: true}, {Text: strings.Join(scopesOf(r), ", "), Class: "opt2"}, {Text: d.openness(r.Open), Class: "opt"},
	}}}}}
	p := listPage{Title: r.Name, Done: d.said(), Cards: []card{facts}}
	switch {
	case r.Disabled:
		p.Sub = v.H("resources.off")
	case r.FromFile:
		p.Sub = v.H("resources.from-file")
	}
	if d.rules() && !r.FromFile {
		p.Actions = []ui.Link{{Href: "/admin/resource/delete?uri=" + url.QueryEscape(r.URI), Text: v.T("resources.delete")}}
		shown := operate.Shown(r)
		if d.in != nil { // what was refused stays in the form
			r = d.resourceIn(r.URI)
		}
		p.Form = d.resourceForm(r)
		p.Form.Action, p.Form.Button, p.Form.Hidden = resourceAt(r.URI), v.T("resources.save"), map[string]string{"shown": shown}
	}
	return d.showStatus(status, "list", "/admin/keys", p)
}

func (c *Console) doSetResource(d *desk) error {
	r := d.resourceIn(d.query().Get("uri"))
	if _, err := c.Operations.ChangeResource(d.r.Context(), r, d.in["shown"], d.in["reason"], d.who, web.Origin(d.r)); err != nil {
		return d.again(err, d.showResource)
	}
	return d.done(resourceAt(r.URI), operate.ActSetResource)
}

func (c *Console) askNoResource(d *desk) error { return d.deleteResource(http.StatusOK) }

func (d *desk) deleteResource(status int) error {
	v, uri := d.v, d.query().Get("uri")
	return d.asks(status, "/admin/keys", operate.Changes, ui.Ask{
		Title: v.T("resource-gone.title"), Text: v.H("resource-gone.text", "uri", uri), Action: "/admin/resource/delete?uri=" + url.QueryEscape(uri),
		Cancel: resourceAt(uri), Reason: true, Button: v.T("resources.delete"), Danger: true, Stays: []string{v.T("ask.at-once"), v.T("ask.no-way-back")},
	})
}

func (c *Console) doNoResource(d *desk) error {
	if err := c.Operations.RemoveResource(d.r.Context(), d.query().Get("uri"), d.in["reason"], d.who, web.Origin(d.r)); err != nil {
		return d.again(err, d.deleteResource)
	}
	return d.done("/admin/keys", operate.ActNoResource)
}
