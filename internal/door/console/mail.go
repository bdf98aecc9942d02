package console

import (
	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// mail is the outbox.
func (c *Console) mail(d *desk) error {
	v, q := d.v, d.query()
	dead := q.Get("dead") != ""
	before := q.Get("cursor")
	if !isID(before) {
		before = ""
	}
	list, more, err := c.Operations.Mails(d.r.Context(), before, dead, pageSize)
	if err != nil {
		return err
	}
	p := listPage{Title: v.T("desk.mail"), Sub: v.H("mail.text"), Done: d.said()}
	p.Filter = &filterForm{Segments: []segment{{"/admin/mail", v.T("mail.all"), !dead}, {"/admin/mail?dead=1", v.T("mail.dead"), dead}}}
	if dead && len(list) > 0 && d.rules() {
		p.Form = &smallForm{ID: "h-again", Title: v.T("mail.again"), Action: "/admin/mail", Method: "post", Button: v.T("mail.again")}
	}
	out := card{ID: "list", Title: v.T("desk.mail")}
	if len(list) == 0 {
		out.Empty = &emptyList{"mail", v.T("mail.none"), v.T("mail.none-text"), "", ""}
	} else {
		out.Table = &ui.Table{Caption: v.T("desk.mail"), Columns: columns(v.T("mail.kind"), "", v.T("people.state"), "", v.T("mail.to"), "opt",
			v.T("mail.queued"), "keep opt2", v.T("mail.tries"), "num opt", v.T("mail.error"), "opt")}
		for _, e := range list {
			out.Table.Rows = append(out.Table.Rows, ui.Row{Cells: []ui.Cell{
				{Text: e.Kind, Code: true}, {Tag: d.mailState(e.State()), Level: mailLevels[e.State()], Text: ""}, {Text: e.To, Class: "opt"},
				{Text: d.clock(e.QueuedAt), Class: "keep opt2"}, {Text: v.L.Number(int64(e.Tries)), Class: "num opt"}, {Text: e.Error, Class: "opt"},
			}})
		}
	}
	p.Cards, p.Pager = []card{out}, &ui.Pager{Text: v.T("desk.shown", "n", len(list))}
	if more {
		p.Pager.Older = with("/admin/mail", q, "cursor", list[len(list)-1].ID)
	}
	return d.show("list", "/admin/mail", p)
}

var mailLevels = map[string]string{"dead": "bad", "expired": "warn", "waiting": "thin"}

func (d *desk) mailState(s string) string {
	switch s {
	case "sent":
		return d.v.T("mail.sent")
	case "dead":
		return d.v.T("mail.dead")
	case "expired":
		return d.v.T("mail.expired")
	}
	return d.v.T("mail.waiting")
}

func (c *Console) doRetry(d *desk) error {
	if _, err := c.Operations.RetryDeadMails(d.r.Context(), d.who, web.Origin(d.r)); err != nil {
		return err
	}
	return d.done("/admin/mail", operate.ActRetryMail)
}
