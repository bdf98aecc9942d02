package backup

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/schema"
)

const (
	testKey     = "an event key for tests, of more than 32 characters"
	testInstall = "01a00000-0000-7000-8000-000000000001"
	testBackup  = "01a00000-0000-7000-8000-00000000000b"
)

func testManifest() *Manifest {
	h := strings.Repeat("ab", 32)
	return &Manifest{
		Format: 1, ID: testBackup, Install: testInstall, Timeline: "f3", Epoch: 3, Began: time.Unix(1, 0).UTC(), Snapshot: time.Unix(2, 0).UTC(),
		Dialect: "sqlite", Schema: 140, Gatehouse: "1.0", Log: Log{Origin: "gatehouse/x", Size: 3, Root: "r"},
		Kept:       []Kept{{ID: testInstall, SHA256: h}},
		Tables:     map[string]Table{"account": {Columns: []string{"email", "id"}, Types: []schema.Type{"t", "t"}, Rows: 3}},
		Parts:      []Part{{"account-00001.zst.age", "account", 2, 20, 300, h, h}, {"account-00002.zst.age", "account", 1, 10, 200, h, h}},
		Recipients: []string{"age1x"}, Needs: Needs{JWT: []string{"ab"}, Pepper: []string{}, Verifier: "v"},
	}
}

func signTest(t testing.TB, v any) []byte {
	t.Helper()
	s, err := NewSigner(testKey, testInstall)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := s.sign(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func codeOf(err error) string {
	if f := fault.As(err); f != nil {
		return f.Code
	}
	return ""
}

func TestAManifestComesBack(t *testing.T) {
	m := testManifest()
	raw := signTest(t, m)
	got, err := Trust{EventKey: testKey}.Read(raw, testInstall, testBackup)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, got); diff != "" {
		t.Error(diff)
	}
	s, err := NewSigner(testKey, testInstall)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (Trust{Verifier: s.Verifier}).Read(raw, testInstall, testBackup); err != nil {
		t.Error(err)
	}
}

// "manifest edited, of another install, or signed by another key": not ours, and both keys are named.
func TestTamperingTable_AManifestThatIsNotOurs(t *testing.T) {
	raw := signTest(t, testManifest())
	edited := bytes.Replace(raw, []byte(`"rows":3`), []byte(`"rows":2`), 1)
	other := strings.Replace(testInstall, "1", "2", 1)
	for name, c := range map[string]struct {
		raw     []byte
		trust   Trust
		install string
		id      string
		code    string
	}{
		"edited":            {edited, Trust{EventKey: testKey}, testInstall, testBackup, "backup_unsigned"},
		"unsigned":          {raw[:bytes.Index(raw, []byte("\n\n"))+1], Trust{EventKey: testKey}, testInstall, testBackup, "backup_unsigned"},
		"another key":       {raw, Trust{EventKey: testKey + "2"}, testInstall, testBackup, "backup_not_ours"},
		"no key":            {raw, Trust{}, testInstall, testBackup, "backup_not_ours"},
		"of another":        {raw, Trust{EventKey: testKey}, other, testBackup, "backup_not_ours"},
		"of another backup": {raw, Trust{EventKey: testKey}, testInstall, testInstall, "backup_not_ours"},
		"another, unsigned": {raw, Trust{Unsigned: true}, other, testBackup, "backup_not_ours"},
	} {
		_, err := c.trust.Read(c.raw, c.install, c.id)
		if codeOf(err) != c.code {
			t.Errorf("%s: %v", name, err)
		}
		named := strings.Contains(fmt.Sprint(err), "Found gatehouse/"+testInstall+"/backup+") && strings.Contains(fmt.Sprint(err), "expected gatehouse/")
		if name == "another key" && !named {
			t.Errorf("it does not name the keys: %v", err)
		}
	}
	if _, err := (Trust{Unsigned: true}).Read(edited, testInstall, testBackup); codeOf(err) != "backup_incomplete" {
		t.Errorf("unsigned: %v", err)
	}
}

func TestTamperingTable_WhatAManifestMayNotSay(t *testing.T) {
	for name, c := range map[string]struct {
		change func(m *Manifest)
		code   string
	}{
		"a part left out of the list": {func(m *Manifest) { m.Parts = m.Parts[:1] }, "backup_incomplete"},
		"the first part left out":     {func(m *Manifest) { m.Parts = m.Parts[1:] }, "backup_changed"},
		"a name that leads elsewhere": {func(m *Manifest) { m.Parts[0].Name = "../account-00001.zst.age" }, "backup_changed"},
		"parts swapped":               {func(m *Manifest) { m.Parts[0], m.Parts[1] = m.Parts[1], m.Parts[0] }, "backup_changed"},
		"a table's name with a quote": {func(m *Manifest) {
			m.Tables["account"] = Table{Columns: []string{`id"`}, Types: []schema.Type{"t"}, Rows: 3}
		}, "backup_changed"},
		"a part without end": {func(m *Manifest) { m.Parts[0].Plain = 1 << 40 }, "backup_changed"},
		"newer format":       {func(m *Manifest) { m.Format = 2 }, "backup_newer"},
	} {
		m := testManifest()
		c.change(m)
		if _, err := (Trust{EventKey: testKey}).Read(signTest(t, m), testInstall, testBackup); codeOf(err) != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	text, err := json.Marshal(testManifest())
	if err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string]string{
		"an unknown field": strings.Replace(string(text), `{"format"`, `{"more":1,"format"`, 1),
		"a field twice":    strings.Replace(string(text), `{"format"`, `{"Format":1,"format"`, 1),
		"something behind": string(text) + "{}",
		"a list":           "[]",
		"too large":        `"` + strings.Repeat("a", mostManifest) + `"`,
	} {
		s, err := NewSigner(testKey, testInstall)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := s.signer.Sign(raw + "\n")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (Trust{EventKey: testKey}).Read(signed, testInstall, testBackup); codeOf(err) != "backup_changed" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzRead: no manifest, signed or not, makes anything panic, and what is taken has our own names.
func FuzzRead(f *testing.F) {
	text, err := json.Marshal(testManifest())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := (Trust{Unsigned: true}).Read(text, testInstall, testBackup)
		if err != nil {
			return
		}
		for _, p := range m.Parts {
			if !partName.MatchString(p.Name) || !strings.HasPrefix(p.Name, p.Table+"-") {
				t.Errorf("took the name %q", p.Name)
			}
		}
	})
}
