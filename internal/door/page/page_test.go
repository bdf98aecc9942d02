package page

import (
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/gatehouse-auth/gatehouse/internal/base/locale"
	"github.com/gatehouse-auth/gatehouse/internal/base/password"
	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/feature/consent"
)

// Every page is drawn with all that it may have to show, in every language, with and without a problem; nothing of
// the catalogue is missing, and no page weighs more than it should.
func TestEveryPageIsDrawn(t *testing.T) {
	kit, err := ui.New(ui.Config{Service: "Tidewater", Color: "#ffc400"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(kit, password.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	all := samples()
	for _, name := range p.set.Names() {
		if len(all[name]) == 0 {
			t.Errorf("%s has no sample", name)
		}
		for _, data := range all[name] {
			for _, l := range locale.All() {
				for _, problem := range []*ui.Problem{{Title: "x", Text: "x"}, {Title: "x", Text: "x", Field: "email", Form: "address"}, nil} {
					if problem == nil && (name == "refused" || name == "closed") {
						continue
					}
					w := httptest.NewRecorder()
					v := p.view(httptest.NewRequest("GET", "/x?lang="+l.Tag, nil))
					v.Problem = problem
					if err := p.show(w, 200, v, name, data); err != nil {
						t.Fatalf("%s in %s: %v", name, l.Tag, err)
					}
					text := w.Body.String()
					if !strings.HasPrefix(name, "section-") && (!strings.HasPrefix(text, "<!doctype html>\n<html lang=\""+l.Tag) || strings.Count(text, "<h1") != 1) {
						t.Errorf("%s in %s: no language, or not one heading:\n%s", name, l.Tag, text)
					}
					if strings.Contains(text, "<no value>") || strings.Contains(text, "{{") {
						t.Errorf("%s: %s", name, text)
					}
				}
			}
		}
	}
}

// Password fields are masked, name what belongs into them, and are neither cut nor
// closed to paste and password managers.
func TestASVS_V6_2_6_V6_2_7_PasswordFields(t *testing.T) {
	kit, err := ui.New(ui.Config{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(kit, password.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for name, list := range samples() {
		for _, data := range list {
			v := p.view(httptest.NewRequest("GET", "/", nil))
			v.Problem = &ui.Problem{}
			body, err := p.set.Fragment(v, name, data)
			if err != nil {
				t.Fatal(err)
			}
			doc, err := html.Parse(strings.NewReader(string(body)))
			if err != nil {
				t.Fatal(err)
			}
			for n := range doc.Descendants() {
				if n.Data != "input" {
					continue
				}
				has := map[string]string{}
				for _, a := range n.Attr {
					has[a.Key] = a.Val
					if strings.HasPrefix(a.Key, "on") {
						t.Errorf("%s: %s listens inline", name, has["name"])
					}
				}
				if strings.Contains(has["name"], "password") != (has["type"] == "password") {
					t.Errorf("%s: %s has the type %s", name, has["name"], has["type"])
				}
				if has["type"] != "password" {
					continue
				}
				seen++
				if a := has["autocomplete"]; a != "current-password" && a != "new-password" {
					t.Errorf("%s: %s does not say which password belongs there", name, has["name"])
				}
				for _, no := range []string{"maxlength", "pattern", "readonly"} {
					if _, ok := has[no]; ok {
						t.Errorf("%s: %s has %s", name, has["name"], no)
					}
				}
			}
		}
	}
	if seen < 8 {
		t.Errorf("only %d password fields were found", seen)
	}
}

// An operator's document is text: headings, paragraphs, and nothing that could be markup. The one in the person's
// language is shown, where there is one.
func TestGDPR5_DocumentsAreTextAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"terms.txt": "First.\r\n\r\n# <b>Two</b>\nOf it.\n\nMore <script>alert(1)</script>", "terms.de.txt": "Erstens."} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	texts, err := consent.ReadFile(filepath.Join(dir, "terms.txt"))
	if err != nil {
		t.Fatal(err)
	}
	kit, err := ui.New(ui.Config{})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := New(kit, password.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	docs := &Documents{Forms: Forms{Pages: pages}, Version: func(_ context.Context, name string, _ int64) (consent.Document, error) {
		if name != consent.Terms {
			return consent.Document{}, consent.ErrNoDocument
		}
		return consent.Document{Name: name, Version: 2, Texts: texts, MadeAt: time.Unix(1, 0)}, nil
	}}
	show := func(path, lang string) string {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", path, nil)
		r.Header.Set("Accept-Language", lang)
		if err := docs.Routes()["GET "+path](w, r); err != nil {
			t.Fatal(err)
		}
		return w.Body.String()
	}
	text := show("/terms", "en")
	for _, want := range []string{"<p class=\"two\">First.</p>", `<h2 id="part-2">&lt;b&gt;Two&lt;/b&gt;</h2>`, "Of it.", "More &lt;script&gt;",
		"Version 2, in force since"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if text := show("/terms", "de"); !strings.Contains(text, "Erstens.") || strings.Contains(text, "First.") {
		t.Error(text)
	}
	if text := show("/privacy", "fr"); !strings.Contains(text, "Ce que nous conservons") {
		t.Error(text)
	}
	for name, text := range map[string]string{
		"empty.txt": " \n", "latin.txt": "caf\xe9", "nul.txt": "a\x00b", "long.txt": strings.Repeat("a", 256<<10+1),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"none.txt", "empty.txt", "latin.txt", "nul.txt", "long.txt"} {
		if _, err := consent.ReadFile(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
