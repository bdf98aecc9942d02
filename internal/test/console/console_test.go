package console_test

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// hostile is what somebody would like to run in an administrator's browser.
const hostile = `"><script>window.hacked=1</script><img src=x onerror=hacked=1>{{.}}`

// settings have room for many requests of one test.
var settings = []string{"API_RATE_LIMIT_REQUESTS=100000", "TRUSTED_PROXIES=127.0.0.1"}

func asked(more ...string) http.Header {
	h := http.Header{"Accept": {"text/html,application/xhtml+xml,*/*;q=0.8"}}
	for i := 0; i < len(more); i += 2 {
		h.Set(more[i], more[i+1])
	}
	return h
}

func open(b *harness.Browser, path string) harness.Answer {
	b.Helper()
	return b.Send(harness.Request{Method: "GET", Path: path, Header: asked()})
}

var csrf = regexp.MustCompile(`name="csrf_token" value="([^"]+)"`)

// press sends the form of a page as a browser without script does, and follows where it
// leads.
func press(b *harness.Browser, path string, in harness.Body) (sent, shown harness.Answer) {
	b.Helper()
	page := open(b, path)
	return pressWith(b, path, in, page)
}

func pressWith(b *harness.Browser, path string, in harness.Body, page harness.Answer) (sent, shown harness.Answer) {
	b.Helper()
	found := csrf.FindStringSubmatch(page.Text)
	if found == nil {
		b.Fatalf("%s has no form: %d %s", path, page.Status, page.Text)
	}
	r := harness.Press(path, in.With("csrf_token", html.UnescapeString(found[1])))
	r.Header = asked("Origin", b.URL(), "Sec-Fetch-Site", "same-origin")
	sent = b.Send(r)
	if sent.Status == 303 {
		shown = open(b, sent.Header.Get("Location"))
	}
	return sent, shown
}

// administrator is a browser that is signed in with a role.
func administrator(h *harness.Server, email string, roles ...string) *harness.Browser {
	h.Helper()
	h.Register(email)
	if _, err := h.Operator().SetRoles(h.Context(), email, roles, harness.OriginOfTests); err != nil {
		h.Fatal(err)
	}
	b := h.Browser()
	b.SignIn(email)
	return b
}

// people fills the server with somebody of each kind, whose names would run if they
// could, and returns the id of one.
func people(h *harness.Server) string {
	h.Helper()
	for i := range 3 {
		email := fmt.Sprintf("p%d@example.org", i)
		h.Register(email)
		r := harness.SignInAs(email, harness.Passphrase)
		r.Header = http.Header{"User-Agent": {hostile}, "X-Forwarded-For": {"203.0.113.9"}}
		h.Expect(200, "", r)
		h.Expect(401, "invalid_credentials", harness.Through("203.0.113.9", harness.WrongPassword(email, i)))
	}
	var id string
	d := dbtest.Open(h.T, dbtest.Superusers(h.T, h.DBURL))
	err := d.Write(h.Context(), func(tx *db.Tx) error {
		if err := tx.QueryRow(`SELECT id FROM account WHERE email = 'p0@example.org'`).Scan(&id); err != nil {
			return err
		}
		_, err := tx.Exec(`UPDATE account SET name = $1 WHERE id = $2`, hostile, id)
		return err
	})
	if err != nil {
		h.Fatal(err)
	}
	return id
}

// pages are all that can be opened.
func pages(id, event string) []string {
	return []string{
		"/admin", "/admin?range=7d", "/admin?range=30d", "/admin/help", "/admin/doctor", "/admin/people", "/admin/people?q=p0", "/admin/people?q=nobody+at+all",
		"/admin/people?state=disabled", "/admin/people?role=admin&q=" + url.QueryEscape(hostile), "/admin/people/new", "/admin/people/" + id,
		"/admin/people/" + id + "?all=1",
		"/admin/people/" + id + "/disable", "/admin/people/" + id + "/enable", "/admin/people/" + id + "/end-sessions", "/admin/people/" + id + "/reset",
		"/admin/people/" + id + "/unlock", "/admin/people/" + id + "/verify", "/admin/people/" + id + "/resend", "/admin/people/" + id + "/roles",
		"/admin/sessions/end", "/admin/sessions/end?network=203.0.113.0%2F24", "/admin/events", "/admin/events?network=203.0.113.9&event=failed_login_attempt",
		"/admin/events?network=" + url.QueryEscape(hostile), "/admin/events?event=key_rotated&outcome=failure", "/admin/events/" + event,
		"/admin/alerts", "/admin/alerts/silence?rule=" + url.QueryEscape(hostile), "/admin/blocks",
		"/admin/blocks/new?network=203.0.113.0%2F24&for=24&reason=" + url.QueryEscape(hostile),
		"/admin/keys", "/admin/keys/rotate", "/admin/clients/new", "/admin/resources/new", "/admin/mail", "/admin/mail?dead=1", "/admin/settings",
		"/admin/settings?show=changed", "/admin/retention", "/admin/retention?due=1", "/admin/retention/pause?for=30&reason=" + url.QueryEscape(hostile),
		"/admin/retention/resume",
		"/admin/settings?q=" + url.QueryEscape(hostile),
	}
}

func anEvent(h *harness.Server) (id string) {
	h.Helper()
	d := dbtest.Open(h.T, dbtest.Superusers(h.T, h.DBURL))
	err := d.Read(h.Context(), func(tx *db.Tx) error { return tx.QueryRow(`SELECT id FROM event ORDER BY id LIMIT 1`).Scan(&id) })
	if err != nil {
		h.Fatal(err)
	}
	return id
}

// TEST-5: every page of the console in every language, without script: it is whole, small,
// and what people have put into it is text.
func TestTEST5_EveryPageOfTheConsoleInEveryLanguage(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		b := administrator(h, "admin@example.org", "admin")
		id := people(h)
		shop, _, err := h.Operator().RegisterClient(h.Context(), "shop", client.Web, client.Settings{
			Title: hostile, RedirectURIs: []string{"https://shop.example.com/cb"},
		}, harness.OriginOfTests)
		if err != nil {
			h.Fatal(err)
		}
		const notes = "https://notes.example.org/"
		if _, err := h.Operator().AddResource(h.Context(), client.Resource{URI: notes, Name: hostile, Scopes: []client.Scope{{Name: "read", Title: hostile}}},
			harness.OriginOfTests); err != nil {
			h.Fatal(err)
		}
		list := append(pages(id, anEvent(h)), "/admin/resource?uri="+notes, "/admin/resource/delete?uri="+notes)
		for _, page := range []string{"", "/disable", "/enable", "/secret", "/delete"} {
			list = append(list, "/admin/clients/"+shop.ID+page)
		}
		for _, lang := range []string{"en", "de", "fr", "es", "ar"} {
			for _, path := range list {
				sign := "?"
				if strings.Contains(path, "?") {
					sign = "&"
				}
				a := open(b, path+sign+"lang="+lang)
				if a.Status != 200 || !strings.Contains(a.Text, `<html lang="`+lang+`"`) || !strings.Contains(a.Text, `<main id="content">`) {
					h.Errorf("%s in %s: %d %.400s", path, lang, a.Status, a.Text)
					continue
				}
				if lang == "ar" && !strings.Contains(a.Text, `dir="rtl"`) {
					h.Errorf("%s in Arabic is not right to left", path)
				}
				if strings.Contains(a.Text, "<script>") || strings.Contains(a.Text, "<img src=x") {
					h.Errorf("%s: what somebody wrote runs: %s", path, a.Text)
				}
				if csp := a.Header.Get("Content-Security-Policy"); strings.Contains(csp, "unsafe") || a.Header.Get("Cache-Control") != "no-store" {
					h.Errorf("%s: %v", path, a.Header)
				}
				most := 26 << 10                        // style and script are 24 KB of the 50
				if strings.Contains(path, "settings") { // one line for each setting
					most = 50 << 10
				}
				if len(a.Text) > most {
					h.Errorf("%s: %d bytes, at most %d", path, len(a.Text), most)
				}
				for _, key := range regexp.MustCompile(`>[a-z]+\.[a-z-]+<`).FindAllString(a.Text, -1) {
					if !strings.Contains(key, "example") {
						h.Errorf("%s in %s shows a key: %s", path, lang, key)
					}
				}
			}
		}
	}, settings...)
}

// An administrator's day without script, by forms alone.
func TestAnAdministratorsDayWithoutScript(t *testing.T) {
	harness.EachReadable(t, func(h *harness.Server) {
		b := administrator(h, "admin@example.org", "admin")
		id := people(h)
		person := "/admin/people/" + id
		step := func(path string, in harness.Body, says string) {
			h.Helper()
			sent, shown := press(b, path, in)
			if sent.Status != 303 || shown.Status != 200 || !strings.Contains(shown.Text, says) {
				h.Errorf("%s: %d %d, want %q: %.1500s", path, sent.Status, shown.Status, says, sent.Text+shown.Text)
			}
		}
		refused := func(path string, in harness.Body, status int, says string) {
			h.Helper()
			sent, _ := press(b, path, in)
			if sent.Status != status || !strings.Contains(sent.Text, says) {
				h.Errorf("%s: %d, want %d and %q: %.1500s", path, sent.Status, status, says, sent.Text)
			}
		}
		refused(person+"/end-sessions", harness.Body{}, 400, "Say why")
		step(person+"/end-sessions", harness.Body{"reason": "Lost a phone"}, "The sessions ended.")
		step(person+"/disable", harness.Body{"reason": "Asked for it"}, "The account is disabled")
		step(person+"/enable", harness.Body{"reason": "Back"}, "The account is enabled.")
		step(person+"/unlock", harness.Body{"reason": "By phone"}, "The account is unlocked.")
		step(person+"/resend", harness.Body{"reason": "It got lost"}, "The mail is on its way.")
		step(person+"/verify", harness.Body{"reason": "By phone"}, "The address counts as verified.")
		step(person+"/roles", harness.Body{"reason": "New post", "roles": "writer, editor"}, "editor, writer")
		refused(person+"/roles", harness.Body{"reason": "New post", "roles": "Writer!"}, 400, "A role is")
		step(person+"/reset", harness.Body{"reason": "Somebody else may know it"}, "the mail is on its way")
		step("/admin/people/new", harness.Body{"email": "grace@example.org", "roles": "", "reason": "New colleague", "locale": "de"}, "the invitation is on its way")
		refused("/admin/people/new", harness.Body{"email": "grace@example.org", "reason": "Again"}, 409, "already has an account")
		if m := h.Mailbox().Last("grace@example.org", notice.Invitation); m.Locale != "de" {
			h.Errorf("the invitation: %+v", m)
		}
		preview := open(b, "/admin/blocks/new?network=203.0.113.0%2F24&for=24&reason=Spraying")
		if preview.Status != 200 || !strings.Contains(preview.Text, "203.0.113.0/24") || !strings.Contains(preview.Text, "people use this network") {
			h.Errorf("the preview of a block: %d %s", preview.Status, preview.Text)
		}
		sent, shown := pressWith(b, "/admin/blocks/new", harness.Body{"network": "203.0.113.0/24", "for": "24", "reason": "Spraying"}, preview)
		end := regexp.MustCompile(`/admin/blocks/[0-9a-f-]+/end`).FindString(shown.Text)
		if sent.Status != 303 || end == "" {
			h.Fatalf("a block: %d %s", sent.Status, shown.Text)
		}
		step(end, harness.Body{}, "The block has ended.")
		step("/admin/keys/rotate", harness.Body{"reason": "Exercise"}, "The next key signs")
		pause := open(b, "/admin/retention/pause?for=90&reason=A+lawsuit")
		if pause.Status != 200 || !strings.Contains(pause.Text, "Delete nothing for 90 days?") {
			h.Errorf("the preview of a pause: %d %s", pause.Status, pause.Text)
		}
		sent, shown = pressWith(b, "/admin/retention/pause", harness.Body{"for": "90", "reason": "A lawsuit"}, pause)
		if sent.Status != 303 || !strings.Contains(shown.Text, "A lawsuit") || !strings.Contains(shown.Text, "/admin/retention/resume") {
			h.Errorf("a pause: %d %s", sent.Status, shown.Text)
		}
		step("/admin/retention/resume", harness.Body{"reason": "It is over"}, "What is kept long enough is deleted again.")
		made, _ := press(b, "/admin/clients/new", harness.Body{"name": "rooms", "reason": "Room bookings"})
		if made.Status != 200 || strings.Count(made.Text, "gatehouse_cs_") != 1 {
			h.Errorf("an application: %d %s", made.Status, made.Text)
		}
		if again := open(b, "/admin/keys"); strings.Contains(again.Text, "gatehouse_cs_") || !strings.Contains(again.Text, "rooms") {
			h.Errorf("the secret is shown twice, or the application not at all: %s", again.Text)
		}
		client := regexp.MustCompile(`/admin/clients/[0-9a-f-]+`).FindString(open(b, "/admin/keys").Text)
		step(client+"/delete", harness.Body{"reason": "No longer used"}, "The application is deleted.")
		const resource = "/admin/resource?uri=https%3A%2F%2Fnotes.example.org%2F"
		step("/admin/resources/new", harness.Body{"uri": "https://notes.example.org/", "name": "Notes", "scopes": "read Read your notes\nwrite", "reason": "x"},
			"The resource is registered.")
		if shown := open(b, resource); !strings.Contains(shown.Text, "read Read your notes\nwrite") {
			h.Errorf("the resource: %s", shown.Text)
		}
		step(resource, harness.Body{"name": "My notes", "scopes": "read", "open": "1", "reason": "For others too"}, "The resource is changed.")
		if refused, _ := press(b, resource, harness.Body{"name": "My notes", "scopes": "openid", "reason": "x"}); refused.Status != 400 {
			h.Errorf("a scope that is no resource's: %d", refused.Status)
		}
		step("/admin/resource/delete?uri=https%3A%2F%2Fnotes.example.org%2F", harness.Body{"reason": "No longer used"}, "The resource is deleted.")
		step("/admin/alerts/silence?rule=rate_limits", harness.Body{"rule": "rate_limits"}, "The rule is silent")
		step("/admin/sessions/end?network=203.0.113.0%2F24", harness.Body{"reason": "Spraying", "id": "9"}, "The sessions ended.")
		// Each is in the log, with who did it and why.
		log := open(b, "/admin/events?event=admin_action")
		for _, action := range []string{"end_sessions", "disable_account", "change_roles", "invite", "block_network", "rotate_key", "delete_application",
			"register_resource", "change_resource", "delete_resource",
			"silence_alerts", "Lost a phone"} {
			if !strings.Contains(log.Text, action) {
				h.Errorf("the log has no %s", action)
			}
		}
		for from, to := range map[string]string{"203.0.113.9": "/admin/events?network=203.0.113.9%2F32", id: person, "p1": "/admin/people?q=p1"} {
			if a := open(b, "/admin/find?q="+url.QueryEscape(from)); a.Header.Get("Location") != to {
				h.Errorf("find %s leads to %s", from, a.Header.Get("Location"))
			}
		}
	}, settings...)
}

// An administrator registers an application that people sign in to, changes what it may do, disables it and enables it again; what is
// refused stays in the form. Support looks at it.
// An application's keys stand in its settings, a service's too; what is refused stays in the form, and a private key is named as one.
func TestKeysOfAnApplicationAtTheDesk(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), settings...)
	b := administrator(h, "admin@example.org", "admin")
	const public = `{"kty":"OKP","crv":"Ed25519","kid":"2026-11","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"`
	made, _ := press(b, "/admin/clients/new", harness.Body{"name": "billing", "type": "service", "reason": "Billing"})
	page := regexp.MustCompile(`/admin/clients/[0-9a-f-]{36}`).FindString(made.Text)
	keys := harness.Body{"jwks": public + "}", "reason": "A key"}
	for says, text := range map[string]string{
		"There is a private key among these": public + `,"d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}`, "Give up to 10 public keys": "keys",
	} {
		if sent, _ := press(b, page, keys.With("jwks", text)); sent.Status != 400 || !strings.Contains(sent.Text, says) ||
			!strings.Contains(sent.Text, html.EscapeString(text)+"</textarea>") {
			t.Errorf("%s: %d %s", says, sent.Status, sent.Text)
		}
	}
	if sent, shown := press(b, page, keys); sent.Status != 303 || !strings.Contains(shown.Text, "2026-11") || strings.Contains(shown.Text, page+"/secret") {
		t.Errorf("its keys: %d %s", sent.Status, shown.Text)
	}
	if sent, _ := press(b, page+"/secret", harness.Body{"reason": "A secret"}); sent.Status != 409 || !strings.Contains(sent.Text, "replace its keys") {
		t.Errorf("a secret beside keys: %d %s", sent.Status, sent.Text)
	}
	const uri = "https://billing.example.com/jwks.json"
	if sent, _ := press(b, page, keys.With("jwks_uri", uri)); sent.Status != 400 || !strings.Contains(sent.Text, "and not both") {
		t.Errorf("keys and an address: %d %s", sent.Status, sent.Text)
	}
	if sent, shown := press(b, page, keys.With("jwks", "").With("jwks_uri", uri)); sent.Status != 303 || !strings.Contains(shown.Text, uri) {
		t.Errorf("an address of keys: %d %s", sent.Status, shown.Text)
	}
	if sent, shown := press(b, page, keys.With("jwks", "").With("jwks_uri", "")); sent.Status != 303 || !strings.Contains(shown.Text, page+"/secret") {
		t.Errorf("without keys: %d %s", sent.Status, shown.Text)
	}
}

func TestAnApplicationAtTheDesk(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), settings...)
	b, support := administrator(h, "admin@example.org", "admin"), administrator(h, "support@example.org", "support")
	const registers = "/admin/clients/new"
	web := harness.Body{"name": "shop", "type": "web", "redirect_uris": "https://shop.example.com/cb\r\n https://shop.example.com/other", "reason": "The shop"}
	for name, c := range map[string]struct {
		in   harness.Body
		says string
	}{
		"no address":        {web.With("redirect_uris", ""), "needs a redirect URI"},
		"a bad address":     {web.With("redirect_uris", "shop.example.com/cb"), "be registered"},
		"a service's":       {web.With("type", "service"), "Nobody signs in to a service"},
		"no reason":         {web.With("reason", ""), "Say why"},
		"an unknown type":   {web.With("type", "x"), "The type is one of"},
		"no name, and what": {web.With("name", ""), "shop.example.com/other"},
	} {
		if sent, _ := press(b, registers, c.in); sent.Status != 400 || !strings.Contains(sent.Text, c.says) {
			t.Errorf("%s: %d %s", name, sent.Status, sent.Text)
		}
	}
	made, _ := press(b, registers, web)
	page := regexp.MustCompile(`/admin/clients/[0-9a-f-]{36}`).FindString(made.Text)
	if made.Status != 200 || strings.Count(made.Text, "gatehouse_cs_") != 1 || page == "" {
		t.Fatalf("registered: %d %s", made.Status, made.Text)
	}
	change := harness.Body{
		"title": "The shop", "redirect_uris": "https://shop.example.com/new", "post_logout_redirect_uris": "https://shop.example.com/bye", "first_party": "1",
		"require_roles": "staff, buyer", "require_acr": "2fa", "require_par": "1", "lean_id_token": "1", "pkce_optional": "1", "id_token_alg": "ES256",
		"response_modes": "form_post", "reason": "Moved",
		"backchannel_logout_uri": "https://shop.example.com/logout", "backchannel_logout_session_required": "1",
	}
	if sent, _ := press(b, page, change.With("redirect_uris", "https://shop.example.com/#x")); sent.Status != 400 ||
		!strings.Contains(sent.Text, "https://shop.example.com/#x</textarea>") || !strings.Contains(sent.Text, `value="staff, buyer"`) {
		t.Errorf("a refused change: %d %s", sent.Status, sent.Text)
	}
	if sent, _ := press(b, page, change.With("backchannel_logout_uri", "https://169.254.169.254/x")); sent.Status != 400 ||
		!strings.Contains(sent.Text, `value="https://169.254.169.254/x"`) || !strings.Contains(sent.Text, "no application is at such an address") {
		t.Errorf("a refused address: %d %s", sent.Status, sent.Text)
	}
	if sent, shown := press(b, page, change); sent.Status != 303 || !strings.Contains(shown.Text, "The application was changed.") {
		t.Errorf("a change: %d %s", sent.Status, shown.Text)
	}
	is := func() client.Client {
		t.Helper()
		c, err := h.Operator().Client(t.Context(), "shop")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	want := client.Settings{
		Title: "The shop", RedirectURIs: []string{"https://shop.example.com/new"}, PostLogoutURIs: []string{"https://shop.example.com/bye"}, FirstParty: true,
		RequireRoles: []string{"staff", "buyer"}, RequireACR: "2fa", RequirePAR: true, LeanIDToken: true, PKCEOptional: true, ResponseModes: []string{"form_post"},
		IDTokenAlg:           "ES256",
		BackchannelLogoutURI: "https://shop.example.com/logout", BackchannelLogoutSessionRequired: true,
	}
	if got := is().Settings; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	for _, turn := range []string{"/disable", "/enable"} {
		sent, shown := press(b, page+turn, harness.Body{"reason": "Exercise"})
		if off := !is().DisabledAt.IsZero(); sent.Status != 303 || !strings.Contains(shown.Text, "The application was changed.") || off != (turn == "/disable") {
			t.Errorf("%s: %d, disabled %v", turn, sent.Status, off)
		}
	}
	if looks := open(support, page); looks.Status != 200 || strings.Contains(looks.Text, "<textarea") || strings.Contains(looks.Text, "/disable") {
		t.Errorf("what support sees: %d %s", looks.Status, looks.Text)
	}
	if sent, shown := press(b, registers, web.With("name", "app").With("type", "spa")); sent.Status != 303 || !strings.Contains(shown.Text, "registered") {
		t.Errorf("one without a secret: %d %s", sent.Status, shown.Text)
	}
	if gone := open(b, "/admin/clients/01a22ab1-b8ba-7a45-9d4b-b41e6b7b7675"); gone.Status != 404 {
		t.Errorf("none: %d", gone.Status)
	}
}

// Two administrators, or two tabs, have the same form before them: the second is told that the first has changed it, keeps what was typed,
// and may put it in its place. Of sixteen at once one does.
func TestWhatAFormReplacesIsWhatItShowed(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		b := administrator(h, "admin@example.org", "admin")
		id := people(h)
		app, _, err := h.Operator().RegisterClient(h.Context(), "shop", client.Web, client.Settings{RedirectURIs: []string{"https://shop.example.com/cb"}},
			harness.OriginOfTests)
		if err != nil {
			h.Fatal(err)
		}
		page := "/admin/clients/" + app.ID
		for path, c := range map[string]struct{ first, second harness.Body }{
			page: {
				harness.Body{"redirect_uris": "https://shop.example.com/cb", "require_roles": "staff", "reason": "first"},
				harness.Body{"redirect_uris": "https://shop.example.com/cb", "title": "The shop", "reason": "second"},
			},
			"/admin/people/" + id + "/roles": {harness.Body{"roles": "staff", "reason": "first"}, harness.Body{"roles": "buyer", "reason": "second"}},
		} {
			shown := regexp.MustCompile(`name="shown" value="([0-9a-f]+)"`)
			stale := open(b, path)
			with := func(page harness.Answer, in harness.Body) harness.Body {
				return in.With("shown", shown.FindStringSubmatch(page.Text)[1])
			}
			if sent, _ := pressWith(b, path, with(stale, c.first), stale); sent.Status != 303 {
				h.Fatalf("%s: the first: %d %s", path, sent.Status, sent.Text)
			}
			sent, _ := pressWith(b, path, with(stale, c.second), stale)
			kept := c.second["title"] + c.second["roles"]
			if sent.Status != 409 || !strings.Contains(sent.Text, "Somebody has changed this") || !strings.Contains(sent.Text, `value="`+kept+`"`) {
				h.Errorf("%s: the second: %d %s", path, sent.Status, sent.Text)
			}
			if again, _ := pressWith(b, path, with(sent, c.second), sent); again.Status != 303 {
				h.Errorf("%s: the second again: %d %s", path, again.Status, again.Text)
			}
		}
		a, err := h.Operator().Client(h.Context(), app.ID)
		if err != nil {
			h.Fatal(err)
		}
		p, err := h.Operator().User(h.Context(), id)
		if err != nil {
			h.Fatal(err)
		}
		o := h.Operator()
		for what, change := range map[string]func(i int) error{
			"settings": func(i int) error {
				_, err := o.Over(operate.Shown(a.Settings)).SetClient(h.Context(), app.ID, func(s client.Settings) client.Settings {
					s.Title = fmt.Sprintf("shop %d", i)
					return s
				}, harness.OriginOfTests)
				return err
			},
			"roles": func(i int) error {
				_, err := o.Over(operate.Shown(strings.Join(p.Roles, " "))).SetRoles(h.Context(), id, []string{fmt.Sprintf("role%d", i)}, harness.OriginOfTests)
				return err
			},
		} {
			var all sync.WaitGroup
			var won atomic.Int64
			for i := range 16 {
				all.Go(func() {
					err := change(i)
					if f := fault.As(err); err == nil {
						won.Add(1)
					} else if f == nil || f.Code != "changed_meanwhile" {
						h.Error(err)
					}
				})
			}
			if all.Wait(); won.Load() != 1 {
				h.Errorf("%s: %d of sixteen", what, won.Load())
			}
		}
	}, settings...)
}

// What a form refuses, it says in the language of the page.
func TestTheConsoleRefusesInTheLanguageOfThePage(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), settings...)
	b := administrator(h, "admin@example.org", "admin")
	id := people(h)
	for lang, want := range map[string]string{
		"en": "Say why: it goes into the event log.", "de": "Geben Sie einen Grund an", "fr": "Indiquez pourquoi",
		"es": "Indique el motivo", "ar": "اذكر السبب",
	} {
		open(b, "/admin?lang="+lang) // kept in a cookie
		if sent, _ := press(b, "/admin/people/"+id+"/end-sessions", harness.Body{}); sent.Status != 400 || !strings.Contains(sent.Text, want) {
			t.Errorf("%s: no reason: %d %s", lang, sent.Status, sent.Text)
		}
	}
	for path, c := range map[string]struct {
		in   harness.Body
		says string
	}{
		"/admin/people/new":              {harness.Body{"email": "p1@example.org", "reason": "x"}, "لأحد الحسابات هذا العنوان"},
		"/admin/people/" + id + "/roles": {harness.Body{"roles": "No!", "reason": "x"}, "الدور حرف صغير"},
		"/admin/clients/new":             {harness.Body{"name": "No!", "reason": "x"}, "الاسم من 1 إلى 63"},
	} {
		open(b, "/admin?lang=ar")
		if sent, _ := press(b, path, c.in); sent.Status/100 != 4 || !strings.Contains(sent.Text, c.says) {
			t.Errorf("%s: %d %s", path, sent.Status, sent.Text)
		}
	}
}

// The doctor's page says what it found, in the page's language around the finding's own words, and how it is mended.
func TestTheDoctorsPage(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), settings...)
	b := administrator(h, "admin@example.org", "admin")
	a := open(b, "/admin/doctor?lang=de")
	for _, want := range []string{"Zu beheben", "ENV-1/environment", "ENVIRONMENT=production", "The rules of production hold", "ASVS V13.1.1"} {
		if a.Status != 200 || !strings.Contains(a.Text, want) {
			t.Errorf("no %q: %d %s", want, a.Status, a.Text)
		}
	}
	if strings.Contains(a.Text, harness.SecretKey) {
		t.Error("it shows a secret")
	}
}

// A person's page tells each kind of second factor apart: whoever has a passkey alone is not without one.
func TestAPersonsSecondFactors(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), settings...)
	b := administrator(h, "admin@example.org", "admin")
	h.Register("keys@example.org")
	h.Register("none@example.org")
	h.PasskeyFor("keys@example.org")
	for email, want := range map[string][]string{
		"keys@example.org": {"<dt>Authenticator app</dt><dd>None</dd>", "<dt>Passkeys</dt><dd>1</dd>", "<dt>Recovery codes</dt><dd>10</dd>"},
		"none@example.org": {"<dt>Authenticator app</dt><dd>None</dd>", "<dt>Passkeys</dt><dd>0</dd>", "<dt>Recovery codes</dt><dd>0</dd>"},
	} {
		who, err := h.Operator().User(h.Context(), email)
		if err != nil {
			t.Fatal(err)
		}
		a := open(b, "/admin/people/"+who.ID)
		for _, w := range want {
			if a.Status != 200 || !strings.Contains(a.Text, w) {
				t.Errorf("%s: no %q: %d %s", email, w, a.Status, a.Text)
			}
		}
	}
}

// Who may see the console, and who is led where: nobody to the sign-in and back, a person
// not at all, support without what it may not do, and whoever signed in long ago to the
// sign-in before a change.
func TestWhoMayUseTheConsole(t *testing.T) {
	clock := &harness.Clock{}
	h := harness.OpenAt(t, dbtest.SQLite(t), clock.Now, settings...)
	admin, support := administrator(h, "admin@example.org", "admin"), administrator(h, "help@example.org", "support")
	id := people(h)
	nobody, person := h.Browser(), h.Browser()
	person.SignIn("p1@example.org")
	for _, path := range pages(id, anEvent(h)) {
		if a := open(nobody, path); a.Status != 303 || !strings.HasPrefix(a.Header.Get("Location"), "/login?return_to=") {
			t.Errorf("%s for nobody: %d %s", path, a.Status, a.Header.Get("Location"))
		}
		if a := open(person, path); a.Status != 403 {
			t.Errorf("%s for a person: %d", path, a.Status)
		}
	}
	changes := map[string]bool{"/disable": true, "/enable": true, "/unlock": true, "/verify": true, "/resend": true, "/roles": true}
	for path := range changes {
		if a := open(support, "/admin/people/"+id+path); a.Status != 403 {
			t.Errorf("%s for support: %d", path, a.Status)
		}
	}
	for _, path := range []string{"/admin/people/new", "/admin/sessions/end", "/admin/blocks/new?network=203.0.113.9&for=1&reason=x", "/admin/keys/rotate",
		"/admin/clients/new", "/admin/alerts/silence?rule=x", "/admin/retention/pause?for=30&reason=x", "/admin/retention/resume"} {
		if a := open(support, path); a.Status != 403 {
			t.Errorf("%s for support: %d", path, a.Status)
		}
	}
	shown := open(support, "/admin/people/"+id)
	if !strings.Contains(shown.Text, "/end-sessions") || !strings.Contains(shown.Text, "/reset") || strings.Contains(shown.Text, "/disable") {
		t.Errorf("what support is offered: %s", shown.Text)
	}
	if sent, _ := press(support, "/admin/people/"+id+"/end-sessions", harness.Body{"reason": "Lost a phone"}); sent.Status != 303 {
		t.Errorf("support ends sessions: %d", sent.Status)
	}
	// A form of another site, and one without its token.
	page := open(admin, "/admin/people/"+id+"/disable")
	for _, bad := range []http.Header{asked("Origin", "https://evil.example"), asked("Sec-Fetch-Site", "cross-site", "Origin", h.URL())} {
		r := harness.Press("/admin/people/"+id+"/disable", harness.Body{"reason": "x", "csrf_token": html.UnescapeString(csrf.FindStringSubmatch(page.Text)[1])})
		r.Header = bad
		if a := admin.Send(r); a.Status != 403 {
			t.Errorf("a form of another site: %d", a.Status)
		}
	}
	r := harness.Press("/admin/people/"+id+"/disable", harness.Body{"reason": "x"})
	r.Header = asked("Origin", h.URL(), "Sec-Fetch-Site", "same-origin")
	if a := admin.Send(r); a.Status != 403 {
		t.Errorf("a form without its token: %d", a.Status)
	}
	clock.Shift(16 * time.Minute)
	if a := open(admin, "/admin"); a.Status != 200 || !strings.Contains(a.Text, "Sign in again") {
		t.Errorf("after 16 minutes: %d", a.Status)
	}
	for _, path := range []string{"/admin/people/" + id + "/disable", "/admin/keys/rotate", "/admin/sessions/end"} {
		if a := open(admin, path); a.Status != 303 || !strings.Contains(a.Header.Get("Location"), "again=1") ||
			!strings.Contains(a.Header.Get("Location"), url.QueryEscape(path)) {
			t.Errorf("%s after 16 minutes: %d %s", path, a.Status, a.Header.Get("Location"))
		}
	}
	if a := open(admin, "/login?again=1&return_to=%2Fadmin"); a.Status != 200 || !strings.Contains(a.Text, `name="password"`) {
		t.Errorf("who signs in again is sent on: %d", a.Status)
	}
}

// New events come by server-sent events, in the order of the log, as inert rows.
func TestTheLiveTail(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), settings...)
	b := administrator(h, "admin@example.org", "admin")
	got := make(chan harness.Answer, 1)
	go func() { got <- open(b, "/admin/events/live?event=failed_login_attempt") }()
	time.Sleep(1500 * time.Millisecond)
	h.Expect(401, "invalid_credentials", harness.Through("203.0.113.77", harness.WrongPassword("admin@example.org", 1)))
	select {
	case a := <-got:
		if !strings.HasPrefix(a.Header.Get("Content-Type"), "text/event-stream") || !strings.Contains(a.Text, "data: <tr") ||
			!strings.Contains(a.Text, "203.0.113.77") ||
			strings.Contains(a.Text, "successful_login") {
			t.Errorf("the stream: %v %s", a.Header, a.Text)
		}
	case <-time.After(40 * time.Second):
		t.Error("the stream has no end")
	}
}
