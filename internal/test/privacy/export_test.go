package privacy

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/schema"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// unzip reads a copy.
func unzip(h *harness.Server, text string) map[string][]byte {
	h.Helper()
	z, err := zip.NewReader(bytes.NewReader([]byte(text)), int64(len(text)))
	if err != nil {
		h.Fatal(err)
	}
	out := map[string][]byte{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			h.Fatal(err)
		}
		if out[f.Name], err = io.ReadAll(r); err != nil {
			h.Fatal(err)
		}
	}
	return out
}

// The copy has what is known of the person, is told by a mail and an event, and has nothing that opens anything.
func TestGDPR4_ACopyHasEverythingAndNoSecret(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		access := live(h, clock)
		h.Register("neighbour@example.org")
		answer := h.Expect(200, "", harness.Get("/v1/me/export", access))
		if answer.Header.Get("Content-Type") != "application/zip" || !strings.Contains(answer.Header.Get("Content-Disposition"), "attachment") ||
			!strings.Contains(answer.Header.Get("Cache-Control"), "no-store") {
			h.Errorf("headers: %v", answer.Header)
		}
		files := unzip(h, answer.Text)
		var document map[string]any
		if err := json.Unmarshal(files["export.json"], &document); err != nil {
			h.Fatalf("%v in %s", err, files["export.json"])
		}
		all := string(files["export.json"]) + string(files["events.jsonl"])
		for _, want := range []string{ada, name, place, agent, "canary-role", "reset", `"successful_login"`, `"data_export"`, "reset_password"} {
			if !strings.Contains(all, want) {
				h.Errorf("it does not have %s", want)
			}
		}
		for _, never := range append(secrets(h), "neighbour@example.org", access) {
			if strings.Contains(all, never) {
				h.Errorf("it has %q", never)
			}
		}
		holdsSchema(h, files, document)
		h.Mailbox().Last(ada, notice.DataExported)
		if n := h.Count(`SELECT COUNT(*) FROM event WHERE kind = 'data_export'`); n != 1 {
			h.Errorf("%d events", n)
		}
		for range 2 {
			h.Expect(200, "", harness.Get("/v1/me/export", access))
		}
		h.Expect(429, "rate_limited", harness.Get("/v1/me/export", access))
	})
}

// secrets are the values of all columns that hold hashes, salts, tokens or keys, as they could stand in a text.
func secrets(h *harness.Server) (list []string) {
	h.Helper()
	d := h.Mailbox().DB
	for _, t := range schema.Tables {
		for _, c := range t.Columns {
			hidden := c.Type == schema.Bytes || slices.Contains([]string{"account.hash", "ticket.old_hash", "known_device.id", "known_device.account",
				"former_password.hash", "guess.k", "guess.account", "code_try.k", "mail_share.k"}, t.Name+"."+c.Name)
			if !hidden {
				continue
			}
			err := d.Read(h.Context(), func(tx *db.Tx) error {
				rows, err := tx.Query(`SELECT "` + c.Name + `" FROM "` + t.Name + `" WHERE "` + c.Name + `" IS NOT NULL`)
				if err != nil {
					return err
				}
				defer rows.Close()
				for rows.Next() {
					var v []byte
					if err := rows.Scan(&v); err != nil {
						return err
					}
					if len(v) >= 8 {
						b, _ := json.Marshal(v) //nolint:errchkjson // bytes
						list = append(list, string(v), fmt.Sprintf("%x", v), strings.Trim(string(b), `"`))
					}
				}
				return rows.Err()
			})
			if err != nil {
				h.Fatalf("%s.%s: %v", t.Name, c.Name, err)
			}
		}
	}
	if len(list) < 30 {
		h.Fatalf("only %d secrets were found", len(list))
	}
	return list
}

// holdsSchema holds the copy against the schema that is in it: each has just the other's members.
func holdsSchema(h *harness.Server, files map[string][]byte, document map[string]any) {
	h.Helper()
	var described map[string]any
	if err := json.Unmarshal(files["schema.json"], &described); err != nil {
		h.Fatal(err)
	}
	fits(h, "export.json", described, document)
	event := described["$defs"].(map[string]any)["event"].(map[string]any)
	for i, line := range bytes.Split(bytes.TrimSpace(files["events.jsonl"]), []byte("\n")) {
		var one map[string]any
		if err := json.Unmarshal(line, &one); err != nil {
			h.Fatalf("line %d: %v", i+1, err)
		}
		fits(h, fmt.Sprint("events.jsonl:", i+1), event, one)
	}
}

func fits(h *harness.Server, where string, schema map[string]any, value any) {
	h.Helper()
	switch v := value.(type) {
	case map[string]any:
		properties, _ := schema["properties"].(map[string]any)
		for name, member := range v {
			p, ok := properties[name].(map[string]any)
			if !ok {
				h.Errorf("%s: %s is not described", where, name)
				continue
			}
			fits(h, where+"."+name, p, member)
		}
		for _, name := range schema["required"].([]any) {
			if _, ok := v[name.(string)]; !ok {
				h.Errorf("%s: %v is missing", where, name)
			}
		}
	case []any:
		items, ok := schema["items"].(map[string]any)
		if !ok {
			h.Errorf("%s is no list by the schema", where)
			return
		}
		for i, member := range v {
			fits(h, fmt.Sprint(where, "[", i, "]"), items, member)
		}
	case string:
		if _, fixed := schema["const"]; !fixed && schema["type"] != "string" {
			h.Errorf("%s is a string, and the schema says %v", where, schema["type"])
		}
	}
}

// TestASVS_V5_4_1_V5_4_2_TheServerNamesDownloads: neither a parameter nor what somebody calls themselves has a say in the name of a file.
func TestASVS_V5_4_1_V5_4_2_TheServerNamesDownloads(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		const eve = "eve@example.org"
		h.Register(eve)
		access := h.Login(eve).Str("access_token")
		h.Expect(200, "", harness.Request{Method: "PATCH", Path: "/v1/me", Bearer: access, Body: map[string]any{"name": `"; filename="evil.exe" ü`}})
		answer := h.Expect(200, "", harness.Get("/v1/me/export", access))
		if got := answer.Header.Get("Content-Disposition"); !regexp.MustCompile(`^attachment; filename="[a-z0-9.-]+\.zip"$`).MatchString(got) {
			h.Errorf("Content-Disposition: %s", got)
		}
		for _, query := range []string{"?filename=evil.exe", "?name=evil.exe%22%0d%0aX:%201"} {
			if a := h.Do(harness.Get("/v1/me/export"+query, access)); strings.Contains(a.Header.Get("Content-Disposition"), "evil") || a.Header.Get("X") != "" {
				h.Errorf("%s: %d %v", query, a.Status, a.Header)
			}
		}
	})
}
