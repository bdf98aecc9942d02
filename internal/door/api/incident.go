package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/incident"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockdown"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
)

// Incidents are the bad days as administrators work on them.
type Incidents struct {
	Administrators
	Desk *respond.Desk
	// Service is what the installation is called in reports.
	Service string
}

// Routes are its operations.
func (a *Incidents) Routes() web.Routes {
	return web.Routes{
		"GET /v1/admin/incidents":                                a.administrator(operate.Reads, a.list),
		"POST /v1/admin/incidents":                               a.administrator(operate.Changes, a.open),
		"GET /v1/admin/incidents/{id}":                           a.administrator(operate.Reads, a.show),
		"POST /v1/admin/incidents/{id}/notes":                    a.administrator(operate.Changes, a.note),
		"POST /v1/admin/incidents/{id}/steps":                    a.administrator(operate.Changes, a.step),
		"POST /v1/admin/incidents/{id}/actions":                  a.administrator(operate.Changes, a.contain),
		"POST /v1/admin/incidents/{id}/actions/{action}/undo":    a.administrator(operate.Changes, a.undo),
		"POST /v1/admin/incidents/{id}/actions/{action}/stop":    a.administrator(operate.Changes, a.stop),
		"POST /v1/admin/incidents/{id}/actions/{action}/approve": a.administrator(operate.Changes, a.approve),
		"POST /v1/admin/incidents/{id}/scope":                    a.administrator(operate.Changes, a.scope),
		"POST /v1/admin/incidents/{id}/notices":                  a.administrator(operate.Changes, a.notify),
		"GET /v1/admin/incidents/{id}/report":                    a.administrator(operate.Reads, a.report),
		"POST /v1/admin/incidents/{id}/close":                    a.administrator(operate.Changes, a.close),
	}
}

// incidentAnswer is an incident in a list.
type incidentAnswer struct {
	Name        string  `json:"name"`
	Title       string  `json:"title"`
	Alert       string  `json:"alert,omitempty"`
	BeganAt     *string `json:"began_at"`
	AwareAt     string  `json:"aware_at"`
	DueAt       string  `json:"due_at"`
	OpenedAt    string  `json:"opened_at"`
	ContainedAt *string `json:"contained_at"`
	RecoveredAt *string `json:"recovered_at"`
	ClosedAt    *string `json:"closed_at"`
	Lessons     string  `json:"lessons,omitempty"`
}

func answerIncident(i incident.Incident) incidentAnswer {
	return incidentAnswer{
		Name: i.Name(), Title: i.Title, Alert: i.Alert, BeganAt: stampOrNull(i.BeganAt), AwareAt: stamp(i.AwareAt), DueAt: stamp(i.Due()),
		OpenedAt: stamp(i.OpenedAt), ContainedAt: stampOrNull(i.ContainedAt), RecoveredAt: stampOrNull(i.RecoveredAt),
		ClosedAt: stampOrNull(i.ClosedAt), Lessons: i.Lessons,
	}
}

// containedAnswer is an action.
type containedAnswer struct {
	ID      string           `json:"id"`
	Action  string           `json:"action"`
	State   incident.State   `json:"state"`
	Wants   json.RawMessage  `json:"wants"`
	Reason  string           `json:"reason"`
	By      string           `json:"by"`
	Touched map[string]int64 `json:"touched"`
	BeganAt string           `json:"began_at"`
	EndedAt *string          `json:"ended_at"`
	// Approved and Expires are of those that take somebody else's approval.
	Approved string  `json:"approved_by,omitempty"`
	Expires  *string `json:"expires_at,omitempty"`
	Secret   string  `json:"client_secret,omitempty"`
}

func answerContained(a incident.Action) containedAnswer {
	return containedAnswer{
		ID: a.ID, Action: a.Does, State: a.State, Wants: a.Wants, Reason: a.Why, By: a.Actor, Touched: a.Touched, BeganAt: stamp(a.BeganAt),
		EndedAt: stampOrNull(a.EndedAt), Approved: a.ApprovedBy, Expires: stampOrNull(a.ExpiresAt),
	}
}

type entryAnswer struct {
	Time   string             `json:"time"`
	Kind   incident.EntryKind `json:"kind"`
	By     string             `json:"by"`
	Action string             `json:"action,omitempty"`
	Text   string             `json:"text"`
}

type stepAnswer struct {
	Step   incident.Step `json:"step"`
	Text   string        `json:"text"`
	DoneAt *string       `json:"done_at"`
	By     string        `json:"by,omitempty"`
}

func (a *Incidents) list(w http.ResponseWriter, r *http.Request, _ flow.Identity) error {
	q, limit, err := limited(r, "cursor")
	if err != nil {
		return err
	}
	before := int64(0)
	if s := q.Get("cursor"); s != "" {
		if before, err = strconv.ParseInt(s, 10, 64); err != nil || before < 1 {
			return fault.Field("cursor", "invalid_cursor", "The cursor is the next_cursor of an earlier answer.")
		}
	}
	list, more, err := a.Desk.List(r.Context(), before, limit)
	if err != nil {
		return err
	}
	out := struct {
		Incidents []incidentAnswer `json:"incidents"`
		Next      string           `json:"next_cursor,omitempty"`
	}{Incidents: make([]incidentAnswer, 0, len(list))}
	for _, i := range list {
		out.Incidents = append(out.Incidents, answerIncident(i))
	}
	if more {
		out.Next = strconv.FormatInt(list[len(list)-1].N, 10)
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

// parseTime reads a time of a body, which may be left out.
func parseTime(field, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return at, fault.Field(field, "invalid_time", "Write the time like 2030-01-31T12:00:00Z.")
	}
	return at, nil
}

func (a *Incidents) open(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	var in struct {
		Title string `json:"title"`
		Alert string `json:"alert"`
		Began string `json:"began_at"`
		Aware string `json:"aware_at"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	o := respond.Opening{Title: in.Title, Alert: in.Alert}
	var err error
	if o.Began, err = parseTime("began_at", in.Began); err != nil {
		return err
	}
	if o.Aware, err = parseTime("aware_at", in.Aware); err != nil {
		return err
	}
	i, err := a.Desk.Open(r.Context(), o, byOf(r, who))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusCreated, answerIncident(i))
}

// numbered is which incident a path names; 0 is none, of which the desk says so once all else is well-formed.
func numbered(r *http.Request) int64 {
	n, err := incident.ParseName(r.PathValue("id"))
	if err != nil {
		return 0
	}
	return n
}

// byOf is on whose behalf a request does something.
func byOf(r *http.Request, who flow.Identity) respond.By {
	return respond.By{Who: who, Origin: web.Origin(r)}
}

func (a *Incidents) show(w http.ResponseWriter, r *http.Request, _ flow.Identity) error {
	n := numbered(r)
	s, err := a.Desk.Show(r.Context(), n)
	if err != nil {
		return err
	}
	out := struct {
		incidentAnswer
		People   int64             `json:"people"`
		Actions  []containedAnswer `json:"actions"`
		Timeline []entryAnswer     `json:"timeline"`
		Steps    []stepAnswer      `json:"steps"`
	}{incidentAnswer: answerIncident(s.Incident), People: s.People, Actions: []containedAnswer{}, Timeline: []entryAnswer{}}
	for _, one := range s.Actions {
		out.Actions = append(out.Actions, answerContained(one))
	}
	for _, e := range s.Timeline {
		out.Timeline = append(out.Timeline, entryAnswer{stamp(e.Time), e.Kind, e.Actor, e.Action, e.Text})
	}
	for _, step := range incident.Steps {
		done := s.Done[step]
		out.Steps = append(out.Steps, stepAnswer{step, respond.StepText(step), stampOrNull(done.At), done.Actor})
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

// done answers a change about an incident that says nothing.
func (a *Incidents) done(w http.ResponseWriter, err error) error {
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *Incidents) note(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	var in struct {
		Text string `json:"text"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	n := numbered(r)
	return a.done(w, a.Desk.Note(r.Context(), n, in.Text, byOf(r, who)))
}

func (a *Incidents) step(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	var in struct {
		Step string `json:"step"`
		Done bool   `json:"done"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	if len(in.Step) > mostStep {
		return fault.Field("step", "invalid_step", "%s", respond.ErrNoStep.Message)
	}
	n := numbered(r)
	return a.done(w, a.Desk.Tick(r.Context(), n, incident.Step(in.Step), in.Done, byOf(r, who)))
}

func (a *Incidents) close(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	var in struct {
		Lessons string `json:"lessons"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	n := numbered(r)
	return a.done(w, a.Desk.Close(r.Context(), n, in.Lessons, byOf(r, who)))
}

// mostStep is longer than the name of any step, in bytes.
const mostStep = 32

// containing is an order as a body has it.
type containing struct {
	Action   string            `json:"action"`
	Users    []string          `json:"users"`
	Networks []string          `json:"networks"`
	Device   string            `json:"device"`
	Since    string            `json:"since"`
	Before   string            `json:"before"`
	All      bool              `json:"all"`
	Purposes []keyring.Purpose `json:"purposes"`
	Client   string            `json:"client"`
	Doors    []lockdown.Door   `json:"doors"`
	Minutes  int64             `json:"minutes"`
	Confirm  bool              `json:"confirm"`
	Reason   string            `json:"reason"`
}

// mostMinutes is how long anything of an order lasts: a year.
const mostMinutes = 366 * 24 * 60

// order reads it; own is the address of whoever asks.
func (in containing) order(own netip.Addr) (o respond.Order, err error) {
	if in.Minutes < 0 || in.Minutes > mostMinutes {
		return o, fault.Field("minutes", "invalid_order", "It lasts up to %d minutes.", mostMinutes)
	}
	o = respond.Order{
		Does: in.Action, Users: in.Users, Device: in.Device, All: in.All, Purposes: in.Purposes, Client: in.Client, Doors: in.Doors,
		For: time.Duration(in.Minutes) * time.Minute, Why: in.Reason, Confirmed: in.Confirm, Own: []netip.Addr{own},
	}
	if o.Networks, err = parseNetworks(in.Networks); err != nil {
		return o, err
	}
	if o.Since, err = parseTime("since", in.Since); err != nil {
		return o, err
	}
	o.Before, err = parseTime("before", in.Before)
	return o, err
}

// previewAnswer is a dry run.
type previewAnswer struct {
	DryRun  bool             `json:"dry_run"`
	Action  string           `json:"action"`
	Touches map[string]int64 `json:"touches"`
	Exact   bool             `json:"exact"`
	Sample  []personAnswer   `json:"sample"`
	Warning string           `json:"warning,omitempty"`
	Waits   bool             `json:"approval_needed,omitempty"`
}

func answerPreview(does string, p respond.Preview) previewAnswer {
	out := previewAnswer{DryRun: true, Action: does, Touches: p.Touches, Exact: p.Exact, Sample: []personAnswer{}, Waits: p.Waits}
	if f := fault.As(p.Caught); f != nil {
		out.Warning = f.Message
	}
	for _, one := range p.Sample {
		out.Sample = append(out.Sample, personAnswer{one.ID, one.Email, one.Name})
	}
	return out
}

func (a *Incidents) contain(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	dry, err := dryRun(r)
	if err != nil {
		return err
	}
	var in containing
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	n := numbered(r)
	o, err := in.order(web.Origin(r).Address)
	if err != nil {
		return err
	}
	if dry {
		p, err := a.Desk.PreviewFor(r.Context(), n, o)
		if err != nil {
			return err
		}
		return web.WriteJSON(w, http.StatusOK, answerPreview(o.Does, p))
	}
	done, err := a.Desk.Contain(r.Context(), n, o, byOf(r, who))
	if err != nil {
		return err
	}
	status := http.StatusCreated
	if done.State == incident.Waiting {
		status = http.StatusAccepted
	}
	out := answerContained(done.Action)
	out.Secret = done.Secret
	return web.WriteJSON(w, status, out)
}

// approve has an action done that waits for somebody else, or says what it would touch.
func (a *Incidents) approve(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	dry, err := dryRun(r)
	if err != nil {
		return err
	}
	var in struct {
		Reason string `json:"reason"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	n, id := numbered(r), r.PathValue("action")
	if dry {
		waits, p, err := a.Desk.PreviewWaiting(r.Context(), n, id)
		if err != nil {
			return err
		}
		return web.WriteJSON(w, http.StatusOK, answerPreview(waits.Does, p))
	}
	done, err := a.Desk.Approve(r.Context(), n, id, in.Reason, byOf(r, who))
	if err != nil {
		return err
	}
	out := answerContained(done.Action)
	out.Secret = done.Secret
	return web.WriteJSON(w, http.StatusCreated, out)
}

func (a *Incidents) undo(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	return a.end(w, r, who, a.Desk.Undo)
}

func (a *Incidents) stop(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	return a.end(w, r, who, a.Desk.Stop)
}

// end takes an action back, or stops it.
func (a *Incidents) end(w http.ResponseWriter, r *http.Request, who flow.Identity,
	end func(ctx context.Context, n int64, id, why string, by respond.By) (incident.Action, error),
) error {
	var in struct {
		Reason string `json:"reason"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	n := numbered(r)
	done, err := end(r.Context(), n, r.PathValue("action"), in.Reason, byOf(r, who))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, answerContained(done))
}
