package harness

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/gatehouse-auth/gatehouse/internal/test/proctest"
)

// OpenAPI is openapi.yaml, and which of its operations and statuses the
// tests have seen.
type OpenAPI struct {
	Doc    *openapi3.T
	router routers.Router

	mu   sync.Mutex
	Seen map[string]bool
}

// Document is openapi.yaml. It is read once.
var Document = sync.OnceValue(func() *OpenAPI {
	doc, err := openapi3.NewLoader().LoadFromFile(proctest.File("internal/door/api/openapi.yaml"))
	if err != nil {
		panic(err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		panic(err)
	}
	openapi3filter.RegisterBodyDecoder("application/problem+json", openapi3filter.JSONBodyDecoder)
	openapi3filter.RegisterBodyDecoder("application/jwk-set+json", openapi3filter.JSONBodyDecoder)
	openapi3filter.RegisterBodyDecoder("application/x-ndjson", openapi3filter.PlainBodyDecoder)
	openapi3filter.RegisterBodyDecoder("application/zip", openapi3filter.FileBodyDecoder)
	openapi3filter.RegisterBodyDecoder("text/markdown", openapi3filter.PlainBodyDecoder)
	openapi3filter.RegisterBodyDecoder("text/html", openapi3filter.PlainBodyDecoder)
	return &OpenAPI{Doc: doc, router: router, Seen: map[string]bool{}}
})

// check returns an error unless the document describes the answer: its
// operation, status, headers and body, and the code of a problem.
func (d *OpenAPI) check(r *http.Request, a Answer) error {
	route, params, err := d.router.FindRoute(r)
	if err != nil {
		// The document is of the API; pages are for people.
		page := !strings.HasPrefix(r.URL.Path, "/v1/")
		if page || a.Str("code") == "not_found" || a.Str("code") == "method_not_allowed" {
			return nil
		}
		return fmt.Errorf("%s %s is served but not described: %d %s", r.Method, r.URL.Path, a.Status, a.Text)
	}
	d.mu.Lock()
	d.Seen[fmt.Sprint(route.Operation.OperationID, " ", a.Status)] = true
	d.mu.Unlock()
	err = openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route},
		Status:                 a.Status,
		Header:                 a.Header,
		Body:                   io.NopCloser(bytes.NewReader([]byte(a.Text))),
		Options:                &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	})
	if err != nil {
		return fmt.Errorf("%s %s answered %d, which openapi.yaml does not describe: %w\n%s", r.Method, r.URL.Path, a.Status, err, a.Text)
	}
	if code := a.Str("code"); code != "" {
		described := route.Operation.Responses.Value(fmt.Sprint(a.Status)).Value.Description
		if described == nil || !strings.Contains(*described, "`"+code+"`") {
			return fmt.Errorf("%s %s: the description of %d does not name the code %s", r.Method, r.URL.Path, a.Status, code)
		}
	}
	return nil
}
