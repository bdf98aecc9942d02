package internal_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/gatehouse-auth/gatehouse/internal/base/locale"
)

// templatesOf are the templates of all pages.
func templatesOf(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("../internal/door/*/templates/*.html")
	if err != nil || len(paths) < 2 {
		t.Fatal(paths, err)
	}
	files := map[string]string{}
	for _, p := range paths {
		files[p] = readFile(t, strings.TrimPrefix(p, "../"))
	}
	return files
}

var (
	actions = regexp.MustCompile(`(?s)\{\{.*?\}\}`)
	letters = regexp.MustCompile(`\p{L}\p{L}`)
)

// No sentence, and no word, stands in a template: it would be in one language.
func TestNoWordsInTemplates(t *testing.T) {
	spoken := []string{"aria-label", "title", "placeholder", "alt", "label", "content"}
	for name, text := range templatesOf(t) {
		doc, err := html.Parse(strings.NewReader(actions.ReplaceAllString(text, "")))
		if err != nil {
			t.Fatal(name, err)
		}
		for n := range doc.Descendants() {
			if n.Type == html.TextNode && letters.MatchString(n.Data) && !within(n, "code", "script") {
				t.Errorf("%s says %q: put it into the catalogue (package locale)", name, strings.TrimSpace(n.Data))
			}
			for _, a := range n.Attr {
				if n.Type == html.ElementNode && slices.Contains(spoken, a.Key) && letters.MatchString(a.Val) && n.Data != "meta" {
					t.Errorf("%s: %s=%q: put it into the catalogue (package locale)", name, a.Key, a.Val)
				}
			}
		}
	}
}

func within(n *html.Node, names ...string) bool {
	for p := n.Parent; p != nil; p = p.Parent {
		if slices.Contains(names, p.Data) {
			return true
		}
	}
	return false
}

// keyed are calls that take a key of the catalogue.
var keyed = regexp.MustCompile(`(?:\W|V)\.(?:T|H) "([^"]+)"|\.(?:T|H|Text|HTML)\("([^"]+)"`)

// Each key that is used is there, and each that is there is used: it stands somewhere in the source as a whole.
func TestKeysOfTheCatalogue(t *testing.T) {
	source := strings.Builder{}
	for _, folder := range []string{"../internal/door", "../internal/base/locale", "../internal/feature/notice", "../internal/app", "../internal/flow"} {
		err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") ||
				filepath.Ext(path) != ".go" && filepath.Ext(path) != ".html" && filepath.Ext(path) != ".txt" {
				return err
			}
			source.WriteString(readFile(t, strings.TrimPrefix(path, "../")))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	text := source.String()
	for _, found := range keyed.FindAllStringSubmatch(text, -1) {
		key := found[1] + found[2]
		if !locale.Default().Has(key) && key != "key" && key != "find" && key != "find.hint" && key != "people.title" && key != "people.count" && key != "address" &&
			key != "locked" { // in the doc of ui
			t.Errorf("%q is used, and is in no catalogue", key)
		}
	}
	for _, key := range locale.Default().Keys() {
		if !strings.Contains(text, `"`+key+`"`) {
			t.Errorf("%s is in the catalogue, and nobody uses it", key)
		}
	}
}
