package app_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// openAPIDocument is openapi.yaml, and which of its operations and statuses the
// tests have seen.
type openAPIDocument struct {
	doc    *openapi3.T
	router routers.Router

	mu   sync.Mutex
	seen map[string]bool
}

var document *openAPIDocument

func TestMain(m *testing.M) {
	doc, err := openapi3.NewLoader().LoadFromFile("../door/api/openapi.yaml")
	if err != nil {
		panic(err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		panic(err)
	}
	openapi3filter.RegisterBodyDecoder("application/problem+json", openapi3filter.JSONBodyDecoder)
	openapi3filter.RegisterBodyDecoder("application/jwk-set+json", openapi3filter.JSONBodyDecoder)
	document = &openAPIDocument{doc: doc, router: router, seen: map[string]bool{}}
	// Spans are sent soon.
	if err := os.Setenv("OTEL_BSP_SCHEDULE_DELAY", "50"); err != nil {
		panic(err)
	}
	// Those that run beside one another wait most of the time.
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// check returns an error unless the document describes the answer: its
// operation, status, headers and body, and the code of a problem.
func (d *openAPIDocument) check(r *http.Request, a answer) error {
	route, params, err := d.router.FindRoute(r)
	if err != nil {
		// The document is of the API; pages are for people.
		page := !strings.HasPrefix(r.URL.Path, "/v1/")
		if page || a.str("code") == "not_found" || a.str("code") == "method_not_allowed" {
			return nil
		}
		return fmt.Errorf("%s %s is served but not described: %d %s", r.Method, r.URL.Path, a.status, a.text)
	}
	d.mu.Lock()
	d.seen[fmt.Sprint(route.Operation.OperationID, " ", a.status)] = true
	d.mu.Unlock()
	err = openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route},
		Status:                 a.status,
		Header:                 a.header,
		Body:                   io.NopCloser(bytes.NewReader([]byte(a.text))),
		Options:                &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	})
	if err != nil {
		return fmt.Errorf("%s %s answered %d, which openapi.yaml does not describe: %w\n%s", r.Method, r.URL.Path, a.status, err, a.text)
	}
	if code := a.str("code"); code != "" {
		described := route.Operation.Responses.Value(fmt.Sprint(a.status)).Value.Description
		if described == nil || !strings.Contains(*described, "`"+code+"`") {
			return fmt.Errorf("%s %s: the description of %d does not name the code %s", r.Method, r.URL.Path, a.status, code)
		}
	}
	return nil
}
