package api

import (
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/ops/privacy"
)

// Privacy is what people do with all that is kept about them: they take a copy, and have it deleted.
type Privacy struct {
	Caller
	Erasures *flow.Erasures
	Exports  *flow.Exports
	Exporter *privacy.Exporter
}

// Routes are its operations.
func (a *Privacy) Routes() web.Routes {
	return web.Routes{
		"GET /v1/me/export": a.signedIn(a.export),
		"DELETE /v1/me":     a.signedIn(a.erase),
	}
}

// export answers with the copy. It is asked for with GET and has effects, so cookies are good for it only in a request that a
// page of ours makes, or an application's.
func (a *Privacy) export(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	if _, bearer, _ := web.Bearer(r); !bearer {
		as := *r
		as.Method = http.MethodPost
		if err := a.Cookies.CheckCaller(&as); err != nil {
			return err
		}
	}
	if err := a.Exports.Ask(r.Context(), who, "", a.browserOf(r), web.Origin(r)); err != nil {
		return err
	}
	return web.Download(w, r, "application/zip", privacy.FileName, a.Exporter.Of(who.Account))
}

func (a *Privacy) erase(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	var in struct {
		CurrentPassword string `json:"current_password" most:"1024"`
	}
	if err := web.DecodeOptional(w, r, &in); err != nil {
		return err
	}
	at, err := a.Erasures.Ask(r.Context(), who, in.CurrentPassword, a.browserOf(r), web.Origin(r))
	if err != nil {
		return err
	}
	if _, bearer, _ := web.Bearer(r); !bearer {
		a.Cookies.Clear(w)
	}
	return web.WriteJSON(w, http.StatusAccepted, erasureAnswer{stamp(at)})
}

// erasureAnswer says when an account will be deleted.
type erasureAnswer struct {
	EraseAt string `json:"erase_at"`
}

// PeoplePrivacy is what administrators do for people who can't do it themselves.
type PeoplePrivacy struct {
	Administrators
	People   *operate.People
	Exporter *privacy.Exporter
}

// Routes are its operations.
func (a *PeoplePrivacy) Routes() web.Routes {
	return web.Routes{
		"POST /v1/admin/users/{id}/erase":   a.administrator(operate.Needs(operate.ActErase), a.erase),
		"DELETE /v1/admin/users/{id}/erase": a.administrator(operate.Needs(operate.ActKeep), a.keep),
		"POST /v1/admin/users/{id}/export":  a.administrator(operate.Needs(operate.ActExport), a.export),
	}
}

// errGraceDays is for a wait that is longer than the setting's.
var errGraceDays = fault.Field("grace_days", "invalid_grace_days", "Write a whole number of days, up to that of ERASURE_GRACE_DAYS.")

func (a *PeoplePrivacy) erase(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	dry, err := dryRun(r)
	if err != nil {
		return err
	}
	var in struct {
		Reason    string `json:"reason"`
		GraceDays *int   `json:"grace_days"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	act := operate.Act{Action: operate.ActErase, Account: r.PathValue("id"), Why: in.Reason, DryRun: dry, Wait: a.People.Operator.ErasureGrace}
	if in.GraceDays != nil {
		if *in.GraceDays < 0 || *in.GraceDays > int(act.Wait/(24*time.Hour)) {
			return errGraceDays
		}
		act.Wait = time.Duration(*in.GraceDays) * 24 * time.Hour
	}
	t, err := a.People.Do(r.Context(), act, who, web.Origin(r))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, answerTouches(t, dry))
}

func (a *PeoplePrivacy) keep(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	q, err := web.Query(r, "reason")
	if err != nil {
		return err
	}
	act := operate.Act{Action: operate.ActKeep, Account: r.PathValue("id"), Why: q.Get("reason")}
	if _, err := a.People.Do(r.Context(), act, who, web.Origin(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *PeoplePrivacy) export(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	var in struct {
		Reason string `json:"reason"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	act := operate.Act{Action: operate.ActExport, Account: r.PathValue("id"), Why: in.Reason}
	if _, err := a.People.Do(r.Context(), act, who, web.Origin(r)); err != nil {
		return err
	}
	return web.Download(w, r, "application/zip", privacy.FileName, a.Exporter.Of(act.Account))
}
