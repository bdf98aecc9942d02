package api

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Identities are what a person signs in with at other providers. Nothing here links one: that takes a page of ours and a person who sees it.
type Identities struct {
	Caller
	Providers *flow.ProviderSignIn
}

// Routes are its operations.
func (a *Identities) Routes() web.Routes {
	return web.Routes{
		"GET /v1/me/identities":         a.signedIn(a.list),
		"DELETE /v1/me/identities/{id}": a.signedIn(a.unlink),
	}
}

// identityAnswer is one of them. Its subject at the provider is nobody's business here.
type identityAnswer struct {
	ID       string `json:"id"`
	Provider string `json:"provider,omitempty"`
	Name     string `json:"name"`
	Email    string `json:"email"`
	LinkedAt string `json:"linked_at"`
	UsedAt   string `json:"used_at"`
}

func answerIdentities(list []flow.Linked) []identityAnswer {
	out := make([]identityAnswer, 0, len(list))
	for _, i := range list {
		out = append(out, identityAnswer{i.Handle(), i.Provider, i.Name, i.Email, stamp(i.LinkedAt), stamp(i.UsedAt)})
	}
	return out
}

func (a *Identities) list(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	list, err := a.Providers.Identities(r.Context(), who)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, map[string]any{"identities": answerIdentities(list)})
}

func (a *Identities) unlink(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	if err := a.Providers.Unlink(r.Context(), who, r.PathValue("id"), web.Origin(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
