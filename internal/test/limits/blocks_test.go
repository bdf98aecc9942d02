package limits_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// A blocked network gets 403 whatever it asks and however it is written, and nobody
// else does, whatever they claim.
func TestBlockedNetworksAreRefused(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		access := h.Administrator("root@example.org")
		made := h.Expect(201, "", harness.Blocking(access, map[string]any{"network": "203.0.113.7", "reason": "guesses"}))
		if made.Str("network") != "203.0.113.7/32" || made.Str("reason") != "guesses" || made.Fields["expires_at"] != nil {
			h.Errorf("made: %s", made.Text)
		}
		again := h.Expect(200, "", harness.Blocking(access, map[string]any{"network": "203.0.113.7", "expires_at": "2100-01-01T00:00:00Z"}))
		if again.Str("id") != made.Str("id") || again.Str("expires_at") != "2100-01-01T00:00:00.000Z" {
			h.Errorf("again: %s", again.Text)
		}
		h.Expect(201, "", harness.Blocking(access, map[string]any{"network": "2001:db8::1"}))
		h.Becomes("203.0.113.7", 403)
		h.Becomes("2001:db8::1", 403)
		for _, address := range []string{
			"203.0.113.7", "::ffff:203.0.113.7", "[::ffff:203.0.113.7]:4711", "203.0.113.7:80", "2001:db8::ffff:1", "2001:0db8:0000:0000:0000::9",
			"198.51.100.1, 203.0.113.7", "203.0.113.8,203.0.113.7",
		} {
			h.Expect(403, "address_blocked", harness.Through(address, harness.FreeRequest))
		}
		for _, address := range []string{"203.0.113.8", "2001:db8:0:1::1", "203.0.113.7, 198.51.100.1", "203.0.113.7, nonsense"} {
			h.Expect(200, "", harness.Through(address, harness.FreeRequest))
		}
		// Before anything else is looked at, a good token included.
		for _, r := range []harness.Request{
			{Method: "GET", Path: "/v1/me", Bearer: access},
			harness.SignInAs("root@example.org", harness.Passphrase),
			{Method: "GET", Path: "/nowhere"},
			{Method: "GET", Path: "/login"},
			{Method: "GET", Path: "/v1/forward-auth", Bearer: access},
			{Method: "POST", Path: "/v1/register", Body: strings.Repeat("x", 1<<17)},
		} {
			if a := h.Do(harness.Through("203.0.113.7", r)); a.Status != 403 || a.Str("code") != "address_blocked" {
				h.Errorf("%s %s: %d %s", r.Method, r.Path, a.Status, a.Text)
			}
		}
		if _, text := h.Admin("/metrics"); !strings.Contains(text, "gatehouse_blocks 2\n") || strings.Contains(text, "gatehouse_blocked_requests_total 0\n") {
			h.Error("the metrics don't tell")
		}
		list := h.Expect(200, "", harness.Get("/v1/admin/blocks?limit=1", access))
		rest := h.Expect(200, "", harness.Get("/v1/admin/blocks?cursor="+list.Str("next_cursor"), access))
		if !strings.Contains(list.Text, "2001:db8::/64") || !strings.Contains(rest.Text, "203.0.113.7/32") || rest.Str("next_cursor") != "" {
			h.Errorf("the list: %s %s", list.Text, rest.Text)
		}
		h.Expect(204, "", harness.Request{Method: "DELETE", Path: "/v1/admin/blocks/" + made.Str("id"), Bearer: access})
		h.Expect(404, "block_not_found", harness.Request{Method: "DELETE", Path: "/v1/admin/blocks/" + made.Str("id"), Bearer: access})
		h.Becomes("203.0.113.7", 200)
		log := h.Logs.String()
		for _, want := range []string{`"network":"203.0.113.7/32"`, `"by":"administrator"`, `"event":"address_unblocked"`} {
			if !strings.Contains(log, want) {
				h.Errorf("the log lacks %s", want)
			}
		}
	}, harness.BehindProxy)
}

// Nobody is believed who is no proxy: a blocked caller is refused whatever they
// write, and a header refuses nobody.
func TestABlockLooksAtTheConnection(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), "TRUSTED_PROXIES=none")
	access := h.Administrator("root@example.org")
	h.Expect(201, "", harness.Blocking(access, map[string]any{"network": "203.0.113.0/24"}))
	h.Expect(409, "confirmation_needed", harness.Blocking(access, map[string]any{"network": "127.0.0.0/8"}))
	h.Expect(200, "", harness.Through("203.0.113.7", harness.FreeRequest))
	h.Expect(201, "", harness.Blocking(access, map[string]any{"network": "127.0.0.1", "confirm": true}))
	h.Becomes("198.51.100.1", 403)
	for _, header := range []http.Header{{"X-Forwarded-For": {"198.51.100.1"}}, {"Forwarded": {"for=198.51.100.1"}}, {"Cf-Connecting-Ip": {"198.51.100.1"}}} {
		h.Expect(403, "address_blocked", harness.Request{Method: "GET", Path: "/v1/me", Bearer: access, Header: header})
	}
	// Who has locked themselves out uses the command line.
	if _, err := blocks(h).Remove(t.Context(), "127.0.0.1", flow.Identity{}, harness.OriginOfTests); err != nil {
		t.Fatal(err)
	}
	h.Becomes("198.51.100.1", 200)
}

// blocks is what the command line blocks with.
func blocks(h *harness.Server) *operate.Blocks {
	h.Helper()
	return app.OperatorBlocks(&config.Config{}, h.Operator())
}

func TestABlockThatIsAskedAgain(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), "TRUSTED_PROXIES=127.0.0.1, 10.1.0.0/16")
	access := h.Administrator("root@example.org")
	for network, whom := range map[string]string{
		"192.0.2.0/24": "your own address, 192.0.2.9", "10.1.2.3": "a trusted proxy, 10.1.0.0/16", "10.0.0.0/8": "a trusted proxy", "127.0.0.1": "a trusted proxy",
		"192.0.0.0/2": "your own",
		"::/0":        "the internet", "2000::/3": "the internet", "0.0.0.0/1": "a trusted proxy",
	} {
		r := harness.Through("192.0.2.9", harness.Blocking(access, map[string]any{"network": network}))
		if a := h.Expect(409, "confirmation_needed", r); !strings.Contains(a.Str("detail"), whom) {
			t.Errorf("%s: %s", network, a.Text)
		}
	}
	for code, body := range map[string]map[string]any{
		"required": {"reason": "x"}, "invalid_network": {"network": "203.0.113.7/24"},
		"reason_too_long": {"network": "203.0.113.7", "reason": strings.Repeat("x", 201)},
		"invalid_reason":  {"network": "203.0.113.7", "reason": "a\x1b[2J"}, "invalid_expiry": {"network": "203.0.113.7", "expires_at": "2001-01-01T00:00:00Z"},
		"wrong_type": {"network": 7},
	} {
		h.Expect(400, code, harness.Through("192.0.2.9", harness.Blocking(access, body)))
	}
	h.Expect(400, "invalid_expiry", harness.Blocking(access, map[string]any{"network": "203.0.113.7", "expires_at": "tomorrow"}))
	if list := h.Expect(200, "", harness.Get("/v1/admin/blocks", access)); list.Text != `{"blocks":[]}`+"\n" && list.Text != `{"blocks":[]}` {
		t.Errorf("something is blocked: %s", list.Text)
	}
}

// Every replica obeys; sixteen that add the same at once make one block.
func TestEveryReplicaRefusesABlockedNetwork(t *testing.T) {
	dbURL := dbtest.Postgres(t)
	var replicas []*harness.Server
	for range 3 {
		replicas = append(replicas, harness.Open(t, dbURL, harness.SharedURL, harness.BehindProxy))
	}
	access := replicas[0].Administrator("root@example.org")
	for _, h := range replicas { // each knows the role
		h.Expect(200, "", harness.Get("/v1/admin/blocks", access))
	}
	worst := time.Duration(0)
	for i := range 5 {
		address := fmt.Sprintf("203.0.113.%d", i)
		replicas[i%3].Expect(201, "", harness.Blocking(access, map[string]any{"network": address}))
		at := time.Now()
		for _, h := range replicas {
			h.Becomes(address, 403)
			worst = max(worst, time.Since(at))
		}
	}
	t.Logf("in force on all replicas within %s", worst)
	var (
		all   sync.WaitGroup
		added atomic.Int64
	)
	for i := range 16 {
		all.Go(func() {
			a, err := replicas[i%3].Try(harness.Blocking(access, map[string]any{"network": "198.51.100.0/24", "reason": fmt.Sprint(i)}))
			switch {
			case err != nil || a.Status != 200 && a.Status != 201:
				t.Error(a.Status, a.Text, err)
			case a.Status == 201:
				added.Add(1)
			}
		})
	}
	all.Wait()
	if added.Load() != 1 {
		t.Errorf("%d made the block", added.Load())
	}
	// A restart knows them from the first request on.
	late := harness.Open(t, dbURL, harness.SharedURL, harness.BehindProxy)
	late.Expect(403, "address_blocked", harness.Through("198.51.100.9", harness.FreeRequest))
}

// While the database is away the last known blocks stay in force, and end when they
// would have.
func TestBlocksOutliveTheDatabase(t *testing.T) {
	var ahead atomic.Int64
	h := harness.OpenAt(t, dbtest.Postgres(t), func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }, harness.BehindProxy)
	access := h.Administrator("root@example.org")
	h.Expect(201, "", harness.Blocking(access, map[string]any{"network": "203.0.113.7"}))
	h.Expect(201, "", harness.Blocking(access, map[string]any{"network": "203.0.113.8", "expires_at": time.Now().Add(time.Hour).UTC().Format(time.RFC3339)}))
	h.Becomes("203.0.113.7", 403)
	h.Becomes("203.0.113.8", 403)
	h.BreakDatabase()
	h.Eventually("the database is away", func() (string, bool) {
		a := h.Do(harness.Get("/v1/admin/blocks", access))
		return a.Text, a.Status == 503
	})
	h.Expect(403, "address_blocked", harness.Through("203.0.113.7", harness.FreeRequest))
	h.Expect(403, "address_blocked", harness.Through("203.0.113.8", harness.FreeRequest))
	ahead.Store(int64(2 * time.Hour))
	h.Expect(403, "address_blocked", harness.Through("203.0.113.7", harness.FreeRequest))
	h.Expect(200, "", harness.Through("203.0.113.8", harness.FreeRequest))
}

// Only administrators may, and for changes only those who have signed in lately; a
// role that was taken away counts no more.
func TestTheAdministratorsGuard(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		var ahead harness.Clock
		h := harness.OpenAt(t, dbURL, ahead.Now)
		h.Register("ada@example.org")
		calls := administratorsCalls()
		user := h.Login("ada@example.org").Str("access_token")
		admin := h.Administrator("root@example.org")
		first := h.Login("root@example.org")
		for _, r := range calls {
			h.Expect(401, "not_signed_in", r)
			r.Bearer = user
			h.Expect(403, "not_administrator", r)
			r.Bearer = admin
			if a := h.Do(r); a.Status == 401 || a.Status == 403 {
				t.Errorf("%s %s: %d %s", r.Method, r.Path, a.Status, a.Text)
			}
		}
		if log := h.Logs.String(); strings.Contains(log, harness.Passphrase) {
			t.Error("the log has the password")
		}
		// A refresh makes no sign-in young.
		ahead.Set(14 * time.Minute)
		h.Ready()
		refreshed := h.Refresh(first.Str("refresh_token"))
		ahead.Set(16 * time.Minute)
		h.Ready()
		for _, r := range calls {
			r.Bearer = refreshed.Str("access_token")
			a := h.Do(r)
			if r.Method == "GET" && a.Status != 200 && a.Status != 404 || r.Method != "GET" && a.Str("code") != "sign_in_again" {
				t.Errorf("%s %s after 16 minutes: %d %s", r.Method, r.Path, a.Status, a.Text)
			}
		}
		again := h.Login("root@example.org").Str("access_token")
		h.Expect(201, "", harness.Blocking(again, map[string]any{"network": "203.0.113.9"}))
		// Cookies need the token against other sites' forms.
		b := h.Browser()
		b.SignIn("root@example.org")
		for _, r := range calls {
			if a := b.Send(r); r.Method != "GET" && a.Str("code") != "csrf_token_required" {
				t.Errorf("%s %s with cookies alone: %d %s", r.Method, r.Path, a.Status, a.Text)
			}
		}
		if _, err := h.Operator().SetRoles(t.Context(), "root@example.org", nil, harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		h.Eventually("the role is gone", func() (string, bool) {
			a := h.Do(harness.Get("/v1/admin/blocks", again))
			return a.Text, a.Status == 401
		})
		h.Expect(403, "not_administrator", harness.Get("/v1/admin/blocks", h.Login("root@example.org").Str("access_token")))
	})
}

// administratorsCalls are all calls below /v1/admin, each with a body that is good.
func administratorsCalls() (list []harness.Request) {
	bodies := map[string]map[string]any{
		"POST /v1/admin/blocks":         {"network": "203.0.113.7"},
		"POST /v1/admin/alerts/silence": {"rule": "canary", "until": "2001-01-01T00:00:00Z"},
	}
	for path, item := range harness.Document().Doc.Paths.Map() {
		if !strings.HasPrefix(path, "/v1/admin/") {
			continue
		}
		for method := range item.Operations() {
			r := harness.Request{Method: method, Path: strings.ReplaceAll(path, "{id}", "0198c0de-0000-7000-8000-000000000001")}
			if body := bodies[method+" "+path]; body != nil {
				r.Body = body
			}
			list = append(list, r)
		}
	}
	return list
}

// Blocks end by themselves, and the sweep takes them out of memory.
func TestABlockEndsByItself(t *testing.T) {
	var ahead atomic.Int64
	h := harness.OpenAt(t, dbtest.SQLite(t), func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }, harness.BehindProxy)
	f := blocks(h)
	if _, _, err := f.Add(t.Context(), operate.NewBlock{Network: "203.0.113.0/24", ExpiresAt: time.Now().Add(time.Hour)}, nil, flow.Identity{},
		harness.OriginOfTests); err != nil {
		t.Fatal(err)
	}
	h.Becomes("203.0.113.7", 403)
	ahead.Store(int64(61 * time.Minute))
	h.Expect(200, "", harness.Through("203.0.113.7", harness.FreeRequest))
	h.Eventually("the sweep", func() (string, bool) {
		_, text := h.Admin("/metrics")
		return "gatehouse_blocks", strings.Contains(text, "gatehouse_blocks 0\n")
	})
	var left int64
	if err := h.Database().Read(t.Context(), func(tx *db.Tx) error {
		return tx.QueryRow(`SELECT COUNT(*) FROM block WHERE removed_at IS NULL`).Scan(&left)
	}); err != nil || left != 0 {
		t.Errorf("%d left, %v", left, err)
	}
}
