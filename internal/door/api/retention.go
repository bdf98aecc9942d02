package api

import (
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/ops/retention"
)

// Retention is what is kept for how long, what has gone and what is due, and the pause of all that.
type Retention struct {
	Administrators
	Keeper *retention.Keeper
}

// Routes are its operations.
func (a *Retention) Routes() web.Routes {
	return web.Routes{
		"GET /v1/admin/retention":         a.administrator(operate.Reads, a.standing),
		"GET /v1/admin/retention/due":     a.administrator(operate.Reads, a.due),
		"POST /v1/admin/retention/pause":  a.administrator(operate.Changes, a.pause),
		"POST /v1/admin/retention/resume": a.administrator(operate.Changes, a.resume),
	}
}

// retentionAnswer is how retention stands.
type retentionAnswer struct {
	Paused     *pauseAnswer    `json:"paused"`
	WaitsUntil *string         `json:"waits_until"`
	Brake      string          `json:"brake,omitempty"`
	Failures   int             `json:"failures"`
	Error      string          `json:"error,omitempty"`
	RanAt      *string         `json:"ran_at"`
	Deleted    []deletedAnswer `json:"deleted"`
	BegunAt    *string         `json:"begun_at"`
	Deleting   []deletedAnswer `json:"deleting"`
	Kept       []keptAnswer    `json:"kept"`
}

type pauseAnswer struct {
	Since  string `json:"since"`
	Until  string `json:"until"`
	Reason string `json:"reason"`
	By     string `json:"by"`
}

type deletedAnswer struct {
	Kind  string `json:"kind"`
	Count int64  `json:"count"`
}

type keptAnswer struct {
	Kind string `json:"kind"`
	Line string `json:"line,omitempty"`
	Days int64  `json:"days"`
}

func answerDeleted(list []event.Deleted) []deletedAnswer {
	out := make([]deletedAnswer, 0, len(list))
	for _, d := range list {
		out = append(out, deletedAnswer{d.Kind, d.Count})
	}
	return out
}

func (a *Retention) standing(w http.ResponseWriter, r *http.Request, _ flow.Identity) error {
	return a.show(w, r)
}

func (a *Retention) show(w http.ResponseWriter, r *http.Request) error {
	s, err := a.Keeper.Standing(r.Context())
	if err != nil {
		return err
	}
	out := retentionAnswer{
		WaitsUntil: stampOrNull(s.Wait), Brake: s.Brake, Failures: s.Failures, Error: s.Error, RanAt: stampOrNull(s.Ran), Deleted: answerDeleted(s.Deleted),
		BegunAt: stampOrNull(s.Began), Deleting: answerDeleted(s.Deleting), Kept: []keptAnswer{},
	}
	if h := s.Hold; h != nil {
		out.Paused = &pauseAnswer{stamp(h.Set), stamp(h.Until), h.Reason, h.By}
	}
	for _, k := range a.Keeper.Rules() {
		out.Kept = append(out.Kept, keptAnswer{k.Name, k.Line, int64(k.Kept / (24 * time.Hour))})
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

// dueAnswer is what would be deleted of a kind.
type dueAnswer struct {
	Kind    string  `json:"kind"`
	Line    string  `json:"line,omitempty"`
	Before  string  `json:"before"`
	Count   int64   `json:"count"`
	AtLeast bool    `json:"at_least"`
	Oldest  *string `json:"oldest"`
}

// due counts what a run would delete, with the code that deletes. It takes a few seconds at most, and says where there may be more.
func (a *Retention) due(w http.ResponseWriter, r *http.Request, _ flow.Identity) error {
	list, err := a.Keeper.Glance(r.Context(), retention.GlanceFor)
	if err != nil {
		return err
	}
	out := make([]dueAnswer, 0, len(list))
	for _, d := range list {
		out = append(out, dueAnswer{d.Kind, d.Line, stamp(d.Before), d.Count, d.More, stampOrNull(d.Oldest)})
	}
	return web.WriteJSON(w, http.StatusOK, struct {
		Due []dueAnswer `json:"due"`
	}{out})
}

func (a *Retention) pause(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	var in struct {
		Until  string `json:"until" most:"64"`
		Reason string `json:"reason"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	if in.Until == "" {
		return flow.Required("until")
	}
	until, err := instant("until", "invalid_time", in.Until)
	if err != nil {
		return err
	}
	if err := a.Keeper.Pause(r.Context(), until, in.Reason, retention.Administrator(who, "", web.Origin(r))); err != nil {
		return err
	}
	return a.show(w, r)
}

func (a *Retention) resume(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	var in struct {
		Reason string `json:"reason"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	if err := a.Keeper.Resume(r.Context(), retention.Administrator(who, in.Reason, web.Origin(r))); err != nil {
		return err
	}
	return a.show(w, r)
}
