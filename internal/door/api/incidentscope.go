package api

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/netip"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/block"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
)

const (
	// scopeEvents is how many events a request has read at most, and scopePeople how many people its answer has: the command line has no
	// such bounds.
	scopeEvents = 100_000
	scopePeople = 1000
)

// asking is the question of a scope as a body has it.
type asking struct {
	Users    []string `json:"users" most:"254"`
	Networks []string `json:"networks" most:"64"`
	Device   string   `json:"device" most:"128"`
	Session  string   `json:"session" most:"64"`
	Clients  []string `json:"clients" most:"64"`
	Roles    []string `json:"roles" most:"64"`
	Key      string   `json:"key" most:"64"`
	Shared   bool     `json:"shared"`
	Since    string   `json:"since"`
	Until    string   `json:"until"`
	// Save notes in the incident those whom somebody got in to, Tried also those who were tried in vain.
	Save  bool `json:"save"`
	Tried bool `json:"tried"`
	// Format is json, or csv for a file of everybody, one person a line.
	Format string `json:"format" most:"8"`
}

// mostNamed is how many of one sort a question names.
const mostNamed = 100

func (in asking) question() (q respond.Question, err error) {
	for name, list := range map[string][]string{"users": in.Users, "networks": in.Networks, "clients": in.Clients, "roles": in.Roles} {
		if len(list) > mostNamed {
			return q, fault.Field(name, "too_many", "The field %s takes %d at most. Use a network or a time, or ask several times.", name, mostNamed)
		}
	}
	q = respond.Question{
		Users: in.Users, Device: in.Device, Session: in.Session, Clients: in.Clients, Roles: in.Roles, Key: in.Key, Shared: in.Shared, Most: scopeEvents,
	}
	if q.Networks, err = parseNetworks(in.Networks); err != nil {
		return q, err
	}
	if q.Since, err = parseTime("since", in.Since); err != nil {
		return q, err
	}
	q.Until, err = parseTime("until", in.Until)
	return q, err
}

func parseNetworks(texts []string) (list []netip.Prefix, err error) {
	for _, s := range texts {
		n, err := block.ParseNetwork(s)
		if err != nil {
			return nil, fault.Field("networks", "invalid_network", "%q is not an address or a network: write 203.0.113.7 or 2001:db8::/48.", s)
		}
		list = append(list, n)
	}
	return list, nil
}

type birthAnswer struct {
	Session string `json:"session"`
	At      string `json:"at"`
	Address string `json:"address"`
	Device  string `json:"device"`
}

// touchAnswer is what happened to one person.
type touchAnswer struct {
	Account  string               `json:"account"`
	Email    string               `json:"email"`
	GotIn    bool                 `json:"got_in"`
	Tries    int64                `json:"tries"`
	SignIns  int64                `json:"sign_ins"`
	Reused   int64                `json:"tokens_reused"`
	Sessions []string             `json:"sessions"`
	Births   []birthAnswer        `json:"born_of"`
	Given    map[string]int64     `json:"given_to"`
	Did      map[event.Kind]int64 `json:"did"`
	First    string               `json:"first"`
	Last     string               `json:"last"`
}

type sourceAnswer struct {
	Network   string `json:"network"`
	Addresses int64  `json:"addresses"`
	Tries     int64  `json:"tries"`
	SignIns   int64  `json:"sign_ins"`
}

type givenAnswer struct {
	Client  string   `json:"client"`
	Name    string   `json:"name"`
	Grants  int64    `json:"grants"`
	People  int64    `json:"people"`
	Living  int64    `json:"not_ended"`
	Offline int64    `json:"offline"`
	Scopes  []string `json:"scopes"`
}

type otherAnswer struct {
	Account  string `json:"account"`
	Email    string `json:"email"`
	Network  string `json:"network"`
	Same     bool   `json:"same_device"`
	Sessions int64  `json:"sessions"`
}

// scopeAnswer is who was touched, as far as the log tells.
type scopeAnswer struct {
	GotIn    int64                `json:"got_in"`
	InVain   int64                `json:"in_vain"`
	Unknown  int64                `json:"unknown_addresses"`
	Sessions int64                `json:"sessions"`
	Reused   int64                `json:"tokens_reused"`
	Living   int64                `json:"other_sessions"`
	Read     int                  `json:"events_read"`
	Stopped  *string              `json:"stopped_at"`
	Saved    *int64               `json:"saved,omitempty"`
	Sources  []sourceAnswer       `json:"sources"`
	Did      map[event.Kind]int64 `json:"did"`
	Given    []givenAnswer        `json:"given_to"`
	Others   []otherAnswer        `json:"others"`
	People   []touchAnswer        `json:"people"`
	// More is how many people the answer leaves out.
	More  int    `json:"more_people"`
	Graph string `json:"graph_svg"`
}

func answerScope(s respond.Scope) (out scopeAnswer, err error) {
	vain, in, sessions, reused := s.Counts()
	out = scopeAnswer{
		GotIn: in, InVain: vain, Unknown: s.Unknown, Sessions: sessions, Reused: reused, Living: s.Living, Read: s.Read, Stopped: stampOrNull(s.Stopped),
		Sources: []sourceAnswer{}, Did: s.Done, Given: []givenAnswer{}, Others: []otherAnswer{}, People: []touchAnswer{},
		More: max(0, len(s.People)-scopePeople),
	}
	for _, one := range s.Sources[:min(len(s.Sources), scopePeople)] {
		out.Sources = append(out.Sources, sourceAnswer{one.Network, one.Addresses, one.Tries, one.Ins})
	}
	for _, g := range s.Given {
		out.Given = append(out.Given, givenAnswer{g.Client, g.Name, g.Grants, g.People, g.Living, g.Offline, append([]string{}, g.Scopes...)})
	}
	for _, o := range s.Others {
		out.Others = append(out.Others, otherAnswer(o))
	}
	for _, p := range s.People[:min(len(s.People), scopePeople)] {
		one := touchAnswer{
			p.Account, p.Email, p.In(), p.Tries, p.Ins, p.Reused, append([]string{}, p.Sessions...), []birthAnswer{}, p.Given, p.Did, stamp(p.First), stamp(p.Last),
		}
		for _, b := range p.Births {
			one.Births = append(one.Births, birthAnswer{b.Session, stamp(b.At), b.Address, b.Device})
		}
		out.People = append(out.People, one)
	}
	var graph bytes.Buffer
	err = s.Graph().WriteSVG(&graph)
	out.Graph = graph.String()
	return out, err
}

// scope says who was touched, and notes it in the incident if that is asked for.
func (a *Incidents) scope(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	var in asking
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	if in.Format != "" && in.Format != "json" && in.Format != "csv" {
		return fault.Field("format", "invalid_format", "A scope is json or csv.")
	}
	q, err := in.question()
	if err != nil {
		return err
	}
	n := numbered(r)
	i, err := a.Desk.Show(r.Context(), n)
	if err != nil {
		return err
	}
	q.Began = i.BeganAt
	s, err := a.Desk.Scope(r.Context(), q)
	if err != nil {
		return err
	}
	out, err := answerScope(s)
	if err != nil {
		return err
	}
	if in.Save {
		added, err := a.Desk.SaveScope(r.Context(), n, s, q.Command(i.Name(), false), in.Tried, byOf(r, who))
		if err != nil {
			return err
		}
		out.Saved = &added
	}
	if in.Format == "csv" {
		return web.Download(w, r, "text/csv; charset=utf-8", s.CSVName(i.Name()), func(_ context.Context, to io.Writer) error { return s.WriteCSV(to) })
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

// notify mails those whom the incident touches, or says how many that would be and what became of the mails so far.
func (a *Incidents) notify(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	dry, err := dryRun(r)
	if err != nil {
		return err
	}
	var in struct {
		Text   string `json:"text"`
		Rate   int64  `json:"mails_an_hour"`
		Reason string `json:"reason"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	n, notice := numbered(r), respond.Notice{Text: in.Text, Rate: in.Rate, Why: in.Reason}
	if dry {
		_, s, err := a.Desk.NoticePreview(r.Context(), n, notice)
		if err != nil {
			return err
		}
		return web.WriteJSON(w, http.StatusOK, noticeAnswer{true, s.Left, s.Going, s.Waiting, s.Sent, s.Dead})
	}
	done, err := a.Desk.Notify(r.Context(), n, notice, byOf(r, who))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusCreated, answerContained(done))
}

// noticeAnswer is how far notices are.
type noticeAnswer struct {
	DryRun  bool  `json:"dry_run"`
	Left    int64 `json:"people"`
	Going   int64 `json:"going"`
	Waiting int64 `json:"waiting"`
	Sent    int64 `json:"sent"`
	Dead    int64 `json:"given_up"`
}

// reports are the forms of a report, with their types.
var reports = map[string]string{
	"": "text/markdown; charset=utf-8", "markdown": "text/markdown; charset=utf-8", "html": "text/html; charset=utf-8",
	string(respond.ToAuthority): "text/markdown; charset=utf-8", string(respond.ToPeople): "text/markdown; charset=utf-8",
}

// report writes the report of an incident as a file, or the draft of a notice.
func (a *Incidents) report(w http.ResponseWriter, r *http.Request, _ flow.Identity) error {
	q, err := web.Query(r, "format")
	if err != nil {
		return err
	}
	format := q.Get("format")
	contentType, ok := reports[format]
	if !ok {
		return fault.Field("format", "invalid_format", "A report is markdown or html; the drafts are authority and people.")
	}
	s, err := a.Desk.Show(r.Context(), numbered(r))
	if err != nil {
		return err
	}
	report, name := a.Desk.Report(s, a.Service), s.Name()
	var out bytes.Buffer
	switch {
	case format == "html":
		name += ".html"
		err = report.HTML(&out)
	case format == "" || format == "markdown":
		name += ".md"
		err = report.Markdown(&out)
	default:
		name += "-" + format + ".md"
		err = report.WriteDraft(&out, respond.Draft(format))
	}
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	_, _ = w.Write(out.Bytes()) // a client that has gone
	return nil
}
