package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// outside returns values that are outside a schema, as JSON, and as they stand in a query. It
// is an error if the schema takes any value of its type.
func outside(s *openapi3.Schema) (values []any, err error) {
	switch {
	case s.Type.Is("string"):
		values = []any{7, true, []string{"a"}}
		bounded := false
		if s.MaxLength != nil {
			values, bounded = append(values, strings.Repeat("a", int(*s.MaxLength)+1), strings.Repeat("ü", int(*s.MaxLength)+1)),
				true //nolint:gosec // thousands at most
		}
		if s.Format == "uuid" || s.Format == "date-time" || len(s.Enum) > 0 {
			values, bounded = append(values, "nonsense"), true
		}
		if !bounded {
			err = fmt.Errorf("no maxLength, format or enum")
		}
	case s.Type.Is("integer"), s.Type.Is("number"):
		if s.Min == nil || s.Max == nil {
			return nil, fmt.Errorf("no minimum and maximum")
		}
		values = []any{*s.Min - 1, *s.Max + 1, "x"}
	case s.Type.Is("boolean"):
		values = []any{"yes", 1}
	case s.Type.Is("array"):
		if s.MaxItems == nil {
			return nil, fmt.Errorf("no maxItems")
		}
		many := make([]string, *s.MaxItems+1)
		for i := range many {
			many[i] = fmt.Sprintf("x%d", i)
		}
		values = []any{"x", 7, many}
		var items []any
		items, err = outside(s.Items.Value)
		for _, v := range items {
			values = append(values, []any{v})
		}
	case s.Type.Is("object"): // the browser's own, of which more than we know may be in it; a body's size is bounded
		values = []any{"x", 7, true, []string{"a"}}
	default:
		err = fmt.Errorf("of a type that this test does not know: %v", s.Type)
	}
	return values, err
}

// sends makes a call, with every way of showing who one is that the operation knows.
func sends(h *harness.Server, op *openapi3.Operation, r harness.Request, bearer string, app harness.Application) harness.Answer {
	h.Helper()
	r.Bearer = bearer
	if op.Security != nil {
		for _, way := range *op.Security {
			if _, ok := way["application"]; ok {
				r.Bearer, r.Header = "", http.Header(app)
			}
		}
	}
	return h.Do(r)
}

// ASVS 2.1.1: openapi.yaml says of every field of a body and every parameter of a query what it
// may be: how long, of what form, between which numbers. One that is outside, a field at a time, is
// refused for it, with 400 and its code, whoever asks.
func TestASVS_V2_1_1_WhatIsOutsideTheSchemaIsRefused(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	bearer := h.Administrator("root@example.org")
	app := h.Application("schema")
	fields, parameters := 0, 0
	doc := harness.Document().Doc
	for _, path := range slices.Sorted(maps.Keys(doc.Paths.Map())) {
		for method, op := range doc.Paths.Value(path).Operations() {
			at := method + " " + path
			for _, p := range op.Parameters {
				s := p.Value.Schema.Value
				values, err := outside(s)
				if err != nil {
					t.Errorf("%s, %s: %v", at, p.Value.Name, err)
				}
				if p.Value.In != "query" {
					continue
				}
				parameters++
				for _, v := range values {
					if _, isText := v.(string); !isText && s.Type.Is("string") {
						continue // all is text in a query
					}
					q := url.Values{p.Value.Name: {fmt.Sprint(v)}}
					if a := sends(h, op, harness.Request{Method: method, Path: path + "?" + q.Encode()}, bearer, app); a.Status != 400 {
						t.Errorf("%s with %s=%.40v: %d %.200s", at, p.Value.Name, v, a.Status, a.Text)
					}
				}
			}
			if op.RequestBody == nil {
				continue
			}
			content := op.RequestBody.Value.Content.Get("application/json")
			if content == nil {
				for name, s := range op.RequestBody.Value.Content.Get("application/x-www-form-urlencoded").Schema.Value.Properties {
					if _, err := outside(s.Value); err != nil {
						t.Errorf("%s, %s: %v", at, name, err)
					}
				}
				continue
			}
			if open := content.Schema.Value.AdditionalProperties.Has; open == nil || *open {
				t.Errorf("%s takes fields that it does not name", at)
			}
			for name, s := range content.Schema.Value.Properties {
				fields++
				values, err := outside(s.Value)
				if err != nil {
					t.Errorf("%s, %s: %v", at, name, err)
				}
				for _, v := range values {
					body, err := json.Marshal(map[string]any{name: v})
					if err != nil {
						t.Fatal(err)
					}
					if a := sends(h, op, harness.Request{Method: method, Path: path, Body: string(body)}, bearer, app); a.Status != 400 || a.Str("code") == "" {
						t.Errorf("%s with %.60s: %d %.200s", at, body, a.Status, a.Text)
					}
				}
				body := fmt.Sprintf(`{%q: "a", "a field that is not there": 1}`, name)
				if a := sends(h, op, harness.Request{Method: method, Path: path, Body: body}, bearer, app); a.Status != 400 {
					t.Errorf("%s with a field that is not there: %d", at, a.Status)
				}
			}
		}
	}
	if fields < 30 || parameters < 15 {
		t.Errorf("only %d fields and %d parameters were tried", fields, parameters)
	}
}
