package api

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// Operations are what runs the service: applications, keys, mails, settings, and how it
// all fares.
type Operations struct {
	Administrators
	Operations *operate.Operations
}

// Routes are its operations.
func (a *Operations) Routes() web.Routes {
	return web.Routes{
		"GET /v1/admin/overview":             a.administrator(operate.Reads, a.overview),
		"GET /v1/admin/clients":              a.administrator(operate.Reads, a.clients),
		"POST /v1/admin/clients":             a.administrator(operate.Changes, a.addClient),
		"PATCH /v1/admin/clients/{id}":       a.administrator(operate.Changes, a.changeClient),
		"POST /v1/admin/clients/{id}/secret": a.administrator(operate.Changes, a.rotateClient),
		"DELETE /v1/admin/clients/{id}":      a.administrator(operate.Changes, a.removeClient),
		"GET /v1/admin/keys":                 a.administrator(operate.Reads, a.keys),
		"POST /v1/admin/keys/rotate":         a.administrator(operate.Changes, a.rotateKey),
		"GET /v1/admin/mails":                a.administrator(operate.Reads, a.mails),
		"POST /v1/admin/mails/{id}/retry":    a.administrator(operate.Changes, a.retryMail),
		"GET /v1/admin/settings":             a.administrator(operate.Reads, a.settings),
	}
}

// curveAnswer is a figure over the range.
type curveAnswer struct {
	Name    string  `json:"name"`
	Level   bool    `json:"level"`
	Total   int64   `json:"total"`
	Was     *int64  `json:"week_before"`
	Points  []int64 `json:"points"`
	Earlier []int64 `json:"points_week_before"`
}

type jobAnswer struct {
	Name       string  `json:"name"`
	DueAt      *string `json:"due_at"`
	StartedAt  *string `json:"started_at"`
	FinishedAt *string `json:"finished_at"`
	Running    bool    `json:"running"`
	Failed     bool    `json:"failed"`
}

type mailStateAnswer struct {
	Waiting     int64   `json:"waiting"`
	OldestSince *string `json:"oldest_since"`
	Dead        int64   `json:"dead"`
}

func (a *Operations) overview(w http.ResponseWriter, r *http.Request, _ flow.Identity) error {
	q, err := web.Query(r, "range")
	if err != nil {
		return err
	}
	span := operate.Spans()[0]
	if name := q.Get("range"); name != "" {
		if span, err = operate.SpanOf(name); err != nil {
			return err
		}
	}
	f, err := a.Operations.Overview.Figures(r.Context(), span)
	if err != nil {
		return err
	}
	h, err := a.Operations.Overview.Health(r.Context())
	if err != nil {
		return err
	}
	out := struct {
		Range    string          `json:"range"`
		From     string          `json:"from"`
		At       string          `json:"at"`
		Step     int64           `json:"hours_per_point"`
		Figures  []curveAnswer   `json:"figures"`
		Jobs     []jobAnswer     `json:"jobs"`
		Mail     mailStateAnswer `json:"mail"`
		Sealed   int64           `json:"sealed_events"`
		Replicas int             `json:"replicas"`
	}{
		Range: span.Name, From: stamp(f.From), At: stamp(f.At), Step: span.Step, Figures: []curveAnswer{}, Jobs: []jobAnswer{},
		Mail: mailStateAnswer{h.Mail.Queued, stampOrNull(h.Mail.Oldest), h.Mail.Dead}, Sealed: h.Sealed, Replicas: h.Replicas,
	}
	for _, c := range f.Curves {
		one := curveAnswer{Name: c.Name, Level: c.Level, Total: c.Total, Points: c.Points, Earlier: c.Was}
		if c.Compares {
			one.Was = &c.WasTotal
		}
		out.Figures = append(out.Figures, one)
	}
	for _, j := range h.Jobs {
		out.Jobs = append(out.Jobs, jobAnswer{j.Name, stampOrNull(j.Due), stampOrNull(j.Started), stampOrNull(j.Finished), j.Running, j.Error != ""})
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

// clientAnswer is an application. Its secret stands in it only where that was just made.
type clientAnswer struct {
	ID         string          `json:"id"`
	Name       string          `json:"name"`
	Type       client.Type     `json:"type"`
	CreatedAt  string          `json:"created_at"`
	RotatedAt  string          `json:"secret_set_at"`
	OldUntil   *string         `json:"old_secret_until"`
	DisabledAt *string         `json:"disabled_at"`
	Settings   client.Settings `json:"settings"`
	FromFile   bool            `json:"managed_by_file,omitempty"`
	Self       bool            `json:"registered_itself,omitempty"`
	Secret     string          `json:"client_secret,omitempty"`
}

func answerClient(c client.Client, secret string) clientAnswer {
	return clientAnswer{
		ID: c.ID, Name: c.Name, Type: c.Type, CreatedAt: stamp(c.CreatedAt), RotatedAt: stamp(c.RotatedAt), OldUntil: stampOrNull(c.OldUntil),
		DisabledAt: stampOrNull(c.DisabledAt), Settings: c.Settings, FromFile: c.FromFile, Self: c.Self, Secret: secret,
	}
}

func (a *Operations) clients(w http.ResponseWriter, r *http.Request, _ flow.Identity) error {
	list, err := a.Operations.Clients(r.Context())
	if err != nil {
		return err
	}
	out := struct {
		Clients []clientAnswer `json:"clients"`
	}{make([]clientAnswer, 0, len(list))}
	for _, c := range list {
		out.Clients = append(out.Clients, answerClient(c, ""))
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

func (a *Operations) addClient(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	var in struct {
		Name     string          `json:"name"`
		Type     string          `json:"type"`
		Settings json.RawMessage `json:"settings"`
		Reason   string          `json:"reason"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	kind, err := client.ParseType(in.Type)
	if err != nil {
		return err
	}
	settings, err := client.ParseSettings(in.Settings)
	if err != nil {
		return err
	}
	c, shown, err := a.Operations.AddClient(r.Context(), in.Name, kind, settings, in.Reason, who, web.Origin(r))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusCreated, answerClient(c, shown))
}

func (a *Operations) changeClient(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	var in struct {
		Settings json.RawMessage `json:"settings"`
		Disabled *bool           `json:"disabled"`
		Reason   string          `json:"reason"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	var change *client.Settings
	if len(in.Settings) > 0 {
		settings, err := client.ParseSettings(in.Settings)
		if err != nil {
			return err
		}
		change = &settings
	}
	c, err := a.Operations.ChangeClient(r.Context(), r.PathValue("id"), change, "", in.Disabled, in.Reason, who, web.Origin(r))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, answerClient(c, ""))
}

// keepMost is how long an old secret may go on, in hours.
const keepMost = 30 * 24

func (a *Operations) rotateClient(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	var in struct {
		KeepHours int    `json:"keep_hours"`
		Reason    string `json:"reason"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	if in.KeepHours < 0 || in.KeepHours > keepMost {
		return fault.Field("keep_hours", "invalid_keep", "The old secret goes on for up to %d hours.", keepMost)
	}
	c, shown, err := a.Operations.RotateClient(r.Context(), r.PathValue("id"), time.Duration(in.KeepHours)*time.Hour, in.Reason, who, web.Origin(r))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, answerClient(c, shown))
}

func (a *Operations) removeClient(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	q, err := web.Query(r, "reason")
	if err != nil {
		return err
	}
	if err := a.Operations.RemoveClient(r.Context(), r.PathValue("id"), q.Get("reason"), who, web.Origin(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// keyAnswer is a key of the installation. Nothing in it is secret.
type keyAnswer struct {
	ID        string           `json:"id"`
	Purpose   string           `json:"purpose"`
	Algorithm string           `json:"algorithm,omitempty"`
	State     operate.KeyState `json:"state"`
	CreatedAt string           `json:"created_at"`
	From      *string          `json:"from"`
	Until     *string          `json:"until"`
	RevokedAt *string          `json:"revoked_at"`
}

func answerKey(k operate.KeyStands) keyAnswer {
	return keyAnswer{
		ID: k.Name, Purpose: string(k.Purpose), Algorithm: k.Algorithm, State: k.State, CreatedAt: stamp(k.CreatedAt), From: stampOrNull(k.From),
		Until: stampOrNull(k.Until), RevokedAt: stampOrNull(k.RevokedAt),
	}
}

func (a *Operations) keys(w http.ResponseWriter, _ *http.Request, _ flow.Identity) error {
	out := struct {
		Keys []keyAnswer `json:"keys"`
	}{[]keyAnswer{}}
	for _, k := range a.Operations.Keys.Standing() {
		out.Keys = append(out.Keys, answerKey(k))
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

func (a *Operations) rotateKey(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	var in struct {
		AtOnce bool   `json:"at_once"`
		Reason string `json:"reason"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	k, err := a.Operations.RotateKey(r.Context(), in.AtOnce, in.Reason, who, web.Origin(r))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, answerKey(k))
}

// mailAnswer is a row of the outbox, without what it says.
type mailAnswer struct {
	ID       string  `json:"id"`
	Kind     string  `json:"kind"`
	Account  string  `json:"account,omitempty"`
	To       string  `json:"to,omitempty"`
	State    string  `json:"state"`
	QueuedAt string  `json:"queued_at"`
	DueAt    *string `json:"due_at"`
	SentAt   *string `json:"sent_at"`
	DeadAt   *string `json:"dead_at"`
	Tries    int     `json:"tries"`
	Error    string  `json:"error,omitempty"`
}

func answerMail(e notice.Entry) mailAnswer {
	return mailAnswer{
		ID: e.ID, Kind: e.Kind, Account: e.Account, To: e.To, State: e.State(), QueuedAt: stamp(e.QueuedAt), DueAt: stampOrNull(e.DueAt),
		SentAt: stampOrNull(e.SentAt), DeadAt: stampOrNull(e.DeadAt), Tries: e.Tries, Error: e.Error,
	}
}

func (a *Operations) mails(w http.ResponseWriter, r *http.Request, _ flow.Identity) error {
	q, cursor, limit, err := filtered(r, "state")
	if err != nil {
		return err
	}
	dead := q.Get("state") == "dead"
	if s := q.Get("state"); s != "" && !dead {
		return fault.Field("state", "invalid_state", "The state is dead, or left out.")
	}
	list, more, err := a.Operations.Mails(r.Context(), cursor, dead, limit)
	if err != nil {
		return err
	}
	out := struct {
		Mails []mailAnswer `json:"mails"`
		Next  string       `json:"next_cursor,omitempty"`
	}{Mails: make([]mailAnswer, 0, len(list))}
	for _, e := range list {
		out.Mails = append(out.Mails, answerMail(e))
	}
	if more {
		out.Next = list[len(list)-1].ID
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

func (a *Operations) retryMail(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	if err := a.Operations.RetryMail(r.Context(), r.PathValue("id"), who, web.Origin(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *Operations) settings(w http.ResponseWriter, _ *http.Request, _ flow.Identity) error {
	return web.WriteJSON(w, http.StatusOK, struct {
		Settings []operate.Setting `json:"settings"`
	}{a.Operations.Settings})
}
