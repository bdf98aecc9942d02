package api

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/openid"
)

// OwnApplications are the applications that a person signs in to with their account.
type OwnApplications struct {
	Caller
	Applications *openid.Applications
}

// Routes are its operations.
func (a *OwnApplications) Routes() web.Routes {
	return web.Routes{
		"GET /v1/me/applications":         a.signedIn(a.list),
		"DELETE /v1/me/applications/{id}": a.signedIn(a.withdraw),
	}
}

// applicationAnswer is one of them.
type applicationAnswer struct {
	ID     string   `json:"id"`
	Title  string   `json:"title"`
	Scopes []string `json:"scopes"`
	// Resources are where it does something for the person.
	Resources   []resourceAllowed `json:"resources"`
	ConsentedAt *string           `json:"consented_at"`
	SignIns     int64             `json:"sign_ins"`
	Since       *string           `json:"since"`
	UsedAt      *string           `json:"used_at"`
	Offline     bool              `json:"offline"`
}

// resourceAllowed is a resource, with the scopes that the application has there.
type resourceAllowed struct {
	URI    string         `json:"uri"`
	Name   string         `json:"name"`
	Scopes []client.Scope `json:"scopes"`
}

func (a *OwnApplications) list(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	list, err := a.Applications.List(r.Context(), who)
	if err != nil {
		return err
	}
	out := make([]applicationAnswer, 0, len(list))
	for _, one := range list {
		at := []resourceAllowed{}
		for _, r := range one.At {
			at = append(at, resourceAllowed{r.URI, r.Name, append([]client.Scope{}, r.Scopes...)})
		}
		out = append(out, applicationAnswer{
			ID: one.Client, Title: one.Title, Scopes: append([]string{}, one.Scopes...), ConsentedAt: stampOrNull(one.ConsentedAt), SignIns: one.Grants,
			Resources: at,
			Since:     stampOrNull(one.Since), UsedAt: stampOrNull(one.UsedAt), Offline: one.Offline,
		})
	}
	return web.WriteJSON(w, http.StatusOK, map[string]any{"applications": out})
}

// withdraw takes the consent back, and ends all that the application was granted.
func (a *OwnApplications) withdraw(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	if err := a.Applications.Withdraw(r.Context(), who, r.PathValue("id"), web.Origin(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
