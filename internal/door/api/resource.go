package api

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// Resources are what applications ask access tokens for.
type Resources struct {
	Administrators
	Operations *operate.Operations
}

// Routes are its operations. A resource is named by its URI, which is no part of a path.
func (a *Resources) Routes() web.Routes {
	return web.Routes{
		"GET /v1/admin/resources":    a.administrator(operate.Reads, a.list),
		"POST /v1/admin/resources":   a.administrator(operate.Changes, a.add),
		"PUT /v1/admin/resources":    a.administrator(operate.Changes, a.change),
		"DELETE /v1/admin/resources": a.administrator(operate.Changes, a.remove),
	}
}

// resourceAnswer is a resource. Each scope is its name, and behind a space what people are told of it.
type resourceAnswer struct {
	URI       string   `json:"uri"`
	Name      string   `json:"name"`
	Scopes    []string `json:"scopes"`
	Open      bool     `json:"open"`
	CreatedAt string   `json:"created_at"`
	FromFile  bool     `json:"managed_by_file,omitempty"`
	Disabled  bool     `json:"disabled,omitempty"`
}

func answerResource(r client.Resource) resourceAnswer {
	return resourceAnswer{r.URI, r.Name, r.ScopeLines(), r.Open, stamp(r.CreatedAt), r.FromFile, r.Disabled}
}

func (a *Resources) list(w http.ResponseWriter, r *http.Request, _ flow.Identity) error {
	list, err := a.Operations.Resources(r.Context())
	if err != nil {
		return err
	}
	out := make([]resourceAnswer, 0, len(list))
	for _, one := range list {
		out = append(out, answerResource(one))
	}
	return web.WriteJSON(w, http.StatusOK, map[string]any{"resources": out})
}

// resourceBody is what is sent of a resource.
type resourceBody struct {
	URI    string   `json:"uri"`
	Name   string   `json:"name"`
	Scopes []string `json:"scopes"`
	Open   bool     `json:"open"`
	Reason string   `json:"reason"`
}

// read reads it.
func (in *resourceBody) read(w http.ResponseWriter, r *http.Request) (client.Resource, error) {
	err := web.Decode(w, r, in)
	return client.Resource{URI: in.URI, Name: in.Name, Scopes: client.ParseScopes(in.Scopes), Open: in.Open}, err
}

func (a *Resources) add(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	var in resourceBody
	asked, err := in.read(w, r)
	if err != nil {
		return err
	}
	made, err := a.Operations.AddResource(r.Context(), asked, in.Reason, who, web.Origin(r))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusCreated, answerResource(made))
}

// change replaces all of a resource but its URI.
func (a *Resources) change(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	var in resourceBody
	asked, err := in.read(w, r)
	if err != nil {
		return err
	}
	is, err := a.Operations.ChangeResource(r.Context(), asked, "", in.Reason, who, web.Origin(r))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, answerResource(is))
}

func (a *Resources) remove(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	q, err := web.Query(r, "uri", "reason")
	if err != nil {
		return err
	}
	if err := a.Operations.RemoveResource(r.Context(), q.Get("uri"), q.Get("reason"), who, web.Origin(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
