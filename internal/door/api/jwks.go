package api

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/door/web"
)

// jwks answers with the published keys. They may be kept for five minutes: a key
// is published for ten before it signs, save in an emergency; and one that they
// have and that is retired stays good for what it has signed.
func (a *API) jwks(w http.ResponseWriter, r *http.Request) error {
	set := a.Tokens.JWKS(a.Now())
	h := w.Header()
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("ETag", set.ETag)
	if web.Has(r, set.ETag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Type", "application/jwk-set+json")
	_, _ = w.Write(set.JSON)
	return nil
}
