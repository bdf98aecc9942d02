package openid

import (
	"bufio"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
	"github.com/gatehouse-auth/gatehouse/internal/test/proctest"
)

// television registers an application of devices.
func television(h *harness.Server, change ...func(*client.Settings)) app {
	h.Helper()
	s := client.Settings{Title: "Television"}
	for _, c := range change {
		c(&s)
	}
	c, _, err := h.Operator().RegisterClient(h.Context(), "tv", client.Device, s, harness.OriginOfTests)
	if err != nil {
		h.Fatal(err)
	}
	a := app{h, c, ""}
	h.Eventually("the registration", func() (string, bool) {
		got := h.Do(a.beginning("scope", "openid"))
		return got.Text, got.Status == 200
	})
	return a
}

func (a app) beginning(more ...string) harness.Request {
	in := url.Values{"scope": {"openid email"}}
	for i := 0; i < len(more); i += 2 {
		in.Set(more[i], more[i+1])
	}
	r := a.form("/oauth2/device_authorization", in)
	r.Header = http.Header{"User-Agent": {"TV/1.0"}}
	return r
}

func (a app) polling(code string) harness.Request {
	return a.form("/oauth2/token", url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {code}})
}

// types goes to /device, signs in there if that is asked, and types a code.
func types(b *harness.Browser, code string) harness.Answer {
	b.Helper()
	page, _ := walk(b, "/device?user_code="+code)
	if strings.Contains(page.Text, `action="/login"`) {
		page, _ = signIn(b, page, ada)
	}
	if !strings.Contains(page.Text, `action="/device"`) || strings.Contains(page.Text, `value="`+code) {
		b.Fatalf("this is no page for a code, or it acts on the one in its address: %d\n%s", page.Status, page.Text)
	}
	page, _ = press(b, "/device", fields(page.Text).With("user_code", strings.ToLower(code)))
	return page
}

// answers says yes or no on the page that asks.
func answers(b *harness.Browser, page harness.Answer, what string) harness.Answer {
	b.Helper()
	if !strings.Contains(page.Text, `value="yes"`) {
		b.Fatalf("nobody is asked: %d\n%s", page.Status, page.Text)
	}
	page, _ = press(b, "/device", fields(page.Text).With("say", what))
	return page
}

// A device gets its tokens once a person has let it in: one who typed its code, signed in of late, and was shown what asks from where. It
// goes on when they sign out of the browser, and ends when they take it back.
func TestASVS_V10_4_4_ADeviceIsLetIn(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		verified(h, ada)
		resources(h)
		a, b := television(h), h.Browser()
		begun := h.Expect(200, "", a.beginning("resource", notes, "scope", "openid email notes.read offline_access"))
		code, user := begun.Str("device_code"), begun.Str("user_code")
		if begun.Str("verification_uri") != h.App.PublicURL()+"/device" || begun.Fields["interval"] != 5.0 || begun.Fields["expires_in"] != 600.0 ||
			begun.Fields["verification_uri_complete"] != nil || len(user) != 9 {
			t.Errorf("%s", begun.Text)
		}
		a.invalid(400, "authorization_pending", a.polling(code))
		a.invalid(400, "slow_down", a.polling(code))
		page := types(b, user)
		for _, word := range []string{"Television", "TV/1.0", "127.0.0.1", "Notes", "Read your notes", user, "in front of you"} {
			if !strings.Contains(page.Text, word) {
				t.Errorf("the page does not say %q:\n%s", word, page.Text)
			}
		}
		clock.Shift(11 * time.Second)
		a.invalid(400, "authorization_pending", a.polling(code))
		if done := answers(b, page, "yes"); !strings.Contains(done.Text, "The device is in") {
			t.Errorf("%d %s", done.Status, done.Text)
		}
		a.invalid(400, "slow_down", a.polling(code)) // too early: it learns nothing
		clock.Shift(time.Minute)
		got := h.Expect(200, "", a.polling(code))
		if audience, scope := aud(got.Str("access_token")); audience != notes || scope != "notes.read" {
			t.Errorf("for %q, with %q", audience, scope)
		}
		if id := a.claims(got.Str("id_token")); id["email"] != ada || id["sid"] != said(got.Str("access_token"))["sid"] {
			t.Errorf("%v", id)
		}
		out, _ := walk(b, "/logout")
		press(b, "/logout", fields(out.Text))
		got = h.Expect(200, "", a.refreshing(got.Str("refresh_token")))
		// Nothing is remembered: the next device asks as if it were the first.
		next := h.Expect(200, "", a.beginning())
		if page := types(b, next.Str("user_code")); !strings.Contains(page.Text, `value="yes"`) {
			t.Errorf("%d %s", page.Status, page.Text)
		}
		me := h.Login(ada).Str("access_token")
		h.Expect(204, "", harness.Request{Method: "DELETE", Path: "/v1/me/applications/" + a.ID, Bearer: me})
		a.invalid(400, "invalid_grant", a.refreshing(got.Str("refresh_token")))
	})
}

// A device code is one application's, good once, and for ten minutes; a second use ends what the first gave. No other grant takes it, and
// an application of another type gets none.
func TestASVS_V10_4_2_ADeviceCodeIsGoodOnce(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		h.Register(ada)
		a, spa, b := television(h), register(h, "spa", client.SPA), h.Browser()
		begun := h.Expect(200, "", a.beginning())
		code := begun.Str("device_code")
		a.invalid(400, "unauthorized_client", spa.polling(code))
		a.invalid(400, "unauthorized_client", spa.beginning())
		a.invalid(400, "unauthorized_client", a.exchanging(code))
		for _, wrong := range []string{"x", altered(code), code + "A", "gatehouse_ac_" + code[13:]} {
			a.invalid(400, "invalid_grant", a.polling(wrong))
		}
		a.invalid(400, "invalid_target", a.beginning("resource", "https://evil.example.org/"))
		a.invalid(400, "invalid_scope", a.beginning("scope", "unknown"))
		answers(b, types(b, begun.Str("user_code")), "yes")
		got := h.Expect(200, "", a.polling(code))
		if page := types(b, begun.Str("user_code")); page.Status != 400 || strings.Contains(page.Text, `value="yes"`) {
			t.Errorf("a code is typed twice: %d", page.Status)
		}
		clock.Shift(6 * time.Second)
		a.invalid(400, "invalid_grant", a.polling(code))
		a.invalid(400, "invalid_grant", a.refreshing(got.Str("refresh_token")))
		begun = h.Expect(200, "", a.beginning())
		page := types(b, begun.Str("user_code"))
		if done := answers(b, page, "no"); !strings.Contains(done.Text, "not let in") {
			t.Errorf("%d %s", done.Status, done.Text)
		}
		a.invalid(400, "access_denied", a.polling(begun.Str("device_code")))
		begun = h.Expect(200, "", a.beginning())
		page = types(b, begun.Str("user_code"))
		clock.Shift(10*time.Minute + time.Second)
		a.invalid(400, "expired_token", a.polling(begun.Str("device_code")))
		if late := answers(b, page, "yes"); late.Status != 400 {
			t.Errorf("too late: %d", late.Status)
		}
	})
}

// Three answer yes and twelve poll at once: one grant comes of it.
func TestThreeLetADeviceInAndTwelvePoll(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		h.Register(ada)
		a := television(h)
		browsers := [3]*harness.Browser{h.Browser(), h.Browser(), h.Browser()}
		for range 3 {
			begun := h.Expect(200, "", a.beginning())
			var pages [3]harness.Answer
			for i, b := range browsers {
				pages[i] = types(b, begun.Str("user_code"))
			}
			var (
				all sync.WaitGroup
				mu  sync.Mutex
				won int
			)
			for i, b := range browsers {
				all.Go(func() { press(b, "/device", fields(pages[i].Text).With("say", "yes")) })
			}
			for range 12 {
				all.Go(func() {
					clock.Shift(3 * time.Second)
					got := h.Do(a.polling(begun.Str("device_code")))
					mu.Lock()
					defer mu.Unlock()
					if got.Status == 200 {
						won++
					} else if e := got.Str("error"); e != "slow_down" && e != "authorization_pending" && e != "invalid_grant" {
						t.Errorf("%d %s", got.Status, got.Text)
					}
				})
			}
			all.Wait()
			if won > 1 {
				t.Errorf("%d polls got tokens", won)
			}
		}
		if n := h.Count(`SELECT COUNT(*) FROM client_grant`); n != 3 {
			t.Errorf("%d grants of three devices", n)
		}
	})
}

// Nobody but a person who signed in of late lets a device in, by our own page; who types codes that are none has to wait.
func TestASVS_V10_7_2_WhoLetsADeviceIn(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		h.Register(ada)
		a, b := television(h, func(s *client.Settings) { s.RequireRoles = []string{"staff"} }), h.Browser()
		begun := h.Expect(200, "", a.beginning())
		user := begun.Str("user_code")
		page := types(b, user)
		if refused := answers(b, page, "yes"); refused.Status != 403 {
			t.Errorf("without the role: %d", refused.Status)
		}
		for name, header := range map[string]http.Header{
			"an application's script": {"Origin": {"https://shop.example.org"}, "Sec-Fetch-Site": {"same-site"}},
			"another site":            {"Origin": {"https://evil.example.org"}, "Sec-Fetch-Site": {"cross-site"}},
		} {
			r := harness.Press("/device", fields(page.Text).With("say", "yes"))
			r.Header = header
			if got := b.Send(r); got.Status != 403 {
				t.Errorf("%s: %d", name, got.Status)
			}
		}
		forged := harness.Press("/device", fields(page.Text).With("say", "yes").With("csrf_token", "x"))
		if got := b.Send(forged); got.Status != 303 || got.Header.Get("Location") != "/device" {
			t.Errorf("without the session's token: %d", got.Status)
		}
		for range 5 {
			if wrong := types(b, "BBBB-BBBB"); wrong.Status != 400 {
				t.Errorf("a code of nobody: %d", wrong.Status)
			}
		}
		if limited := types(b, user); limited.Status != 429 {
			t.Errorf("the sixth: %d", limited.Status)
		}
		other := h.Browser()
		if page := types(other, user); page.Status != 200 {
			t.Errorf("another session: %d", page.Status)
		}
		clock.Shift(16 * time.Minute)
		if page, at := walk(other, "/device"); !strings.Contains(page.Text, `action="/login"`) {
			t.Errorf("an old sign-in: %s", at)
		}
		a.invalid(400, "expired_token", a.polling(begun.Str("device_code")))
	}, "CORS_ORIGINS=https://shop.example.org", "API_RATE_LIMIT_REQUESTS=100000")
}

// openid-client is a device, whose person lets it in.
func TestOpenIDClientAsADevice(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	verified(h, ada)
	a := television(h)
	text, err := os.ReadFile(filepath.Join("testdata", "device.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := proctest.Node(t, string(text), h.App.URL(), a.ID)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines, last := bufio.NewScanner(out), ""
	for lines.Scan() {
		if last = lines.Text(); strings.HasPrefix(last, "code ") {
			b := h.Browser()
			answers(b, types(b, strings.TrimPrefix(last, "code ")), "yes")
		}
	}
	if err := cmd.Wait(); err != nil || last != "done "+ada {
		t.Errorf("%v: %s", err, last)
	}
}
