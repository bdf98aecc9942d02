package harness

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Admin asks the admin listener.
func (h *Server) Admin(path string) (int, string) {
	h.Helper()
	res, err := HTTPClient.Get(h.App.AdminURL() + path)
	if err != nil {
		h.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		h.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// Metrics is what a scrape returns.
func (h *Server) Metrics() string {
	h.Helper()
	_, text := h.Admin("/metrics")
	return text
}

// SetupToken returns the token of a set-up link.
func (h *Server) SetupToken() string {
	h.Helper()
	link, err := h.App.SetupLink(h.Context())
	if err != nil {
		h.Fatal(err)
	}
	_, token, ok := strings.Cut(link, "/setup#")
	if !ok {
		h.Fatalf("the set-up link is %q", link)
	}
	return token
}

// Setup sends the set-up page's form.
func (h *Server) Setup(token, email, pass string, header http.Header) (int, string, error) {
	form := url.Values{"token": {token}, "email": {email}, "password": {pass}}
	req, err := http.NewRequest("POST", h.App.URL()+"/setup", strings.NewReader(form.Encode()))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for name, values := range header {
		req.Header[name] = values
	}
	res, err := HTTPClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

// Blocking is an administrator's request to block a network.
func Blocking(access string, body map[string]any) Request {
	return Request{Method: "POST", Path: "/v1/admin/blocks", Bearer: access, Body: body}
}

// FreeRequest is a request that costs nothing.
var FreeRequest = Request{Method: "GET", Path: "/openapi.json"}

// Becomes asks for an address until the answer has the status, and returns how long
// that took.
func (h *Server) Becomes(address string, status int) time.Duration {
	h.Helper()
	at := time.Now()
	h.Eventually(fmt.Sprint(address, " gets ", status), func() (string, bool) {
		a := h.Do(Through(address, FreeRequest))
		return a.Text, a.Status == status
	})
	return time.Since(at)
}

// Counts returns the flows that ended since the server's start, without those
// that never did.
func (h *Server) Counts() map[string]string {
	h.Helper()
	out := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^gatehouse_flows_total\{flow="(.*?)",outcome="(.*?)"\} (\d+)$`).FindAllStringSubmatch(h.Metrics(), -1) {
		if m[2] == "other" {
			h.Errorf("%s: flow.Outcomes lacks one", m[0])
		}
		if m[3] != "0" {
			out[m[1]+" "+m[2]] = m[3]
		}
	}
	return out
}

// Metric is the value of a series without labels.
func (h *Server) Metric(name string) (value float64) {
	h.Helper()
	_, text := h.Admin("/metrics")
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			if _, err := fmt.Sscan(rest, &value); err != nil {
				h.Fatal(err)
			}
			return value
		}
	}
	h.Fatalf("there is no %s", name)
	return 0
}
