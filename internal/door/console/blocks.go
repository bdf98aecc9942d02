package console

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/block"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// blocks are the networks that are refused.
func (c *Console) blocks(d *desk) error {
	v := d.v
	before := d.query().Get("cursor")
	if !isID(before) {
		before = ""
	}
	list, more, err := c.Blocks.List(d.r.Context(), before, pageSize)
	if err != nil {
		return err
	}
	p := listPage{Title: v.T("blocks.title"), Sub: v.H("blocks.text"), Done: d.said()}
	if d.rules() {
		p.Form = &smallForm{
			ID: "h-add", Title: v.T("blocks.add"), Action: "/admin/blocks/new", Method: "get", Button: v.T("blocks.preview"),
			Fields: []ui.Part{
				{Name: "network", ID: "network", Label: v.T("blocks.network"), Value: d.query().Get("network"), Required: true, LTR: true},
				{Name: "reason", ID: "reason", Label: v.T("ask.reason"), Required: true, Max: 200},
			},
			Selects: []ui.Part{{Name: "for", ID: "for", Label: v.T("blocks.for"), Options: options("168", "24", v.T("time.days", "n", 1), "168", v.T("time.days",
				"n", 7),
				"720", v.T("time.days", "n", 30), "0", v.T("blocks.forever"))}},
		}
	}
	in := card{ID: "list", Title: v.T("blocks.list")}
	if len(list) == 0 {
		in.Empty = &emptyList{"ban", v.T("blocks.none"), v.T("blocks.none-text"), "", ""}
	} else {
		in.Table = d.blockTable(list)
	}
	p.Cards, p.Pager = []card{in}, &ui.Pager{}
	if more {
		p.Pager.Older = with("/admin/blocks", nil, "cursor", list[len(list)-1].ID)
	}
	return d.show("list", "/admin/blocks", p)
}

func (d *desk) blockTable(list []block.Block) *ui.Table {
	v := d.v
	t := &ui.Table{Caption: v.T("blocks.list"), Columns: columns(v.T("desk.network"), "", v.T("blocks.why"), "", v.T("blocks.since"), "opt keep",
		v.T("blocks.until"), "opt2 keep")}
	if d.rules() {
		t.Columns = append(t.Columns, ui.Column{Text: v.T("desk.do"), Class: ""})
	}
	for _, b := range list {
		until := any(v.T("blocks.forever"))
		if !b.ExpiresAt.IsZero() {
			until = d.clock(b.ExpiresAt)
		}
		cells := []ui.Cell{networkCell(b.Network.String(), ""), {Text: b.Reason}, {Text: d.clock(b.AddedAt), Class: "opt keep"}, {Text: until, Class: "opt2 keep"}}
		if d.rules() {
			cells = append(cells, ui.Cell{Text: v.T("blocks.end"), Href: "/admin/blocks/" + b.ID + "/end"})
		}
		t.Rows = append(t.Rows, ui.Row{Cells: cells})
	}
	return t
}

// askBlock says who uses the network.
func (c *Console) askBlock(d *desk) error {
	q := d.query()
	return d.askNetwork(http.StatusOK, q.Get("network"), q.Get("for"), q.Get("reason"), false)
}

func (d *desk) askNetwork(status int, network, hours, reason string, confirm bool) error {
	v := d.v
	n, err := block.ParseNetwork(strings.TrimSpace(network))
	if err != nil {
		return err
	}
	t, err := d.People.Uses(d.r.Context(), operate.Which{Network: n})
	if err != nil {
		return err
	}
	a := ui.Ask{
		Title: v.T("block.title", "network", n), Text: v.H("block.people", "n", t.People, "sessions", t.Sessions), Table: d.peopleOf(t),
		Action: "/admin/blocks/new", Cancel: "/admin/blocks", Danger: true, Button: v.T("block.button", "network", n),
		Hidden: map[string]string{"network": n.String(), "for": hours, "reason": reason}, Stays: []string{v.T("ask.at-once"), v.T("block.stays")},
	}
	if confirm {
		a.Hidden["confirm"] = "1"
	}
	return d.asks(status, "/admin/blocks", operate.Changes, a)
}

func (c *Console) doBlock(d *desk) error {
	hours, err := strconv.Atoi(d.in["for"])
	if err != nil || hours < 0 || hours > 24*365 {
		hours = 7 * 24
	}
	n := operate.NewBlock{Network: d.in["network"], Reason: d.in["reason"], Confirmed: d.in["confirm"] != ""}
	if hours > 0 {
		n.ExpiresAt = d.Now().Add(time.Duration(hours) * time.Hour)
	}
	from := web.Origin(d.r)
	if _, _, err := c.Blocks.Add(d.r.Context(), n, []netip.Addr{from.Address}, d.who, from); err != nil {
		return d.again(err, func(status int) error {
			return d.askNetwork(status, d.in["network"], d.in["for"], d.in["reason"], fault.KindOf(err) == fault.Conflict)
		})
	}
	return d.done("/admin/blocks", operate.ActBlock)
}

func (c *Console) askUnblock(d *desk) error {
	v := d.v
	return d.asks(http.StatusOK, "/admin/blocks", operate.Changes, ui.Ask{
		Title: v.T("unblock.title"), Text: v.H("unblock.text"), Action: d.r.URL.Path, Cancel: "/admin/blocks", Button: v.T("blocks.end"),
	})
}

func (c *Console) doUnblock(d *desk) error {
	if _, err := c.Blocks.Remove(d.r.Context(), d.r.PathValue("id"), d.who, web.Origin(d.r)); err != nil {
		return err
	}
	return d.done("/admin/blocks", operate.ActUnblock)
}
