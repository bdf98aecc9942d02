package internal_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pages returns all Markdown that people read, by its path from the root.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, name := range []string{"README.md", "DESIGN.md", "SECURITY.md", "CHANGELOG.md"} {
		all[name] = readFile(t, name)
	}
	for _, folder := range []string{"docs", "clients", "deploy", "examples", "bench"} {
		err := filepath.WalkDir(filepath.Join("..", folder), func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.HasSuffix(path, ".md") && !strings.Contains(path, "node_modules") {
				name := filepath.ToSlash(strings.TrimPrefix(path, "../"))
				all[name] = readFile(t, name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(all) < 40 {
		t.Fatalf("only %d pages were found", len(all))
	}
	return all
}

// fenced is what stands in a block of code.
var fenced = regexp.MustCompile("(?ms)^ *```.*?^ *```")

// Every relative link of every page leads to a file that is there, and to a heading that it has.
func TestEveryLinkLeadsSomewhere(t *testing.T) {
	all := pages(t)
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	checked := 0
	for name, text := range all {
		for _, m := range link.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
			path, heading, _ := strings.Cut(m[1], "#")
			if strings.Contains(path, ":") {
				continue // elsewhere
			}
			checked++
			target := name
			if path != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(name), path))
			}
			if _, err := os.Stat(filepath.Join("..", target)); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", name, m[1])
			} else if heading != "" && !slices.Contains(headings(all[target]), heading) {
				t.Errorf("%s: %s has no heading #%s", name, target, heading)
			}
		}
	}
	if checked < 100 {
		t.Errorf("only %d links were found", checked)
	}
}

// headings are the anchors of a page, as forges make them of its headings.
func headings(text string) (anchors []string) {
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		anchor := regexp.MustCompile(`[^\p{L}\p{N}\- _]`).ReplaceAllString(strings.ToLower(m[1]), "")
		anchors = append(anchors, strings.ReplaceAll(anchor, " ", "-"))
	}
	return anchors
}

// notSettings are words in capitals that are something else.
var notSettings = regexp.MustCompile(`^(YOUR|GATEHOUSE|RELEASE|GF|SERVERS|GO|NGINX|SSL|CGO|SQLMAP|WEBSCAN)_|` +
	`^(REMOTE_USER|ENABLE_OPENID_SIGNIN|ENABLE_AUTO_REGISTRATION|ACCOUNT_LINKING|ALLOW_ONLY_EXTERNAL_REGISTRATION)$|` + // Apache's and Gitea's
	`^(PUBLIC_KEY|EX_CONFIG|SOURCE_DATE_EPOCH|ALLOW_CONNECTIONS|NAME_FILE|` +
	`CHANGE_THIS|STRONG_PASSWORD|OTEL_BSP_MAX_QUEUE_SIZE)$`) // the last one is named as what there is not

// Every setting that a page names is one.
func TestEverySettingNamedIsOne(t *testing.T) {
	settings := readFile(t, "docs/configuration.md")
	known := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Z0-9_]+)` \\|").FindAllStringSubmatch(settings, -1) {
		known[m[1]], known[m[1]+"_FILE"] = true, true
	}
	named := 0
	for name, text := range pages(t) {
		if name == "CHANGELOG.md" { // which also tells of what was
			continue
		}
	next:
		for _, word := range regexp.MustCompile(`\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b`).FindAllString(text, -1) {
			named++
			if known[word] || notSettings.MatchString(word) {
				continue
			}
			for setting := range known {
				if strings.HasPrefix(setting, word+"_") { // those of a family, as LOGIN_RATE_LIMIT
					continue next
				}
			}
			t.Errorf("%s names %s, which is no setting", name, word)
		}
	}
	if len(known) < 150 || named < 500 {
		t.Errorf("%d settings are known, %d were found", len(known)/2, named)
	}
}

// testNames are the names of all tests.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	for _, root := range []string{"../cmd", "../internal", "../verify"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, "_test.go") {
				for _, m := range declared.FindAllStringSubmatch(readFile(t, strings.TrimPrefix(path, "../")), -1) {
					names[m[1]] = true
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// Each threat of the model names tests that hold it off, and these exist; so do those that the
// plan of a penetration test begins with. No letter of STRIDE is left out.
func TestEachThreatNamesItsTests(t *testing.T) {
	names := testNames(t)
	test := regexp.MustCompile("`(Test\\w+)`")
	for _, page := range []string{"docs/threat-model.md", "docs/penetration-test.md"} {
		for _, m := range test.FindAllStringSubmatch(readFile(t, page), -1) {
			if !names[m[1]] {
				t.Errorf("%s names %s, which is no test", page, m[1])
			}
		}
	}
	for _, kind := range []string{"Spoofing: to be somebody else", "Tampering: to change what is kept or sent", "Repudiation: to deny it",
		"Information disclosure: to learn what is not one's own", "Denial of service: to keep others out", "Elevation of privilege: to get more than one was given"} {
		threats := 0
		for line := range strings.Lines(section(t, "docs/threat-model.md", kind)) {
			if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| threat ") {
				continue
			}
			threats++
			if !test.MatchString(line) {
				t.Errorf("no test holds off: %s", line)
			}
		}
		if threats < 4 {
			t.Errorf("%s: %d threats", kind, threats)
		}
	}
}

// Each line of the guide has its row in the checklist, and each of the doctor's names the command that asks it.
func TestTheChecklistHasEveryLine(t *testing.T) {
	text := readFile(t, "docs/production-checklist.md")
	lines := regexp.MustCompile(`(?m)^\tline\("([A-Z]+-\d+)"`).FindAllStringSubmatch(readFile(t, "internal/ops/doctor/guide.go"), -1)
	if len(lines) < 40 {
		t.Fatalf("only %d lines of the doctor's were found", len(lines))
	}
	for _, m := range lines {
		if !strings.Contains(text, "\n| "+m[1]+" |") {
			t.Errorf("production-checklist.md has no row %s", m[1])
		}
	}
	for _, id := range []string{"DB-5", "RATE-5", "SCAN-0", "SCAN-1", "SCAN-2", "SCAN-3", "SCAN-4", "IR-1", "IR-2", "IR-3", "IR-4", "GDPR-6", "TEST-1..5",
		"MAN-1", "DEP-1", "DEP-2"} {
		if !strings.Contains(text, "\n| "+id+" |") {
			t.Errorf("production-checklist.md has no row %s", id)
		}
	}
}

// Every target of make that a page or a script names is one.
func TestEveryTargetNamedIsOne(t *testing.T) {
	targets := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z]+):.*`).FindAllStringSubmatch(readFile(t, "Makefile"), -1) {
		targets[m[1]] = true
	}
	for name, text := range pages(t) {
		for _, m := range regexp.MustCompile("`make ([a-z]+)").FindAllStringSubmatch(text, -1) {
			if !targets[m[1]] {
				t.Errorf("%s names make %s, which there is not", name, m[1])
			}
		}
	}
}
