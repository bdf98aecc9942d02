package app_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/db/dbtest"
)

// application is a registered application's Authorization header.
type application http.Header

func (h *house) application(name string) application {
	h.Helper()
	c, shown, err := h.operator().CreateClient(h.Context(), name, originOfTests)
	if err != nil {
		h.Fatal(err)
	}
	return basic(c.ID, shown)
}

func basic(id, secret string) application {
	return application{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))}}
}

func (a application) follow(cursor, wait string) request {
	q := url.Values{"wait": {wait}}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	return request{method: "GET", path: "/v1/revocations?" + q.Encode(), header: http.Header(a)}
}

// TestJWT5_AnApplicationLearnsOfEveryRevocation: it waits at one replica after
// another while sessions end on all of them.
func TestJWT5_AnApplicationLearnsOfEveryRevocation(t *testing.T) {
	dbURL := dbtest.Postgres(t)
	var replicas []*house
	for range 3 {
		replicas = append(replicas, open(t, dbURL, sharedURL))
	}
	app := replicas[0].application("shop")
	replicas[0].register("ada@example.org")
	a := replicas[0].expect(200, "", app.follow("", "30"))
	if a.fields["reset"] != true {
		t.Errorf("without a cursor: %s", a.text)
	}
	cursor, worst := a.str("cursor"), time.Duration(0)
	for i := range 12 {
		s := replicas[i%3].login("ada@example.org")
		ended := make(chan time.Time, 1)
		go func() {
			_, err := replicas[(i+1)%3].try(request{method: "POST", path: "/v1/logout", bearer: s.str("access_token")})
			if err != nil {
				t.Error(err)
			}
			ended <- time.Now()
		}()
		for told, asked := false, i; !told; asked++ {
			a := replicas[asked%3].expect(200, "", app.follow(cursor, "30"))
			cursor, told = a.str("cursor"), strings.Contains(a.text, `"kind":"session","id":"`+s.str("session_id"))
			if a.fields["reset"] != false {
				t.Fatalf("everything came again: %s", a.text)
			}
		}
		worst = max(worst, time.Since(<-ended))
	}
	t.Logf("the slowest took %v", worst)
}

func TestTheFeedIsForRegisteredApplications(t *testing.T) {
	each(t, func(h *house) {
		app := h.application("shop")
		h.register("ada@example.org")
		access := h.login("ada@example.org").str("access_token")
		good := app["Authorization"][0]
		for name, header := range map[string]http.Header{
			"nobody": nil, "a wrong secret": http.Header(basic("shop", "gatehouse_cs_x")), "nonsense": {"Authorization": {"Basic x"}},
			"a person": {"Authorization": {"Bearer " + access}}, "a cookie": {"Cookie": {"gatehouse_at=" + access}},
			"two": {"Authorization": {good, good}},
		} {
			a := h.expect(401, "invalid_client", request{method: "GET", path: "/v1/revocations", header: header})
			if !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Basic ") {
				h.Errorf("%s: %v", name, a.header)
			}
		}
		for _, wait := range []string{"-1", "31", "1.5", "x", "1e1"} {
			h.expect(400, "invalid_wait", app.follow("", wait))
		}
		// The secret is of one application, and of no use elsewhere.
		h.expect(401, "not_signed_in", request{method: "GET", path: "/v1/me", header: http.Header(app)})
		// A stop waits for no follower.
		cursor := h.expect(200, "", app.follow("", "0")).str("cursor")
		waiting := make(chan error)
		go func() {
			_, err := h.try(app.follow(cursor, "30"))
			waiting <- err
		}()
		h.eventually("the wait", func() (string, bool) {
			_, text := h.admin("/metrics")
			return "", strings.Contains(text, "\ngatehouse_http_requests_in_flight 1\n")
		})
		began := time.Now()
		if err := h.stop(); err != nil || time.Since(began) > 15*time.Second {
			h.Errorf("the stop took %v: %v", time.Since(began), err)
		}
		if err := <-waiting; err != nil {
			h.Error(err)
		}
	})
}
