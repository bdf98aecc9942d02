package console

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
)

const (
	// scopeEvents is how many events a page has read at most, and scopeShown how many people it lists: the file has all of those, and the
	// command line reads on.
	scopeEvents = 100_000
	scopeShown  = 50
	// scopeNamed is how many of one sort a question names.
	scopeNamed = 100
)

// scopeFields are what a question is made of, in the page's address.
var scopeFields = []string{"users", "network", "device", "session", "clients", "roles", "key", "since", "until", "shared"}

// scopePage asks who was touched, and tells it.
type scopePage struct {
	Name, Path string
	// In is what was asked.
	In map[string]string
	// Found is what the log tells; nil before anything was asked.
	Found *foundScope
}

// foundScope is a scope in words.
type foundScope struct {
	respond.Graph
	Counts, Command, CSV, Stopped string
	People                        *ui.Table
	More                          int
}

// asked are what the page's address asks, and whether it asks anything.
func (d *desk) asked() (in map[string]string, any bool) {
	in = map[string]string{}
	q := d.query()
	for _, name := range scopeFields {
		if s := strings.TrimSpace(q.Get(name)); s != "" && len(s) <= 4096 {
			in[name], any = s, true
		}
	}
	return in, any
}

// question makes a question of it.
func question(in map[string]string) (q respond.Question, err error) {
	q = respond.Question{
		Users: words(in["users"]), Device: in["device"], Session: in["session"], Clients: words(in["clients"]), Roles: words(in["roles"]), Key: in["key"],
		Shared: in["shared"] != "", Most: scopeEvents,
	}
	for _, s := range words(in["network"]) {
		n, err := parseNetwork(s)
		if err != nil {
			return q, err
		}
		q.Networks = append(q.Networks, n)
	}
	for name, n := range map[string]int{"users": len(q.Users), "network": len(q.Networks), "clients": len(q.Clients), "roles": len(q.Roles)} {
		if n > scopeNamed {
			return q, fault.Field(name, "too_many", "The field %s takes %d at most. Use a network or a time, or ask several times.", name, scopeNamed)
		}
	}
	for name, to := range map[string]*time.Time{"since": &q.Since, "until": &q.Until} {
		if in[name] == "" {
			continue
		}
		if *to, err = time.Parse(time.RFC3339, in[name]); err != nil {
			return q, fault.Field(name, "invalid_time", "Write the time like 2030-01-31T12:00:00Z.")
		}
	}
	return q, nil
}

// errAskFirst leads somewhere else before a scope is read.
var errAskFirst = errors.New("console: a sign-in of late comes first")

// scopeOf reads what the address asks, for administrators with a sign-in of late: it names people.
func (d *desk) scopeOf() (s respond.Scope, name string, err error) {
	if !d.rules() {
		return s, "", errNotYours
	}
	if !d.Administrate.Fresh(d.who) {
		return s, "", errors.Join(errAskFirst, seeOther(d.w, d.signInAt(d.r.URL.RequestURI(), true)))
	}
	n, err := d.number()
	if err != nil {
		return s, "", err
	}
	i, err := d.Incidents.Show(d.r.Context(), n)
	if err != nil {
		return s, "", err
	}
	in, any := d.asked()
	if !any {
		return s, i.Name(), nil
	}
	q, err := question(in)
	if err != nil {
		return s, i.Name(), err
	}
	q.Began = i.BeganAt
	s, err = d.Incidents.Scope(d.r.Context(), q)
	return s, i.Name(), err
}

// scope says who was touched.
func (c *Console) scope(d *desk) error {
	s, name, err := d.scopeOf()
	switch {
	case errors.Is(err, errAskFirst):
		return nil
	case fault.KindOf(err) == fault.Invalid && err != nil:
		return d.again(err, func(status int) error { return d.showScope(status, name, nil) })
	case err != nil:
		return err
	}
	if _, any := d.asked(); !any {
		return d.showScope(http.StatusOK, name, nil)
	}
	return d.showScope(http.StatusOK, name, &s)
}

func (d *desk) showScope(status int, name string, s *respond.Scope) error {
	in, _ := d.asked()
	p := scopePage{Name: name, Path: "/admin/incidents/" + d.r.PathValue("id"), In: in}
	if s != nil {
		p.Found = d.found(p.Path, name, in, *s)
	}
	return d.showStatus(status, "scope", "/admin/incidents", p)
}

// found puts a scope into words; those of the table are the command line's.
func (d *desk) found(path, name string, in map[string]string, s respond.Scope) *foundScope {
	v, file := d.v, url.Values{}
	for k, value := range in {
		file.Set(k, value)
	}
	vain, got, sessions, reused := s.Counts()
	f := &foundScope{
		Graph: s.Graph(), Command: s.Asked.Command(name, true), CSV: path + "/scope.csv?" + file.Encode(), More: max(0, len(s.People)-scopeShown),
		Counts: v.T("touched.counts", "in", got, "vain", vain, "sessions", sessions, "reused", reused, "living", s.Living),
	}
	if !s.Stopped.IsZero() {
		f.Stopped = v.T("touched.stopped", "read", s.Read, "when", s.Stopped.UTC().Format("2006-01-02 15:04"))
	}
	if len(s.People) == 0 {
		return f
	}
	f.People = &ui.Table{Caption: v.T("touched.people"), Columns: columns(v.T("touched.person"), "", v.T("touched.got-in"), "", v.T("touched.tries"), "num",
		v.T("touched.sign-ins"), "num", v.T("touched.did"), "opt", v.T("touched.last"), "opt keep")}
	for _, p := range s.People[:min(len(s.People), scopeShown)] {
		cells := p.Cells()
		in := ui.Cell{Text: v.T("touched.vain")}
		if p.In() {
			in = ui.Cell{Tag: v.T("touched.in"), Level: "bad"}
		}
		who := ui.Cell{Text: p.Email, Small: p.Account, Href: "/admin/people/" + p.Account}
		if p.Email == "" {
			who = ui.Cell{Text: p.Account}
		}
		f.People.Rows = append(f.People.Rows, ui.Row{Cells: []ui.Cell{
			who, in, {Text: cells[3], Class: "num"}, {Text: cells[4], Class: "num"}, {Text: cells[8], Class: "opt"}, {Text: d.clock(p.Last), Class: "opt keep"},
		}})
	}
	return f
}

// scopeFile hands out everybody who was touched, as CSV.
func (c *Console) scopeFile(d *desk) error {
	s, name, err := d.scopeOf()
	if errors.Is(err, errAskFirst) {
		return nil
	}
	if _, any := d.asked(); err == nil && !any {
		return seeOther(d.w, "/admin/incidents/"+d.r.PathValue("id")+"/scope")
	}
	if err != nil {
		return err
	}
	return web.Download(d.w, d.r, "text/csv; charset=utf-8", s.CSVName(name), func(_ context.Context, to io.Writer) error { return s.WriteCSV(to) })
}

// scopeRoutes are its pages.
func (c *Console) scopeRoutes() web.Routes {
	return web.Routes{
		"GET /admin/incidents/{id}/scope":     c.page(operate.Reads, c.scope),
		"GET /admin/incidents/{id}/scope.csv": c.page(operate.Reads, c.scopeFile),
	}
}
