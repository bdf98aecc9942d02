package console

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// keys are what signs, and which applications are known.
func (c *Console) keys(d *desk) error {
	v := d.v
	list, err := d.Operations.Clients(d.r.Context())
	if err != nil {
		return err
	}
	resources, err := d.Operations.Resources(d.r.Context())
	if err != nil {
		return err
	}
	p := listPage{Title: v.T("desk.keys"), Sub: v.H("keys.text"), Done: d.said()}
	if d.rules() {
		p.Actions = []ui.Link{{Href: "/admin/clients/new", Text: v.T("clients.new"), Main: true}, {Href: "/admin/resources/new", Text: v.T("resources.new")},
			{Href: "/admin/keys/rotate", Text: v.T("keys.rotate")}}
	}
	signing := card{ID: "keys", Title: v.T("keys.list"), Table: &ui.Table{Caption: v.T("keys.list"), Columns: columns(v.T("keys.key"), "",
		v.T("people.state"), "", v.T("keys.algorithm"), "opt2", v.T("keys.from"), "keep", v.T("keys.until"), "keep opt2")}}
	for _, k := range d.Operations.Keys.Standing() {
		if k.Purpose == keyring.AccessSign {
			signing.Table.Rows = append(signing.Table.Rows, ui.Row{Cells: []ui.Cell{
				{Text: k.Name, Code: true}, {Tag: d.keyState(k.State), Level: keyLevels[k.State], Text: ""}, {Text: k.Algorithm, Class: "opt2"},
				{Text: d.clock(k.From), Class: "keep"}, {Text: d.clock(k.Until), Class: "keep opt2"},
			}})
		}
	}
	p.Cards = []card{signing, d.clientsCard(list), d.resourcesCard(resources)}
	return d.show("list", "/admin/keys", p)
}

var keyLevels = map[operate.KeyState]string{operate.KeyNext: "thin", operate.KeyRevoked: "bad", operate.KeyRetired: "thin"}

func (d *desk) keyState(s operate.KeyState) string {
	switch s {
	case operate.KeySigns:
		return d.v.T("key.signing")
	case operate.KeyNext:
		return d.v.T("key.next")
	case operate.KeyRetired:
		return d.v.T("key.retired")
	case operate.KeyRevoked:
		return d.v.T("key.revoked")
	}
	return d.v.T("key.checks")
}

func (c *Console) askRotate(d *desk) error { return d.rotate(http.StatusOK) }

func (d *desk) rotate(status int) error {
	v := d.v
	return d.asks(status, "/admin/keys", operate.Changes, ui.Ask{
		Title: v.T("rotate.title"), Text: v.H("rotate.text"), Action: "/admin/keys/rotate", Cancel: "/admin/keys", Reason: true, Button: v.T("rotate.button"),
		Stays: []string{v.T("rotate.stays")},
	})
}

func (c *Console) doRotate(d *desk) error {
	if _, err := c.Operations.RotateKey(d.r.Context(), false, d.in["reason"], d.who, web.Origin(d.r)); err != nil {
		return d.again(err, d.rotate)
	}
	return d.done("/admin/keys", operate.ActRotateKey)
}
