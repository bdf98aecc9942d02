package oauth

import (
	"encoding/json"
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/flow/openid"
)

// errMetadata is for a body that says nothing of an application.
var errMetadata = fault.New(fault.Invalid, "invalid_client_metadata", "The body is an object with client_name and redirect_uris (RFC 7591).")

// registered is what an application is told of its registration (RFC 7591 section 3.2.1): what it is registered with, whatever it asked.
type registered struct {
	ID              string   `json:"client_id"`
	IssuedAt        int64    `json:"client_id_issued_at"`
	Name            string   `json:"client_name,omitempty"`
	RedirectURIs    []string `json:"redirect_uris"`
	ApplicationType string   `json:"application_type"`
	Method          string   `json:"token_endpoint_auth_method"`
	GrantTypes      []string `json:"grant_types"`
	ResponseTypes   []string `json:"response_types"`
}

// register takes what an application says of itself. What is not understood is passed over, as RFC 7591 section 2 asks.
func (p *Provider) register(w http.ResponseWriter, r *http.Request) error {
	body, err := web.Document(w, r)
	if err != nil {
		return err
	}
	var in openid.Metadata
	if err := json.Unmarshal(body, &in); err != nil {
		return errMetadata.Because(err)
	}
	shown, _, err := web.Bearer(r)
	if err != nil {
		return err
	}
	c, err := p.Register.Do(r.Context(), in, shown, web.Origin(r))
	if err != nil {
		return err
	}
	out := registered{
		ID: c.ID, IssuedAt: c.CreatedAt.Unix(), Name: c.Settings.Title, RedirectURIs: c.Settings.RedirectURIs, ApplicationType: "web", Method: "none",
		GrantTypes: []string{"authorization_code", "refresh_token"}, ResponseTypes: []string{"code"},
	}
	if c.Type == "native" {
		out.ApplicationType = "native"
	}
	w.Header().Set("Pragma", "no-cache")
	return web.WriteJSON(w, http.StatusCreated, out)
}
