package api

import (
	"bufio"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/ops/alert"
)

// Events are the event log, for administrators.
type Events struct {
	Administrators
	Audit *operate.Audit
}

// Routes are its operations.
func (a *Events) Routes() web.Routes {
	return web.Routes{
		"GET /v1/admin/events":        a.administrator(operate.Reads, a.allEvents),
		"GET /v1/admin/events/{id}":   a.administrator(operate.Reads, a.oneEvent),
		"GET /v1/admin/events/export": a.administrator(operate.Reads, a.exportEvents),
	}
}

// auditAnswer is an event as administrators see it.
type auditAnswer struct {
	ID        string        `json:"id"`
	Time      string        `json:"time"`
	Event     event.Kind    `json:"event"`
	Outcome   event.Outcome `json:"outcome"`
	Account   string        `json:"account,omitempty"`
	Session   string        `json:"session_id,omitempty"`
	RequestID string        `json:"request_id,omitempty"`
	Address   string        `json:"address,omitempty"`
	UserAgent string        `json:"user_agent,omitempty"`
	Detail    event.Detail  `json:"detail"`
	Erased    bool          `json:"erased"`
}

func (a *Events) allEvents(w http.ResponseWriter, r *http.Request, _ flow.Identity) error {
	f, limit, err := eventFilter(r)
	if err != nil {
		return err
	}
	list, next, err := a.Audit.Search(r.Context(), f, limit)
	if err != nil {
		return err
	}
	out := struct {
		Events []auditAnswer `json:"events"`
		Next   string        `json:"next_cursor,omitempty"`
	}{Events: make([]auditAnswer, 0, len(list)), Next: next}
	for _, e := range list {
		out.Events = append(out.Events, answerEvent(e))
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

func answerEvent(e event.Entry) auditAnswer {
	return auditAnswer{
		ID: e.ID, Time: stamp(e.Time), Event: e.Kind, Outcome: e.Outcome, Account: e.Account, Session: e.Session,
		RequestID: e.RequestID, Address: e.Address, UserAgent: e.UserAgent, Detail: e.Detail, Erased: e.Erased,
	}
}

// oneEvent is an event with the proof that it stands in the sealed log.
func (a *Events) oneEvent(w http.ResponseWriter, r *http.Request, _ flow.Identity) error {
	s, err := a.Audit.Show(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	out := struct {
		auditAnswer
		Leaf  *int64   `json:"leaf"`
		Hash  string   `json:"hash,omitempty"`
		Proof []string `json:"proof"`
		Size  int64    `json:"log_size"`
		Root  string   `json:"log_root"`
	}{auditAnswer: answerEvent(s.Entry), Proof: []string{}, Size: s.Head.Size, Root: s.Head.Root.String()}
	if s.Leaf >= 0 {
		out.Leaf, out.Hash = &s.Leaf, s.Hash.String()
		for _, h := range s.Proof {
			out.Proof = append(out.Proof, h.String())
		}
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

// exportMost is how many events one export has.
const exportMost = 10_000

// exportEvents writes the events that pass the filters, the newest first, one line of
// JSON each: as many as one export has.
func (a *Events) exportEvents(w http.ResponseWriter, r *http.Request, _ flow.Identity) error {
	f, _, err := eventFilter(r)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(w, 32<<10)
	encode := json.NewEncoder(out)
	for told := 0; told < exportMost; {
		list, next, err := a.Audit.Search(r.Context(), f, min(500, exportMost-told))
		if err != nil && told == 0 {
			return err
		}
		if err != nil {
			panic(http.ErrAbortHandler) // what was written is not whole, and must not look as if it were
		}
		if told == 0 {
			w.Header().Set("Content-Type", "application/x-ndjson")
			w.Header().Set("Content-Disposition", `attachment; filename="events.ndjson"`)
		}
		for _, e := range list {
			if err := encode.Encode(answerEvent(e)); err != nil {
				return nil // the client has gone
			}
		}
		if told, f.Before = told+len(list), next; next == "" {
			break
		}
	}
	_ = out.Flush()
	return nil
}

// eventFilter reads which events are wanted from the query.
func eventFilter(r *http.Request) (f event.Filter, limit int, err error) {
	q, cursor, limit, err := filtered(r, "since", "until", "account", "network", "event", "outcome")
	if err != nil {
		return event.Filter{}, 0, err
	}
	f.Before = cursor
	for _, read := range []func(url.Values, *event.Filter) error{readTimes, readKinds, readWhose} {
		if err := read(q, &f); err != nil {
			return event.Filter{}, 0, err
		}
	}
	return f, limit, nil
}

func readTimes(q url.Values, f *event.Filter) (err error) {
	for name, to := range map[string]*time.Time{"since": &f.Since, "until": &f.Until} {
		if s := q.Get(name); s != "" {
			if *to, err = instant(name, "invalid_time", s); err != nil {
				return err
			}
		}
	}
	return nil
}

// instant reads a time (RFC 3339).
func instant(field, code, s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.Year() < 1970 {
		return time.Time{}, fault.Field(field, code, "Write the time like 2030-01-31T12:00:00Z.")
	}
	return t, nil
}

func readKinds(q url.Values, f *event.Filter) error {
	if s := q.Get("event"); s != "" {
		for name := range strings.SplitSeq(s, ",") {
			if !slices.ContainsFunc(event.Catalogue, func(a event.About) bool { return string(a.Kind) == name }) {
				return fault.Field("event", "invalid_event", "There is no such kind of event. Several have commas between them.")
			}
			if k := event.Kind(name); !slices.Contains(f.Kinds, k) {
				f.Kinds = append(f.Kinds, k)
			}
		}
	}
	switch f.Outcome = event.Outcome(q.Get("outcome")); f.Outcome {
	case "", event.Success, event.Failure:
		return nil
	default:
		return fault.Field("outcome", "invalid_outcome", "The outcome is success or failure.")
	}
}

func readWhose(q url.Values, f *event.Filter) (err error) {
	if s := q.Get("account"); s != "" {
		if id, err := uuid.Parse(s); err != nil || id.String() != s {
			return fault.Field("account", "invalid_account", "The account is the id of one.")
		}
		f.Account = s
	}
	if s := q.Get("network"); s != "" {
		f.Network, err = parseNetwork(s)
	}
	return err
}

// Alerts are what the event log gave rise to.
type Alerts struct {
	Administrators
	Alerts *alert.Admin
}

// Routes are its operations.
func (a *Alerts) Routes() web.Routes {
	return web.Routes{
		"GET /v1/admin/alerts":          a.administrator(operate.Reads, a.alerts),
		"POST /v1/admin/alerts/silence": a.administrator(operate.Changes, a.silence),
	}
}

// alertAnswer is an alert as administrators see it.
type alertAnswer struct {
	ID         string  `json:"id"`
	Rule       string  `json:"rule"`
	RaisedAt   string  `json:"raised_at"`
	ResolvedAt *string `json:"resolved_at"`
	Count      int64   `json:"count"`
	Bound      int64   `json:"bound"`
	What       string  `json:"what"`
	Look       string  `json:"look"`
}

// silenceAnswer is a rule whose alerts are told to nobody.
type silenceAnswer struct {
	Rule  string `json:"rule"`
	Until string `json:"until"`
}

func (a *Alerts) alerts(w http.ResponseWriter, r *http.Request, _ flow.Identity) error {
	q, cursor, limit, err := filtered(r, "open")
	if err != nil {
		return err
	}
	only := q.Get("open")
	if only != "" && only != "true" && only != "false" {
		return fault.Field("open", "malformed_parameter", "It is true or false.")
	}
	list, more, silent, err := a.Alerts.List(r.Context(), cursor, only == "true", limit)
	if err != nil {
		return err
	}
	out := struct {
		Alerts   []alertAnswer   `json:"alerts"`
		Silences []silenceAnswer `json:"silences"`
		Next     string          `json:"next_cursor,omitempty"`
	}{Alerts: make([]alertAnswer, 0, len(list)), Silences: []silenceAnswer{}}
	for _, one := range list {
		out.Alerts = append(out.Alerts, answerAlert(one))
	}
	for _, rule := range slices.Sorted(maps.Keys(silent)) {
		out.Silences = append(out.Silences, silenceAnswer{Rule: rule, Until: stamp(silent[rule])})
	}
	if more {
		out.Next = list[len(list)-1].ID
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

func answerAlert(a alert.Alert) alertAnswer {
	return alertAnswer{
		ID: a.ID, Rule: a.Rule, RaisedAt: stamp(a.RaisedAt), ResolvedAt: stampOrNull(a.ResolvedAt),
		Count: a.N, Bound: a.Bound, What: a.What, Look: a.Look,
	}
}

func (a *Alerts) silence(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	var in struct {
		Rule  string `json:"rule" most:"64"`
		Until string `json:"until" most:"64"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	until, err := instant("until", "invalid_time", in.Until)
	if err != nil {
		return err
	}
	if err := a.Alerts.Silence(r.Context(), in.Rule, until, who.By(), who.Account, who.Session, web.Origin(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
