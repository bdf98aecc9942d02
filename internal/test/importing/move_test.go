package importing

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor/passkeytest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/intake"
	"github.com/gatehouse-auth/gatehouse/internal/ops/importing"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// newIdentity makes the key of whoever imports.
func newIdentity(t *testing.T) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// handOver writes everybody, or one, to a file.
func handOver(h *harness.Server, to age.Recipient, user string) (path string, n importing.Exported) {
	h.Helper()
	var out bytes.Buffer
	n, err := (&importing.Export{Operator: h.Operator(), From: harness.OriginOfTests, Recipients: []age.Recipient{to}, User: user}).Write(h.Context(), &out)
	if err != nil {
		h.Fatal(err)
	}
	return written(h, out.Bytes()), n
}

func written(h *harness.Server, text []byte) string {
	h.Helper()
	path := filepath.Join(h.TempDir(), "people.age")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		h.Fatal(err)
	}
	return path
}

// takeOver imports such a file.
func takeOver(h *harness.Server, path string, with age.Identity) (intake.Run, error) {
	h.Helper()
	i := &importing.Import{
		Operator: h.Operator(), From: harness.OriginOfTests, Target: 1e9, Identities: []age.Identity{with},
		Options: importing.Options{System: importing.FromGatehouse, TrustVerified: true, Roles: true},
	}
	if err := i.Open(path); err != nil {
		h.Fatal(err)
	}
	defer i.Close()
	run, _, err := i.Run(h.Context(), filepath.Join(h.TempDir(), "report.jsonl"))
	return run, err
}

// reportOf imports such a file, and returns the results and codes of its entries.
func reportOf(h *harness.Server, path string, with age.Identity) (list []string) {
	h.Helper()
	i := &importing.Import{
		Operator: h.Operator(), From: harness.OriginOfTests, Target: 1e9, Identities: []age.Identity{with},
		Options: importing.Options{System: importing.FromGatehouse, TrustVerified: true, Roles: true},
	}
	if err := i.Open(path); err != nil {
		h.Fatal(err)
	}
	defer i.Close()
	report := filepath.Join(h.TempDir(), "report.jsonl")
	if _, _, err := i.Run(h.Context(), report); err != nil {
		h.Fatal(err)
	}
	text, err := os.ReadFile(report)
	if err != nil {
		h.Fatal(err)
	}
	for l := range strings.Lines(string(text)) {
		var entry struct{ Result, Code string }
		if err := json.Unmarshal([]byte(l), &entry); err != nil {
			h.Fatal(err)
		}
		list = append(list, strings.TrimSpace(entry.Result+" "+entry.Code))
	}
	return list
}

// object is one of JSON.
type object = map[string]any

// TestPeopleMoveWithTheirSecondFactors: at another server, of another database and with other keys, people are who they were: by the same
// password, app, passkey and recovery codes, each of which works once; and an account that somebody is only half into opens to nobody.
func TestPeopleMoveWithTheirSecondFactors(t *testing.T) {
	clock := &harness.Clock{}
	from := harness.OpenAt(t, dbtest.SQLite(t), clock.Now, harness.BehindProxy)
	to := harness.OpenAt(t, dbtest.Postgres(t), clock.Now, harness.BehindProxy)
	app := from.AddApp(clock, "ada@example.org")
	from.Register("bob@example.org")
	key := from.PasskeyFor("bob@example.org", func(c *passkeytest.Ceremony) { c.Counter = 1 })
	from.Expect(200, "", key.Alone(func(c *passkeytest.Ceremony) { c.Counter = 7 }))
	for _, email := range []string{"plain@example.org", "leaving@example.org", "closed@example.org", "again@example.org"} {
		from.Register(email)
	}
	from.Expect(202, "", harness.Request{
		Method: "DELETE", Path: "/v1/me", Bearer: from.Login("leaving@example.org").Str("access_token"),
		Body: harness.Body{"current_password": harness.Passphrase},
	})
	change := func(query string) {
		t.Helper()
		if err := from.Database().Write(t.Context(), func(tx *db.Tx) error { _, err := tx.Exec(query); return err }); err != nil {
			t.Fatal(err)
		}
	}
	change(`UPDATE account SET disabled_at = 1 WHERE email = 'closed@example.org'`)
	change(`UPDATE account SET reset_at = 1 WHERE email = 'again@example.org'`)
	// Somebody wrote a passkey into the database: it is handed to nobody.
	change(`INSERT INTO passkey (id, account_id, rp_id, credential, public_key, mac, counter, eligible, backed_up, verifies, discoverable,
			aaguid, transports, name, suspect_at, made_at, used_at)
		SELECT 'planted', account_id, rp_id, CAST('planted' AS BLOB), public_key, mac, 0, 0, 0, 1, 1, aaguid, transports, 'Planted', NULL,
			made_at, NULL FROM passkey`)

	mine := newIdentity(t)
	path, n := handOver(from, mine.Recipient(), "")
	if diff := cmp.Diff(importing.Exported{People: 5, Factors: 2, LeftOut: 1, Leaving: 1}, n); diff != "" {
		t.Errorf("handed over:\n%s", diff)
	}
	if n := from.Count(`SELECT COUNT(*) FROM event WHERE kind = 'accounts_exported'`); n != 1 {
		t.Errorf("%d events", n)
	}
	spent := app.Code(0) // shown there before the move
	app.SignIn()
	run, err := takeOver(to, path, mine)
	if err != nil || run.Made != 5 {
		t.Fatalf("%+v: %v", run, err)
	}

	app.Server, key.Server, key.Browser.Origin = to, to, to.URL()
	to.Login("plain@example.org")
	to.Expect(403, "account_disabled", harness.SignInAs("closed@example.org", harness.Passphrase))
	to.Expect(403, "password_reset_required", harness.SignInAs("again@example.org", harness.Passphrase))
	app.SignsNobodyIn(spent[:5] + string('0'+(spent[5]-'0'+1)%10))
	app.Next()
	app.SignIn()
	waits := to.Expect(403, "second_factor_required", harness.SignInAs(app.Email, harness.Passphrase))
	to.Expect(200, "", harness.ShowRecovery(waits.Str("pending_token"), app.Recovery[0]))
	waits = to.Expect(403, "second_factor_required", harness.SignInAs(app.Email, harness.Passphrase))
	to.Expect(401, "invalid_recovery_code", harness.ShowRecovery(waits.Str("pending_token"), app.Recovery[0]))
	// The counter came along: the copy that stayed behind is found.
	in := to.Expect(200, "", key.Alone(func(c *passkeytest.Ceremony) { c.Counter = 8 }))
	list := to.Expect(200, "", harness.Get("/v1/factors", in.Str("access_token"))).Fields["passkeys"].([]any)
	if len(list) != 1 {
		t.Errorf("the passkeys: %v", list)
	}
	to.Expect(401, "passkey_suspended", key.Alone(func(c *passkeytest.Ceremony) { c.Counter = 7 }))
	// A second time everybody is there, and stays as they are.
	if run, err := takeOver(to, path, mine); err != nil || run.Made != 0 || run.Had != 5 {
		t.Errorf("again: %+v: %v", run, err)
	}
}

// TestFilesOfPeopleThatAreRefused: what is damaged, cut off, encrypted to somebody else or written by nobody of us makes nobody.
func TestFilesOfPeopleThatAreRefused(t *testing.T) {
	from, to := harness.Open(t, dbtest.SQLite(t)), harness.Open(t, dbtest.SQLite(t))
	from.Register("ada@example.org")
	mine := newIdentity(t)
	path, _ := handOver(from, mine.Recipient(), "ada@example.org")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(good)
	damaged[len(damaged)-20] ^= 1
	encrypted := func(text string) []byte { return sealedFor(t, mine, text) }
	for name, c := range map[string]struct {
		text []byte
		with age.Identity
		code string
	}{
		"another key":       {good, newIdentity(t), "no_identity"},
		"damaged":           {damaged, mine, "broken_file"},
		"cut off":           {good[:len(good)-1], mine, "broken_file"},
		"not encrypted":     {[]byte(`{"format":"gatehouse-people/1","made_at":"2026-11-30T00:00:00Z"}`), mine, "not_people"},
		"another version":   {encrypted(`{"format":"gatehouse-people/2","made_at":"2026-11-30T00:00:00Z"}`), mine, "not_people"},
		"something else":    {encrypted("email,name\n"), mine, "not_people"},
		"empty":             {encrypted(""), mine, "not_people"},
		"cut off at a line": {encrypted(`{"format":"gatehouse-people/1","made_at":"2026-11-30T00:00:00Z"}` + "\n" + `{"id":`), mine, "broken_file"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := takeOver(to, written(to, c.text), c.with)
			if f := fault.As(err); f == nil || f.Code != c.code {
				t.Errorf("got %v, want %s", err, c.code)
			}
			if n := to.Count(`SELECT COUNT(*) FROM account`); n != 0 {
				t.Errorf("%d accounts", n)
			}
		})
	}
}

func sealedFor(t *testing.T, id *age.X25519Identity, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := age.Encrypt(&out, id.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestEntriesOfPeopleThatAreRefused: a file that somebody wrote takes nobody's place: not by an id, a user handle or a passkey of somebody
// who is here or in the file twice; and nothing in it is taken that this server would not have made.
func TestEntriesOfPeopleThatAreRefused(t *testing.T) {
	clock := &harness.Clock{}
	to := harness.OpenAt(t, dbtest.Postgres(t), clock.Now, harness.BehindProxy)
	to.Register("here@example.org")
	key := to.PasskeyFor("here@example.org")
	var here string
	if err := to.Database().Read(t.Context(), func(tx *db.Tx) error {
		return tx.QueryRow(`SELECT id FROM account WHERE email = 'here@example.org'`).Scan(&here)
	}); err != nil {
		t.Fatal(err)
	}
	const hash = "h1:$2a$04$ySKGfuHz.KNVRdrcGLYJveJmsSRiDHl5HHH5XMLAbdw9pjPTUaDIi"
	mine := newIdentity(t)
	text := `{"format":"gatehouse-people/1","made_at":"2026-11-30T00:00:00Z"}` + "\n"
	var want []string
	seven := func(n int) string { return "0192d3a0-0000-7000-8000-00000000000" + string("0123456789abcdef"[n]) }
	for i, c := range []struct {
		want string
		with object
	}{
		{"made", object{"password": hash}},
		{"refused id_or_passkey_taken", object{"id": here}},
		{"refused id_or_passkey_taken", object{"factors": passkeyOf(key, key.ID, []byte("another handle"))}},
		{"refused id_or_passkey_taken", object{"factors": passkeyOf(key, []byte("another credential"), key.Handle)}},
		{"refused malformed", object{"id": "0192d3a0-0000-4000-8000-000000000001"}}, // no UUIDv7
		{"refused malformed", object{"password": "plain text"}},
		{"refused malformed", object{"password": "p1:0a0b0c0d:AAAA"}}, // sealed there
		{"refused malformed", object{"admin": true}},                  // nothing that we know
		{"refused factors_refused", object{"factors": passkeyOf(key, []byte("no handle"), nil)}},
		{"refused factors_refused", object{"factors": object{"app": appOf("GEZDGNBV", 6, 30)}}}, // 40 bits
		{"made app_left_out", object{"password": hash, "factors": object{"app": appOf("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", 8, 30)}}},
		{"made", object{"password": hash, "factors": object{"app": appOf("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", 6, 30)}}},
	} {
		p := object{"id": seven(i), "email": "person" + seven(i)[35:] + "@example.org", "email_verified": true, "password": ""}
		for k, v := range c.with {
			p[k] = v
		}
		raw, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		text += string(raw) + "\n"
		want = append(want, c.want)
	}
	if diff := cmp.Diff(want, reportOf(to, written(to, sealedFor(t, mine, text)), mine)); diff != "" {
		t.Errorf("the report:\n%s", diff)
	}
	if n := to.Count(`SELECT COUNT(*) FROM account`); n != 4 {
		t.Errorf("%d accounts", n)
	}
	if n := to.Count(`SELECT COUNT(*) FROM account WHERE factors = 1`); n != 2 {
		t.Errorf("%d accounts with a factor", n)
	}
	to.Expect(200, "", key.Alone())
}

func appOf(secret string, digits, period int) object {
	return object{"secret": secret, "algorithm": "SHA1", "digits": digits, "period": period, "last_step": 0, "made_at": "2026-11-01T00:00:00Z"}
}

func passkeyOf(k *harness.Passkey, credential, handle []byte) object {
	return object{"handle": handle, "passkeys": []object{{
		"rp_id": "localhost", "credential": credential, "public_key": k.COSE(), "aaguid": "00000000-0000-0000-0000-000000000000", "transports": []string{},
		"name": "Passkey", "made_at": "2026-11-01T00:00:00Z",
	}}}
}
