package administration_test

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// What the cells of docs/authorization.md say.
const (
	open   = "yes"     // may call it
	fresh  = "fresh"   // with a sign-in of the last 15 minutes
	closed = "no"      // 401 for nobody, 403 for somebody
	leads  = "sign-in" // is led to the sign-in page
)

// line is a row of the matrix.
type line struct {
	route, whose string
	// cells are those of nobody, a person, support, admin and an application.
	cells [5]string
}

// readMatrix reads docs/authorization.md.
func readMatrix(t *testing.T) (lines []line) {
	t.Helper()
	text, err := os.ReadFile("../../../docs/authorization.md")
	if err != nil {
		t.Fatal(err)
	}
	for row := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(row), "|"), "|")
		if len(cells) != 7 || !strings.Contains(cells[0], "`") {
			continue
		}
		l := line{route: strings.Trim(strings.TrimSpace(cells[0]), "`"), whose: strings.TrimSpace(cells[6])}
		for i := range l.cells {
			l.cells[i] = strings.TrimSpace(cells[i+1])
		}
		lines = append(lines, l)
	}
	return lines
}

// ASVS 8.1.1, 8.2.1, 8.3.1: who may call what is written down, for every route of the
// server, and each route does as is written.
func TestASVS_V8_1_1_TheMatrixOfWhoMayCallWhat(t *testing.T) {
	clock := &harness.Clock{}
	h := harness.OpenAt(t, dbtest.SQLite(t), clock.Now, "API_RATE_LIMIT_REQUESTS=100000", "REGISTRATION=open")
	lines := readMatrix(t)
	var written []string
	for _, l := range lines {
		written = append(written, l.route)
		if l.whose == "" {
			t.Errorf("%s: the matrix does not say whose data it is about", l.route)
		}
	}
	for _, route := range h.App.Routes() {
		if !slices.Contains(written, route) {
			t.Errorf("docs/authorization.md has no line for %s", route)
		}
	}
	for _, route := range written {
		if !slices.Contains(h.App.Routes(), route) {
			t.Errorf("docs/authorization.md has a line for %s, which is not served", route)
		}
	}
	m := newMatrix(h)
	for _, l := range lines {
		m.judge(t, l)
	}
	for i := 2; i < 4; i++ { // the calls above have ended sessions too
		m.refresh[i] = h.Login(m.email[i]).Str("refresh_token")
	}
	clock.Shift(16 * time.Minute)
	for i, actor := range []string{"", "", "support", "admin"} {
		if actor == "" {
			continue
		}
		token := h.Refresh(m.refresh[i]).Str("access_token")
		for _, l := range lines {
			if l.cells[i] == fresh && strings.Contains(l.route, " /v1/") {
				h.Expect(403, "sign_in_again", call(l.route, token))
			}
		}
	}
}

// matrix has somebody of each role.
type matrix struct {
	h       *harness.Server
	email   [4]string
	refresh [4]string
	app     harness.Application
}

func newMatrix(h *harness.Server) *matrix {
	m := &matrix{h: h, email: [4]string{"", "person@example.org", "support@example.org", "admin@example.org"}, app: h.Application("matrix")}
	for i, roles := range [][]string{nil, nil, {"support"}, {"admin"}} {
		if m.email[i] == "" {
			continue
		}
		h.Register(m.email[i])
		if roles != nil {
			if _, err := h.Operator().SetRoles(h.Context(), m.email[i], roles, harness.OriginOfTests); err != nil {
				h.Fatal(err)
			}
		}
		m.refresh[i] = h.Login(m.email[i]).Str("refresh_token")
	}
	return m
}

// call is a request for a route, for something that is not there.
func call(route, bearer string) harness.Request {
	method, path, _ := strings.Cut(route, " ")
	path = strings.NewReplacer("{id}", uuid.Nil.String(), "{action}", "disable", "{document}", "terms", "{$}", "", "{name}", "x",
		"{file...}", "x", "{path...}", "x", "{file}", "x").Replace(path)
	r := harness.Request{Method: method, Path: path, Bearer: bearer}
	if method == "POST" || method == "PUT" || method == "PATCH" {
		r.Body = map[string]any{}
		if path == "/v1/not-me" { // without a link it is about who is signed in, and would lock them out
			r.Body = map[string]any{"token": "gatehouse_mt_x"}
		}
		if !strings.HasPrefix(path, "/v1/") {
			r.Body, r.ContentType = "", "application/x-www-form-urlencoded"
		}
	}
	return r
}

func (m *matrix) judge(t *testing.T, l line) {
	t.Helper()
	api := strings.Contains(l.route, " /v1/")
	for i, cell := range l.cells[:4] {
		token := ""
		if m.email[i] != "" {
			if !api {
				continue // pages know people by their cookies: the tests of the pages try them
			}
			token = m.h.Login(m.email[i]).Str("access_token")
		}
		a, err := m.h.Try(call(l.route, token))
		if err != nil {
			t.Errorf("%s: %v", l.route, err)
			continue
		}
		refused := a.Status == http.StatusUnauthorized || a.Status == http.StatusForbidden && a.Str("code") == "not_administrator"
		switch cell {
		case open, fresh:
			if refused && !strings.HasPrefix(a.Str("code"), "invalid_") {
				t.Errorf("%s for %q: refused with %d %s, and the matrix lets it through", l.route, m.email[i], a.Status, a.Str("code"))
			}
		case closed:
			if !refused {
				t.Errorf("%s for %q: %d %s, and the matrix refuses it", l.route, m.email[i], a.Status, a.Str("code"))
			}
		case leads:
			if a.Status != http.StatusSeeOther && a.Status != http.StatusUnauthorized && a.Status != http.StatusForbidden {
				t.Errorf("%s for nobody: %d", l.route, a.Status)
			}
		default:
			t.Errorf("%s: the cell %q means nothing", l.route, cell)
		}
	}
	if !api || l.cells[4] == "" {
		return
	}
	r := call(l.route, "")
	r.Header = http.Header(m.app)
	a, err := m.h.Try(r)
	if err != nil {
		t.Errorf("%s: %v", l.route, err)
	}
	if refused := a.Status == http.StatusUnauthorized; refused != (l.cells[4] == closed) && !strings.HasPrefix(a.Str("code"), "invalid_") {
		t.Errorf("%s for an application: %d %s, and the matrix says %q", l.route, a.Status, a.Str("code"), l.cells[4])
	}
}
