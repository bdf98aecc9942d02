package config

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// notConfigurable are the blocks that can't be loaded as they stand, each with its reason.
var notConfigurable = map[string]string{}

// fenced finds the blocks of a page and their language.
var fenced = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")

var assignment = regexp.MustCompile(`^[A-Z][A-Z0-9_]*=`)

// F9: production starts with the settings of every guide, once what is in capitals has
// been replaced as the guide says.
func TestCaseF9_TheSettingsInEveryGuide(t *testing.T) {
	var pages []string
	for _, pattern := range []string{"../../../docs/guides/*.md", "../../../docs/*.md", "../../../README.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	blocks := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range fenced.FindAllStringSubmatch(string(text), -1) {
			lines, ok := settingsIn(b[2])
			if !ok || notConfigurable[b[2]] != "" {
				continue
			}
			blocks++
			environ := map[string]string{}
			for _, e := range append(production(), lines...) {
				name, value, _ := strings.Cut(e, "=")
				environ[name] = value
			}
			var list []string
			for name, value := range environ {
				list = append(list, name+"="+value)
			}
			c, err := load(list...)
			if err != nil {
				t.Errorf("%s:\n%s\n%v", filepath.Base(page), b[2], err)
				continue
			}
			for _, w := range c.Warnings {
				t.Errorf("%s:\n%s\nwarns: %s", filepath.Base(page), b[2], w)
			}
		}
	}
	if blocks < 8 {
		t.Errorf("only %d blocks were found in %d pages", blocks, len(pages))
	}
}

// settingsIn returns the settings of a block that is nothing but settings, with the names
// that the guides leave to the reader filled in.
func settingsIn(block string) (list []string, ok bool) {
	fill := strings.NewReplacer("YOUR_HOST", "auth.acme.org", "PASSWORD", goodPassword, "login.example.org", "auth.acme.org", "example.org", "acme.org",
		"example.com", "acme.org", "example.net", "acme.org", "…", goodPassword)
	for line := range strings.Lines(block) {
		line, _, _ = strings.Cut(line, " #")
		line, _, _ = strings.Cut(line, " gatehouse ") // the command that they are for
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if !assignment.MatchString(line) || !known(line[:strings.IndexByte(line, '=')]) {
			return nil, false
		}
		name, value, _ := strings.Cut(line, "=")
		if of, file := strings.CutSuffix(name, "_FILE"); file && known(of) {
			continue // what the file holds is the reader's
		}
		list = append(list, name+"="+fill.Replace(strings.Trim(value, `'"`)))
	}
	return list, len(list) > 0
}
