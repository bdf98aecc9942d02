package consents

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/consent"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

const ada = "ada@example.org"

// documents writes the files of documents, and returns the settings that name them. The terms are required.
func documents(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"terms.txt": "The first terms.", "terms.de.txt": "Die ersten Bedingungen.", "privacy.txt": "What we keep.",
		"news.txt": "# The newsletter\nWe write <b>once</b> a month.",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return []string{
		"TERMS_FILE=" + filepath.Join(dir, "terms.txt"), "PRIVACY_FILE=" + filepath.Join(dir, "privacy.txt"),
		"DOCUMENT_FILES=news=" + filepath.Join(dir, "news.txt"), "DOCUMENTS_REQUIRED=terms", harness.BehindProxy,
	}
}

// each runs a test on every database, with the terms required.
func each(t *testing.T, test func(h *harness.Server, clock *harness.Clock), more ...string) {
	t.Helper()
	dbtest.EachProduction(t, func(t *testing.T, url string) {
		clock := &harness.Clock{}
		test(harness.OpenAt(t, url, clock.Now, append(documents(t), more...)...), clock)
	})
}

// publish makes the next version of a document, as another replica would that starts with a new file, and waits until
// this one knows it.
func publish(h *harness.Server, name, text string) (version int64) {
	h.Helper()
	err := h.Database().Write(h.Context(), func(tx *db.Tx) error {
		d, made, err := consent.Publish(tx, name, map[string]string{"": text}, time.Now())
		if version = d.Version; err == nil && !made {
			h.Errorf("%s: the text was a version before", name)
		}
		return err
	})
	if err != nil {
		h.Fatal(err)
	}
	h.Eventually("the replica knows the new version", func() (string, bool) {
		a := h.Do(harness.Get("/v1/documents/" + name))
		return a.Text, a.Fields["version"] == float64(version)
	})
	return version
}

func agreeing(token string, agreed map[string]int64) harness.Request {
	return harness.Post("/v1/login/agree", map[string]any{"pending_token": token, "agreed": agreed, "language": "de"})
}

func putting(document string, body map[string]any, bearer string) harness.Request {
	return harness.Request{Method: "PUT", Path: "/v1/me/consents/" + document, Body: body, Bearer: bearer}
}

// waits signs in, and returns the token of the sign-in that waits for an agreement.
func waits(h *harness.Server, email string) string {
	h.Helper()
	return h.Expect(403, "agreement_required", harness.SignInAs(email, harness.Passphrase)).Str("pending_token")
}

// Somebody who has agreed to nothing is asked on the way in, once, and again with a new version; taking it back ends
// their sessions, and stays in the history.
func TestGDPR2_AWholeLife(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		h.Register(ada)
		asked := h.Expect(403, "agreement_required", harness.SignInAs(ada, harness.Passphrase))
		list := asked.Fields["documents"].([]any)
		if d := list[0].(map[string]any); len(list) != 1 || d["name"] != "terms" || d["version"] != 1.0 || d["path"] != "/terms?version=1" {
			h.Errorf("what is asked for: %s", asked.Text)
		}
		token := asked.Str("pending_token")
		// It opens nothing else, and nothing else opens it.
		h.Expect(401, "sign_in_over", harness.ShowCode(token, "123456"))
		h.Expect(401, "sign_in_over", harness.Post("/v1/factors/totp", harness.Body{"pending_token": token}))
		h.Expect(401, "invalid_token", harness.Get("/v1/me", token))
		h.Expect(401, "sign_in_over", agreeing("gatehouse_pt_x", map[string]int64{"terms": 1}))
		h.Expect(400, "required", agreeing("", map[string]int64{"terms": 1}))
		// Not all, another version, or none of it: it goes on waiting.
		for _, agreed := range []map[string]int64{{}, {"privacy": 1}, {"terms": 2}} {
			h.Expect(409, "document_changed", agreeing(token, agreed))
		}
		if n := h.Count(`SELECT COUNT(*) FROM consent`) + h.Count(`SELECT COUNT(*) FROM session`); n != 0 {
			h.Errorf("%d consents and sessions of who has not agreed", n)
		}
		in := h.Expect(200, "", agreeing(token, map[string]int64{"terms": 1}))
		h.Expect(401, "sign_in_over", agreeing(token, map[string]int64{"terms": 1})) // a replay
		access := in.Str("access_token")
		h.Login(ada) // is not asked again

		mine := h.Expect(200, "", harness.Get("/v1/me/consents", access))
		first := mine.Fields["history"].([]any)[0].(map[string]any)
		if first["document"] != "terms" || first["version"] != 1.0 || first["how"] != "sign_in" || first["language"] != "de" || len(first["hash"].(string)) != 64 {
			h.Errorf("the consent: %s", mine.Text)
		}
		h.Expect(409, "document_changed", putting("news", map[string]any{"agreed": true, "version": 2}, access))
		h.Expect(404, "document_not_found", putting("offers", map[string]any{"agreed": true, "version": 1}, access))
		h.Expect(404, "document_not_found", putting("offers", map[string]any{"agreed": false}, access))
		h.Expect(400, "invalid_version", putting("news", map[string]any{"agreed": true}, access))
		h.Expect(400, "required", putting("news", map[string]any{}, access))
		for range 2 {
			h.Expect(200, "", putting("news", map[string]any{"agreed": true, "version": 1}, access))
		}
		h.Expect(200, "", putting("news", map[string]any{"agreed": false}, access))
		h.Expect(200, "", putting("news", map[string]any{"agreed": false}, access))

		// A new version is asked for at the next sign-in, and not of who is signed in.
		publish(h, "terms", "The second terms.")
		h.Expect(200, "", harness.Get("/v1/me", access))
		h.Expect(200, "", agreeing(waits(h, ada), map[string]int64{"terms": 2}))

		h.Expect(200, "", putting("terms", map[string]any{"agreed": false}, access))
		h.Expect(401, "invalid_token", harness.Get("/v1/me", access))
		in = h.Expect(200, "", agreeing(waits(h, ada), map[string]int64{"terms": 2}))
		mine = h.Expect(200, "", harness.Get("/v1/me/consents", in.Str("access_token")))
		var history []string
		for _, c := range mine.Fields["history"].([]any) {
			c := c.(map[string]any)
			history = append(history, fmt.Sprint(c["document"], c["version"], c["withdrawn_at"] != nil))
		}
		if got := strings.Join(history, " "); got != "terms2 false terms2 true news1 true terms1 true" {
			h.Errorf("the history: %s", got)
		}
		if n := h.Count(`SELECT COUNT(*) FROM event WHERE kind = 'consent_change'`); n != 6 {
			h.Errorf("%d events", n)
		}
	})
}

// What was agreed to is shown as it was, whatever is in force; and a text that was published before is not published
// again.
func TestGDPR5_EveryVersionStays(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		publish(h, "terms", "The second terms, <script>alert(1)</script>.")
		for path, want := range map[string]string{
			"/terms": "&lt;script&gt;", "/terms?version=2": "The second terms", "/terms?version=1": "The first terms.", "/privacy?version=1": "What we keep.",
			"/terms/news": "&lt;b&gt;once&lt;/b&gt;", "/terms/terms?version=1": "not in force any more", "/terms/news?version=1": "The newsletter",
		} {
			if a := h.Do(harness.Get(path)); a.Status != 200 || !strings.Contains(a.Text, want) || strings.Contains(a.Text, "<script>alert") {
				h.Errorf("%s: %d, without %q", path, a.Status, want)
			}
		}
		for _, path := range []string{
			"/terms?version=3", "/terms?version=0", "/terms?version=x", "/terms?version=99999999999999999999", "/terms/offers", "/terms/..%2fx",
		} {
			if a := h.Do(harness.Get(path)); a.Status != 404 {
				h.Errorf("%s: %d", path, a.Status)
			}
		}
		h.Expect(404, "document_not_found", harness.Get("/v1/documents/terms?version=3"))
		h.Expect(400, "invalid_version", harness.Get("/v1/documents/terms?version=01"))
		old := h.Expect(200, "", harness.Get("/v1/documents/terms?version=1"))
		if old.Fields["texts"].(map[string]any)["de"] != "Die ersten Bedingungen." {
			h.Errorf("version 1: %s", old.Text)
		}
		err := h.Database().Write(h.Context(), func(tx *db.Tx) error {
			d, made, err := consent.Publish(tx, "terms", map[string]string{"": "The first terms.", "de": "Die ersten Bedingungen."}, time.Now())
			if made || d.Version != 1 {
				h.Errorf("the first text is version %d, made %v", d.Version, made)
			}
			return err
		})
		if err != nil {
			h.Error(err)
		}
		if a := h.Expect(200, "", harness.Get("/v1/documents")); !strings.Contains(a.Text, `"version":2`) {
			h.Errorf("the list: %s", a.Text)
		}
	})
}

// Whoever registers may agree there, and is not asked again; nobody agrees for the owner of an address that has an
// account.
func TestGDPR2_AtTheRegistration(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		register := func(status int, code, email string, agreed any) {
			h.Helper()
			h.Expect(status, code, harness.Post("/v1/register", map[string]any{"email": email, "password": harness.Passphrase, "agreed": agreed}))
		}
		for _, bad := range []any{
			"terms", []any{"terms"}, map[string]any{"terms": "1"}, map[string]any{"terms": 0}, map[string]any{"terms": 1.5}, map[string]any{"T": 1},
		} {
			if a := h.Do(harness.Post("/v1/register", map[string]any{"email": ada, "password": harness.Passphrase, "agreed": bad})); a.Status != 400 {
				h.Errorf("%v: %d %s", bad, a.Status, a.Text)
			}
		}
		register(409, "document_changed", ada, map[string]int64{"terms": 2})
		register(404, "document_not_found", ada, map[string]int64{"offers": 1})
		register(202, "", ada, map[string]int64{"terms": 1, "news": 1})
		h.Login(ada)
		const bob = "bob@example.org"
		h.Register(bob)
		register(202, "", bob, map[string]int64{"terms": 1}) // by a stranger
		waits(h, bob)
		if n := h.Count(`SELECT COUNT(*) FROM consent WHERE how = 'registration'`); n != 2 {
			h.Errorf("%d consents", n)
		}
		// Whoever resets the password by mail owns the address that a stranger may have registered: what was agreed to before
		// was not theirs.
		h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": ada}))
		h.Expect(204, "", harness.Post("/v1/password/reset", harness.Body{
			"token": harness.TokenOf(h, h.Mailbox().Last(ada, notice.ResetPassword).Link), "new_password": harness.AnotherPassphrase,
		}))
		h.Expect(403, "agreement_required", harness.SignInAs(ada, harness.AnotherPassphrase))
	})
}
