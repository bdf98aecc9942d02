package app_test

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
)

// administrator makes one, and returns their access token.
func (h *house) administrator(email string) string {
	h.Helper()
	h.register(email)
	if _, err := h.operator().SetRoles(h.Context(), email, []string{"admin"}, originOfTests); err != nil {
		h.Fatal(err)
	}
	return h.login(email).str("access_token")
}

func blocking(access string, body map[string]any) request {
	return request{method: "POST", path: "/v1/admin/blocks", bearer: access, body: body}
}

// asks is a request that costs nothing.
var asks = request{method: "GET", path: "/openapi.json"}

// becomes asks for an address until the answer has the status, and returns how long
// that took.
func (h *house) becomes(address string, status int) time.Duration {
	h.Helper()
	at := time.Now()
	h.eventually(fmt.Sprint(address, " gets ", status), func() (string, bool) {
		a := h.do(through(address, asks))
		return a.text, a.status == status
	})
	return time.Since(at)
}

// A blocked network gets 403 whatever it asks and however it is written, and nobody
// else does, whatever they claim.
func TestBlockedNetworksAreRefused(t *testing.T) {
	each(t, func(h *house) {
		access := h.administrator("root@example.org")
		made := h.expect(201, "", blocking(access, map[string]any{"network": "203.0.113.7", "reason": "guesses"}))
		if made.str("network") != "203.0.113.7/32" || made.str("reason") != "guesses" || made.fields["expires_at"] != nil {
			h.Errorf("made: %s", made.text)
		}
		again := h.expect(200, "", blocking(access, map[string]any{"network": "203.0.113.7", "expires_at": "2100-01-01T00:00:00Z"}))
		if again.str("id") != made.str("id") || again.str("expires_at") != "2100-01-01T00:00:00.000Z" {
			h.Errorf("again: %s", again.text)
		}
		h.expect(201, "", blocking(access, map[string]any{"network": "2001:db8::1"}))
		h.becomes("203.0.113.7", 403)
		h.becomes("2001:db8::1", 403)
		for _, address := range []string{
			"203.0.113.7", "::ffff:203.0.113.7", "[::ffff:203.0.113.7]:4711", "203.0.113.7:80", "2001:db8::ffff:1", "2001:0db8:0000:0000:0000::9",
			"198.51.100.1, 203.0.113.7", "203.0.113.8,203.0.113.7",
		} {
			h.expect(403, "address_blocked", through(address, asks))
		}
		for _, address := range []string{"203.0.113.8", "2001:db8:0:1::1", "203.0.113.7, 198.51.100.1", "203.0.113.7, nonsense"} {
			h.expect(200, "", through(address, asks))
		}
		// Before anything else is looked at, a good token included.
		for _, r := range []request{
			{method: "GET", path: "/v1/me", bearer: access},
			guessing("root@example.org", passphrase),
			{method: "GET", path: "/nowhere"},
			{method: "GET", path: "/login"},
			{method: "GET", path: "/v1/forward-auth", bearer: access},
			{method: "POST", path: "/v1/register", body: strings.Repeat("x", 1<<17)},
		} {
			if a := h.do(through("203.0.113.7", r)); a.status != 403 || a.str("code") != "address_blocked" {
				h.Errorf("%s %s: %d %s", r.method, r.path, a.status, a.text)
			}
		}
		if _, text := h.admin("/metrics"); !strings.Contains(text, "gatehouse_blocks 2\n") || strings.Contains(text, "gatehouse_blocked_requests_total 0\n") {
			h.Error("the metrics don't tell")
		}
		list := h.expect(200, "", request{method: "GET", path: "/v1/admin/blocks?limit=1", bearer: access})
		rest := h.expect(200, "", request{method: "GET", path: "/v1/admin/blocks?cursor=" + list.str("next_cursor"), bearer: access})
		if !strings.Contains(list.text, "2001:db8::/64") || !strings.Contains(rest.text, "203.0.113.7/32") || rest.str("next_cursor") != "" {
			h.Errorf("the list: %s %s", list.text, rest.text)
		}
		h.expect(204, "", request{method: "DELETE", path: "/v1/admin/blocks/" + made.str("id"), bearer: access})
		h.expect(404, "block_not_found", request{method: "DELETE", path: "/v1/admin/blocks/" + made.str("id"), bearer: access})
		h.becomes("203.0.113.7", 200)
		log := h.log.String()
		for _, want := range []string{`"network":"203.0.113.7/32"`, `"by":"administrator"`, `"event":"address_unblocked"`} {
			if !strings.Contains(log, want) {
				h.Errorf("the log lacks %s", want)
			}
		}
	}, trusted)
}

// Nobody is believed who is no proxy: a blocked caller is refused whatever they
// write, and a header refuses nobody.
func TestABlockLooksAtTheConnection(t *testing.T) {
	h := open(t, dbtest.SQLite(t), "TRUSTED_PROXIES=none")
	access := h.administrator("root@example.org")
	h.expect(201, "", blocking(access, map[string]any{"network": "203.0.113.0/24"}))
	h.expect(409, "confirmation_needed", blocking(access, map[string]any{"network": "127.0.0.0/8"}))
	h.expect(200, "", through("203.0.113.7", asks))
	h.expect(201, "", blocking(access, map[string]any{"network": "127.0.0.1", "confirm": true}))
	h.becomes("198.51.100.1", 403)
	for _, header := range []http.Header{{"X-Forwarded-For": {"198.51.100.1"}}, {"Forwarded": {"for=198.51.100.1"}}, {"Cf-Connecting-Ip": {"198.51.100.1"}}} {
		h.expect(403, "address_blocked", request{method: "GET", path: "/v1/me", bearer: access, header: header})
	}
	// Who has locked themselves out uses the command line.
	if _, err := h.blocks().Remove(t.Context(), "127.0.0.1", flow.Identity{}, originOfTests); err != nil {
		t.Fatal(err)
	}
	h.becomes("198.51.100.1", 200)
}

// blocks is what the command line blocks with.
func (h *house) blocks() *flow.Blocks {
	h.Helper()
	return app.OperatorBlocks(&config.Config{}, h.operator())
}

func TestABlockThatIsAskedAgain(t *testing.T) {
	h := open(t, dbtest.SQLite(t), "TRUSTED_PROXIES=127.0.0.1, 10.1.0.0/16")
	access := h.administrator("root@example.org")
	for network, whom := range map[string]string{
		"192.0.2.0/24": "your own address, 192.0.2.9", "10.1.2.3": "a trusted proxy, 10.1.0.0/16", "10.0.0.0/8": "a trusted proxy", "127.0.0.1": "a trusted proxy", "192.0.0.0/2": "your own",
		"::/0": "the internet", "2000::/3": "the internet", "0.0.0.0/1": "a trusted proxy",
	} {
		r := through("192.0.2.9", blocking(access, map[string]any{"network": network}))
		if a := h.expect(409, "confirmation_needed", r); !strings.Contains(a.str("detail"), whom) {
			t.Errorf("%s: %s", network, a.text)
		}
	}
	for code, body := range map[string]map[string]any{
		"required": {"reason": "x"}, "invalid_network": {"network": "203.0.113.7/24"}, "reason_too_long": {"network": "203.0.113.7", "reason": strings.Repeat("x", 201)},
		"invalid_reason": {"network": "203.0.113.7", "reason": "a\x1b[2J"}, "invalid_expiry": {"network": "203.0.113.7", "expires_at": "2001-01-01T00:00:00Z"}, "wrong_type": {"network": 7},
	} {
		h.expect(400, code, through("192.0.2.9", blocking(access, body)))
	}
	h.expect(400, "invalid_expiry", blocking(access, map[string]any{"network": "203.0.113.7", "expires_at": "tomorrow"}))
	if list := h.expect(200, "", request{method: "GET", path: "/v1/admin/blocks", bearer: access}); list.text != `{"blocks":[]}`+"\n" && list.text != `{"blocks":[]}` {
		t.Errorf("something is blocked: %s", list.text)
	}
}

// Every replica obeys; sixteen that add the same at once make one block.
func TestEveryReplicaRefusesABlockedNetwork(t *testing.T) {
	dbURL := dbtest.Postgres(t)
	var replicas []*house
	for range 3 {
		replicas = append(replicas, open(t, dbURL, sharedURL, trusted))
	}
	access := replicas[0].administrator("root@example.org")
	for _, h := range replicas { // each knows the role
		h.expect(200, "", request{method: "GET", path: "/v1/admin/blocks", bearer: access})
	}
	worst := time.Duration(0)
	for i := range 5 {
		address := fmt.Sprintf("203.0.113.%d", i)
		replicas[i%3].expect(201, "", blocking(access, map[string]any{"network": address}))
		at := time.Now()
		for _, h := range replicas {
			h.becomes(address, 403)
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
			a, err := replicas[i%3].try(blocking(access, map[string]any{"network": "198.51.100.0/24", "reason": fmt.Sprint(i)}))
			switch {
			case err != nil || a.status != 200 && a.status != 201:
				t.Error(a.status, a.text, err)
			case a.status == 201:
				added.Add(1)
			}
		})
	}
	all.Wait()
	if added.Load() != 1 {
		t.Errorf("%d made the block", added.Load())
	}
	// A restart knows them from the first request on.
	late := open(t, dbURL, sharedURL, trusted)
	late.expect(403, "address_blocked", through("198.51.100.9", asks))
}

// While the database is away the last known blocks stay in force, and end when they
// would have.
func TestBlocksOutliveTheDatabase(t *testing.T) {
	var ahead atomic.Int64
	h := openAt(t, dbtest.Postgres(t), func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }, trusted)
	access := h.administrator("root@example.org")
	h.expect(201, "", blocking(access, map[string]any{"network": "203.0.113.7"}))
	h.expect(201, "", blocking(access, map[string]any{"network": "203.0.113.8", "expires_at": time.Now().Add(time.Hour).UTC().Format(time.RFC3339)}))
	h.becomes("203.0.113.7", 403)
	h.becomes("203.0.113.8", 403)
	h.breakDatabase()
	h.eventually("the database is away", func() (string, bool) {
		a := h.do(request{method: "GET", path: "/v1/admin/blocks", bearer: access})
		return a.text, a.status == 503
	})
	h.expect(403, "address_blocked", through("203.0.113.7", asks))
	h.expect(403, "address_blocked", through("203.0.113.8", asks))
	ahead.Store(int64(2 * time.Hour))
	h.expect(403, "address_blocked", through("203.0.113.7", asks))
	h.expect(200, "", through("203.0.113.8", asks))
}

// Only administrators may, and for changes only those who have signed in lately; a
// role that was taken away counts no more.
func TestTheAdministratorsGuard(t *testing.T) {
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		ahead.Store(0)
		h := openAt(t, dbURL, now)
		h.register("ada@example.org")
		calls := administratorsCalls()
		user := h.login("ada@example.org").str("access_token")
		admin := h.administrator("root@example.org")
		first := h.login("root@example.org")
		for _, r := range calls {
			h.expect(401, "not_signed_in", r)
			r.bearer = user
			h.expect(403, "not_administrator", r)
			r.bearer = admin
			if a := h.do(r); a.status == 401 || a.status == 403 {
				t.Errorf("%s %s: %d %s", r.method, r.path, a.status, a.text)
			}
		}
		if log := h.log.String(); strings.Contains(log, passphrase) {
			t.Error("the log has the password")
		}
		// A refresh makes no sign-in young.
		ahead.Store(int64(14 * time.Minute))
		h.ready()
		refreshed := h.refresh(first.str("refresh_token"))
		ahead.Store(int64(16 * time.Minute))
		h.ready()
		for _, r := range calls {
			r.bearer = refreshed.str("access_token")
			a := h.do(r)
			if r.method == "GET" && a.status != 200 || r.method != "GET" && a.str("code") != "sign_in_again" {
				t.Errorf("%s %s after 16 minutes: %d %s", r.method, r.path, a.status, a.text)
			}
		}
		again := h.login("root@example.org").str("access_token")
		h.expect(201, "", blocking(again, map[string]any{"network": "203.0.113.9"}))
		// Cookies need the token against other sites' forms.
		b := h.browser()
		b.signIn("root@example.org")
		for _, r := range calls {
			if a := b.send(r); r.method != "GET" && a.str("code") != "csrf_token_required" {
				t.Errorf("%s %s with cookies alone: %d %s", r.method, r.path, a.status, a.text)
			}
		}
		if _, err := h.operator().SetRoles(t.Context(), "root@example.org", nil, originOfTests); err != nil {
			t.Fatal(err)
		}
		h.eventually("the role is gone", func() (string, bool) {
			a := h.do(request{method: "GET", path: "/v1/admin/blocks", bearer: again})
			return a.text, a.status == 401
		})
		h.expect(403, "not_administrator", request{method: "GET", path: "/v1/admin/blocks", bearer: h.login("root@example.org").str("access_token")})
	})
}

// administratorsCalls are all calls below /v1/admin, each with a body that is good.
func administratorsCalls() (list []request) {
	bodies := map[string]map[string]any{
		"POST /v1/admin/blocks":         {"network": "203.0.113.7"},
		"POST /v1/admin/alerts/silence": {"rule": "canary", "until": "2001-01-01T00:00:00Z"},
	}
	for path, item := range document.doc.Paths.Map() {
		if !strings.HasPrefix(path, "/v1/admin/") {
			continue
		}
		for method := range item.Operations() {
			r := request{method: method, path: strings.ReplaceAll(path, "{id}", "0198c0de-0000-7000-8000-000000000001")}
			if body := bodies[method+" "+path]; body != nil {
				r.body = body
			}
			list = append(list, r)
		}
	}
	return list
}

// Blocks end by themselves, and the sweep takes them out of memory.
func TestABlockEndsByItself(t *testing.T) {
	var ahead atomic.Int64
	h := openAt(t, dbtest.SQLite(t), func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }, trusted)
	f := h.blocks()
	if _, _, err := f.Add(t.Context(), flow.NewBlock{Network: "203.0.113.0/24", ExpiresAt: time.Now().Add(time.Hour)}, nil, flow.Identity{}, originOfTests); err != nil {
		t.Fatal(err)
	}
	h.becomes("203.0.113.7", 403)
	ahead.Store(int64(61 * time.Minute))
	h.expect(200, "", through("203.0.113.7", asks))
	h.eventually("the sweep", func() (string, bool) {
		_, text := h.admin("/metrics")
		return "gatehouse_blocks", strings.Contains(text, "gatehouse_blocks 0\n")
	})
	var left int64
	if err := h.database().Read(t.Context(), func(tx *db.Tx) error {
		return tx.QueryRow(`SELECT COUNT(*) FROM block WHERE removed_at IS NULL`).Scan(&left)
	}); err != nil || left != 0 {
		t.Errorf("%d left, %v", left, err)
	}
}
