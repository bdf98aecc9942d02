package api

import (
	_ "embed"
	"net/http"
	"sync"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
)

//go:embed openapi.yaml
var openAPI []byte

// Discovery is what programs find us by.
type Discovery struct {
	Tokens *token.Issuer
	Now    func() time.Time
}

// Routes are its operations.
func (a *Discovery) Routes() web.Routes {
	return web.Routes{
		"GET /.well-known/jwks.json": a.jwks,
		"GET /openapi.json":          a.openAPI,
	}
}

// jwks answers with the published keys. They may be kept for five minutes: a key
// is published for ten before it signs, save in an emergency; and one that they
// have and that is retired stays good for what it has signed.
func (a *Discovery) jwks(w http.ResponseWriter, r *http.Request) error {
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

// document is openapi.yaml as JSON, made when it is first asked for.
var document = sync.OnceValues(func() ([]byte, error) { return yaml.YAMLToJSON(openAPI) })

func (a *Discovery) openAPI(w http.ResponseWriter, _ *http.Request) error {
	doc, err := document()
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "public, max-age=300")
	_, _ = w.Write(doc)
	return nil
}
