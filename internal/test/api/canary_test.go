package api_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/mail/mailtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// kept are the fields whose owner says what stands in them, and has it shown again.
// A secret that somebody writes there is there because they said so; so it is with
// the User-Agent and the X-Request-Id of a client.
var kept = map[string]bool{"name": true, "reason": true}

// TestLOG1_NoSecretGetsOut plants secrets in every input of a running server, right
// ones and wrong ones, and looks for them in its log, in its metrics and in every
// column of its database, in the encodings in which they could hide.
func TestLOG1_NoSecretGetsOut(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		const smtp, pepper, password = "canary-smtp-Vw8sKq2LmZx", "canary-pepper-Jd7GhR3tYpQn5WcUe9Bx", "canary passphrase of Ada 4711"
		s := mailtest.New(t, mailtest.Options{StartTLS: true, User: "gate", Password: smtp})
		h := harness.Open(t, dbURL, "SMTP_URL="+s.URL, "MAIL_FROM=no-reply@acme.org", "PASSWORD_PEPPER="+pepper)
		secrets := map[string]string{"the password of SMTP_URL": smtp, "the pepper": pepper, "JWT_SECRET_KEY": harness.SecretKey, "EVENT_KEY": harness.EventKey}
		planted := canaries(h, s, password)
		root := h.Administrator("root@example.org")
		for _, path := range slices.Sorted(maps.Keys(harness.Document().Doc.Paths.Map())) {
			for method, op := range harness.Document().Doc.Paths.Map()[path].Operations() {
				if strings.HasPrefix(path, "/v1/logout") {
					continue // at the end, with everything else that ends the session
				}
				plant(h, method, path, op, root, planted)
			}
		}
		for _, path := range []string{"/v1/logout", "/v1/logout-all"} {
			plant(h, "POST", path, harness.Document().Doc.Paths.Map()[path].Post, root, planted)
		}
		maps.Copy(secrets, planted)
		_, metrics := h.Admin("/metrics")
		_, ready := h.Admin("/readyz")
		if err := h.Stop(); err != nil { // which writes what was counted
			t.Fatal(err)
		}
		found := map[string]string{"the log": h.Logs.String(), "the metrics": metrics, "readyz": ready}
		maps.Copy(found, everyColumn(t, dbURL))
		// What is no secret is found where it stands.
		if !strings.Contains(found["account.email"], "ada@example.org") || !strings.Contains(found["client.name"], "shop") ||
			len(found["event_personal.data"]) < 1000 {
			t.Error("the database was not read")
		}
		for name, secret := range secrets {
			for _, form := range encodings(secret) {
				for place, text := range found {
					if strings.Contains(text, form) {
						t.Errorf("%s holds %s, as %q", place, name, form)
					}
				}
			}
		}
	})
}

// canaries has one of each secret made, uses it, and returns them all.
func canaries(h *harness.Server, s *mailtest.Server, password string) map[string]string {
	h.Helper()
	list := map[string]string{"a password": password, "a wrong password": "canary guess at a password 0815"}
	h.Expect(202, "", harness.Post("/v1/register", harness.Credentials{Email: "ada@example.org", Password: password}))
	in := h.Expect(200, "", harness.SignInAs("ada@example.org", password))
	list["a refresh token"], list["an access token"] = in.Str("refresh_token"), in.Str("access_token")
	list["a refresh token, rotated"] = h.Expect(200, "", harness.Refreshing(in.Str("refresh_token"))).Str("refresh_token")
	h.Expect(401, "invalid_credentials", harness.SignInAs("ada@example.org", list["a wrong password"]))
	h.Expect(401, "invalid_credentials", harness.SignInAs("nobody@example.org", list["a wrong password"]))
	h.Expect(202, "", harness.Post("/v1/password/forgot", map[string]string{"email": "ada@example.org"}))
	h.Eventually("the mails", func() (string, bool) {
		for _, m := range s.Mails() {
			_, parts := m.Parse(h.T)
			text := parts["text/plain"]
			token := regexp.MustCompile(`/(verify|reset)#(gatehouse_mt_\S+)`).FindStringSubmatch(text)
			code := regexp.MustCompile(`(?m)^    (\S+)\s*$`).FindStringSubmatch(text)
			if token != nil && code != nil {
				list["the token to "+token[1]], list["the code to "+token[1]] = token[2], code[1]
			}
		}
		return fmt.Sprint(len(list)), list["the token to verify"] != "" && list["the token to reset"] != ""
	})
	c, shown, err := h.Operator().CreateClient(h.Context(), "shop", harness.OriginOfTests)
	if err != nil {
		h.Fatal(err)
	}
	list["a client's secret"] = shown
	h.Expect(401, "invalid_client", harness.Request{Method: "GET", Path: "/v1/revocations",
		Header: http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(c.ID+":"+list["a wrong password"]))}}})
	h.Expect(204, "", harness.Post("/v1/email/verify", map[string]string{"token": list["the token to verify"], "password": password}))
	return list
}

// plant sends an operation each secret wherever it could go, by an administrator and
// as credentials.
func plant(h *harness.Server, method, path string, op *openapi3.Operation, bearer string, secrets map[string]string) {
	h.Helper()
	for _, secret := range secrets {
		query := url.Values{"nonsense": {secret}}
		for _, p := range op.Parameters {
			if p.Value.In == "query" && p.Value.Name != "wait" {
				query.Set(p.Value.Name, secret)
			}
		}
		where := strings.ReplaceAll(path, "{id}", url.PathEscape(secret))
		basic := base64.StdEncoding.EncodeToString([]byte(secret + ":" + secret))
		headers := func(authorization string) http.Header {
			return http.Header{
				"Authorization": {authorization}, "X-Csrf-Token": {secret}, "Referer": {"https://acme.org/?token=" + url.QueryEscape(secret)},
				"X-Forwarded-For": {secret}, "Forwarded": {"for=" + secret}, "If-None-Match": {secret},
				"Cookie": {"__Host-gatehouse_at=" + url.QueryEscape(secret) + "; gatehouse_rt=" + url.QueryEscape(secret)},
			}
		}
		for _, r := range []harness.Request{
			{Method: method, Path: where, Header: headers("Bearer " + bearer)},
			{Method: method, Path: where, Header: headers("Bearer " + secret)},
			{Method: method, Path: where, Header: headers("Basic " + basic)},
			{Method: method, Path: where + "?" + query.Encode(), Header: headers("Bearer " + bearer)},
			{Method: method, Path: where + "/" + url.PathEscape(secret), Header: headers("Bearer " + bearer)},
		} {
			for _, mine := range []bool{false, true} {
				body, kind := wrongBody(op, secret, mine)
				if fields, ok := body.(map[string]any); mine && (!ok || fields["email"] == nil) {
					continue
				}
				r.Body, r.ContentType = body, kind
				if method == "GET" {
					r.Body, r.ContentType = nil, ""
				}
				if a, err := h.Try(r); err != nil && a.Status >= 500 {
					h.Errorf("%s %s: %d %v", r.Method, path, a.Status, err)
				}
			}
		}
	}
}

// wrongBody is a body whose every field of text is the secret; with an address that
// is good it gets further.
func wrongBody(op *openapi3.Operation, secret string, goodAddress bool) (body any, kind string) {
	if op.RequestBody == nil {
		return nil, ""
	}
	for kind, content := range op.RequestBody.Value.Content {
		fields := map[string]any{}
		form := url.Values{}
		for name, p := range content.Schema.Value.Properties {
			if kept[name] || !p.Value.Type.Is("string") {
				continue
			}
			fields[name] = secret
			if name == "email" && goodAddress {
				fields[name] = "ada@example.org"
			}
			form.Set(name, fmt.Sprint(fields[name]))
		}
		if kind == "application/json" {
			return fields, kind
		}
		return form.Encode(), kind
	}
	return nil, ""
}

// encodings are the forms in which a secret can stand in a text: as it is, as in a
// URL, in JSON, in hex, and in base64 at each of the three places that it can begin at.
func encodings(secret string) []string {
	quoted, err := json.Marshal(secret)
	if err != nil {
		panic(err)
	}
	list := []string{
		secret, url.QueryEscape(secret), url.PathEscape(secret), string(quoted[1 : len(quoted)-1]),
		hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret))),
	}
	for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			// The characters at both ends also depend on what is next to it.
			text := e.EncodeToString(append(bytes.Repeat([]byte{0}, before), secret...))
			list = append(list, text[(before*8+5)/6:len(text)-1])
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// everyColumn reads all of the database, by table and column.
func everyColumn(t *testing.T, dbURL string) map[string]string {
	t.Helper()
	columns, value := `SELECT m.name, c.name, '' FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c WHERE m.type = 'table' ORDER BY 1, 2`,
		func(column, _ string) string {
			return `hex(CAST(` + column + ` AS BLOB))`
		}
	if !strings.HasPrefix(dbURL, "sqlite:") {
		columns = `SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2`
		value = func(column, kind string) string {
			if kind == "bytea" {
				return `encode(` + column + `, 'hex')`
			}
			return `encode(convert_to(` + column + `::text, 'UTF8'), 'hex')`
		}
	}
	out := map[string]string{}
	d := dbtest.Open(t, dbURL)
	err := d.Read(context.Background(), func(tx *db.Tx) error {
		var names [][3]string
		rows, err := tx.Query(columns)
		if err != nil {
			return err
		}
		for rows.Next() {
			var n [3]string
			if err := rows.Scan(&n[0], &n[1], &n[2]); err != nil {
				return err
			}
			names = append(names, n)
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return err
		}
		for _, n := range names {
			var text strings.Builder
			rows, err := tx.Query(`SELECT COALESCE(` + value(`"`+n[1]+`"`, n[2]) + `, '') FROM "` + n[0] + `"`)
			if err != nil {
				return err
			}
			for rows.Next() {
				var h string
				if err := rows.Scan(&h); err != nil {
					return err
				}
				b, err := hex.DecodeString(h)
				if err != nil {
					return err
				}
				text.Write(b)
				text.WriteByte('\n')
			}
			rows.Close()
			if err := rows.Err(); err != nil {
				return err
			}
			out[n[0]+"."+n[1]] = text.String()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestLOG1_NobodyForgesLinesOfTheLog writes line breaks, whole lines and what
// terminals obey into everything that a client says: each line stays one object
// whose words are ours, and nothing in it moves a cursor.
func TestLOG1_NobodyForgesLinesOfTheLog(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), harness.BehindProxy)
	access := h.Administrator("root@example.org")
	forged := `{"time":"2026-11-25T00:00:00Z","level":"INFO","msg":"forged","request_id":"x"}`
	evil := []string{"\r\n" + forged + "\r\n", "\n" + forged, "\x1b[2J\x1b[1;1H", "\x9b31m", "\u009b2J", "\u202egnp", "\u2028" + forged, "\x7f\b\b\b",
		`","msg":"forged","x":"`, "\x00", "\x1b]0;owned\x07"}
	for _, e := range evil {
		for _, r := range []harness.Request{
			harness.SignInAs("a"+e+"@example.org", harness.Passphrase), harness.SignInAs("root@example.org", e),
			{Method: "POST", Path: "/v1/register", Body: harness.Credentials{Email: "a@exa" + e + "mple.org", Password: harness.Passphrase}},
			{Method: "PATCH", Path: "/v1/me", Bearer: access, Body: map[string]any{"name": e, "locale": e}},
			harness.Blocking(access, map[string]any{"network": e}), harness.Blocking(access, map[string]any{"network": "203.0.113.7", "reason": e}),
			{Method: "GET", Path: "/v1/" + url.PathEscape(e)}, {Method: "DELETE", Path: "/v1/sessions/" + url.PathEscape(e), Bearer: access},
			{Method: "GET", Path: "/v1/admin/events?event=" + url.QueryEscape(e) + "&" + url.QueryEscape(e) + "=1", Bearer: access}, harness.Refreshing(e),
		} {
			if _, err := h.Try(r); err != nil && !strings.Contains(err.Error(), "is served but not described") {
				t.Logf("%s %s: %v", r.Method, r.Path, err) // the client or the document refuses it
			}
		}
		// Go's client refuses to send these; a client of an attacker's does not.
		for _, head := range []string{
			"GET /openapi.json HTTP/1.1\r\nUser-Agent: " + e, "GET /openapi.json HTTP/1.1\r\nX-Request-Id: " + e, "GET /openapi.json HTTP/1.1\r\nX-Forwarded-For: " + e,
			"GET /openapi.json HTTP/1.1\r\nAuthorization: Bearer " + e, "GET /openapi.json?" + e + " HTTP/1.1", "GE" + e + "T / HTTP/1.1",
			"GET /" + e + " HTTP/1.1\r\nUser-Agent: x",
			"POST /v1/login HTTP/1.1\r\nContent-Length: 2\r\nUser-Agent: " + e + "\r\nContent-Type: " + e,
		} {
			raw(h, head)
		}
	}
	// A wrong password's event has the user agent, in the log and in the database.
	raw(h, "POST /v1/login HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 51\r\nUser-Agent: x\x1b[31m\u202e\u009b2Jy\r\nConnection: close\r\n\r\n"+
		`{"email":"root@example.org","password":"wrong one"}`+"\r\n")
	if err := h.Stop(); err != nil {
		t.Fatal(err)
	}
	text := h.Logs.String()
	if i := strings.IndexFunc(text, func(c rune) bool { return c != '\n' && !unicode.IsPrint(c) }); i >= 0 {
		t.Errorf("the log holds what does not print: %q", text[max(0, i-200):min(len(text), i+50)])
	}
	for _, l := range h.Lines() {
		if l.Msg == "forged" {
			t.Errorf("somebody wrote a line: %+v", l)
		}
	}
}

// raw sends bytes as a client of one's own may, and reads what comes back.
func raw(h *harness.Server, head string) {
	h.Helper()
	address := strings.TrimPrefix(h.App.URL(), "http://")
	c, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		h.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		h.Fatal(err)
	}
	request, rest, _ := strings.Cut(head, "\r\n")
	_, _ = c.Write([]byte(request + "\r\nHost: " + address + "\r\n" + rest + "\r\nConnection: close\r\n\r\n{}"))
	_, _ = c.Read(make([]byte, 4096))
}
