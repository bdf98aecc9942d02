package harness

import (
	"encoding/base64"
	"net/http"
	"net/url"
)

// Application is a registered application's Authorization header.
type Application http.Header

// Application registers an application.
func (h *Server) Application(name string) Application {
	h.Helper()
	c, shown, err := h.Operator().CreateClient(h.Context(), name, OriginOfTests)
	if err != nil {
		h.Fatal(err)
	}
	return Basic(c.ID, shown)
}

// Basic is the application with an id and a secret.
func Basic(id, secret string) Application {
	return Application{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))}}
}

// Follow asks for the revocations after a cursor, waiting for as many seconds.
func (a Application) Follow(cursor, wait string) Request {
	q := url.Values{"wait": {wait}}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	return Request{Method: "GET", Path: "/v1/revocations?" + q.Encode(), Header: http.Header(a)}
}

// Ask is a request about a token: its introspection or its revocation, by the path.
func (a Application) Ask(path, token string) Request {
	return Request{Method: "POST", Path: path, Body: url.Values{"token": {token}}.Encode(), ContentType: "application/x-www-form-urlencoded",
		Header: http.Header(a)}
}

// Active introspects a token; the response for one that is not good says nothing
// else.
func (h *Server) Active(app Application, token string) Answer {
	h.Helper()
	a := h.Expect(200, "", app.Ask("/v1/token/introspect", token))
	if a.Fields["active"] == false && a.Text != "{\"active\":false}\n" {
		h.Errorf("the response for a token that is not good is %s", a.Text)
	}
	return a
}

// SharedURL lets replicas take one another's tokens: without it each is named
// after its own port.
const SharedURL = "PUBLIC_URL=http://127.0.0.1:8000"
