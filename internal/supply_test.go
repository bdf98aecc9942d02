package internal_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A bill of materials names every module that is linked into the binary, Go's own library
// too, and nothing else.
func TestASVS_V15_1_2_TheSBOMNamesWhatIsLinked(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "gatehouse")
	goCommand(t, "build", "-o", binary, "../cmd/gatehouse")
	var bill struct {
		BOMFormat, SpecVersion string
		Metadata               struct{ Component struct{ Name string } }
		Components             []struct {
			Name, Version, PURL string
			Properties          []struct{ Name, Value string }
		}
		Dependencies []struct{ DependsOn []string }
	}
	if err := json.Unmarshal(goCommand(t, "-C", "../tools/sbom", "run", ".", binary), &bill); err != nil {
		t.Fatal(err)
	}
	if bill.BOMFormat != "CycloneDX" || bill.SpecVersion == "" || bill.Metadata.Component.Name != "github.com/gatehouse-auth/gatehouse" {
		t.Errorf("%s %s of %q", bill.BOMFormat, bill.SpecVersion, bill.Metadata.Component.Name)
	}
	linked := map[string]string{} // the sum of each module
	for _, m := range regexp.MustCompile(`(?m)^\tdep\t(\S+)\t(\S+)\t(\S+)$`).FindAllStringSubmatch(string(goCommand(t, "version", "-m", binary)), -1) {
		linked["pkg:golang/"+m[1]+"@"+m[2]] = m[3]
	}
	for _, c := range bill.Components {
		sum, known := linked[c.PURL]
		switch {
		case c.Name == "std":
		case !known || c.PURL != "pkg:golang/"+c.Name+"@"+c.Version:
			t.Errorf("%s is named and not linked", c.PURL)
		case len(c.Properties) != 1 || c.Properties[0].Value != sum:
			t.Errorf("%s has the sum %v, want %s", c.PURL, c.Properties, sum)
		}
		delete(linked, c.PURL)
	}
	if len(bill.Components) < 20 || len(linked) > 0 {
		t.Errorf("%d components; these are linked and not named: %v", len(bill.Components), linked)
	}
	if len(bill.Dependencies) != 1 || len(bill.Dependencies[0].DependsOn) != len(bill.Components) {
		t.Error("the binary does not depend on all of its components")
	}
	if !regexp.MustCompile(`(?m)^sbom: build .*\n\t.*tools/sbom`).MatchString(readFile(t, "Makefile")) {
		t.Error("make sbom is gone")
	}
}

// CI fails on a vulnerability and on a secret. Only where the database of vulnerabilities
// can't be reached it goes on, and says so.
func TestASVS_V15_2_1_V13_3_1_TheScansOfCI(t *testing.T) {
	ci := readFile(t, ".ci/run")
	tests := strings.Index(ci, "make --no-print-directory test")
	for _, step := range []string{"make --no-print-directory secrets", "make --no-print-directory vulnerabilities"} {
		at := strings.Index(ci, "\n"+step+"\n")
		if at < 0 || at > tests || !strings.Contains(ci, "set -euo pipefail") {
			t.Errorf(".ci/run does not stop at a failure of %q, before the tests", step)
		}
	}
	for name, c := range map[string]struct {
		says         string
		status, want int
		unchecked    bool
	}{
		"no finding": {"No vulnerabilities found.", 0, 0, false},
		"a finding":  {"Vulnerability #1: GO-2026-0001", 3, 3, false},
		"out of reach": {`govulncheck: fetching vulnerabilities: Get "https://vuln.go.dev/index/db.json.gz": dial tcp: lookup vuln.go.dev: no such host`, 1, 0,
			true},
		"kept out": {`govulncheck: fetching vulnerabilities: HTTP GET https://vuln.go.dev/index/modules.json.gz returned unexpected status: 403 Forbidden`,
			1, 0, true},
		"does not compile":  {"govulncheck: loading packages: there are errors with the provided package patterns", 1, 1, false},
		"a finding of that": {"Vulnerability #1: GO-2026-0001\ngovulncheck: fetching vulnerabilities: odd", 3, 3, false},
	} {
		stub := filepath.Join(t.TempDir(), "govulncheck")
		if err := os.WriteFile(stub, fmt.Appendf(nil, "#!/bin/sh\nprintf '%%s\\n' '%s'\nexit %d\n", c.says, c.status), 0o700); err != nil {
			t.Fatal(err)
		}
		run := exec.Command("../scripts/govulncheck", stub)
		out, err := run.CombinedOutput()
		if run.ProcessState == nil {
			t.Fatal(err)
		}
		if got := run.ProcessState.ExitCode(); got != c.want || strings.Contains(string(out), "NOT CHECKED") != c.unchecked ||
			!strings.Contains(string(out), c.says) {
			t.Errorf("%s: exit %d\n%s", name, got, out)
		}
	}
}

// The history is looked through where there is one; elsewhere the files are. A secret's
// exit code is the script's.
func TestASVS_V13_3_1_TheHistoryIsLookedThrough(t *testing.T) {
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, "scripts"), 0o700); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(home, "scripts", "secrets")
	if err := os.WriteFile(script, []byte(readFile(t, "scripts/secrets")), 0o700); err != nil { //nolint:gosec // a script
		t.Fatal(err)
	}
	stub := filepath.Join(home, "gitleaks")
	if err := os.WriteFile(stub, []byte("#!/bin/sh\necho \"$@\"\nexit 7\n"), 0o700); err != nil { //nolint:gosec // a script
		t.Fatal(err)
	}
	look := func() (string, int) {
		run := exec.Command(script, stub)
		run.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(home))
		out, _ := run.CombinedOutput()
		return string(out), run.ProcessState.ExitCode()
	}
	if out, status := look(); status != 7 || !strings.Contains(out, "NO HISTORY") || !strings.Contains(out, "dir ") {
		t.Errorf("without a history: %d\n%s", status, out)
	}
	if out, err := exec.Command("git", "init", "-q", home).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, status := look(); status != 7 || !strings.HasPrefix(out, "git ") || !strings.Contains(out, "--log-opts=--all") || !strings.Contains(out, "--redact") {
		t.Errorf("with a history: %d\n%s", status, out)
	}
}

// Every cookie that the server sets is in docs/headers.md, and every one there is set.
func TestASVS_V3_3_2_EveryCookieIsDescribed(t *testing.T) {
	described := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(gatehouse_\\w+)").FindAllStringSubmatch(section(t, "docs/headers.md", "Cookies"), -1) {
		described[m[1]] = true
	}
	for _, f := range product(t) {
		if !strings.HasPrefix(f.pkg, "internal/door/") {
			continue
		}
		for _, m := range regexp.MustCompile(`Cookie\s+= "(gatehouse_\w+)"`).FindAllStringSubmatch(readFile(t, f.path), -1) {
			if !described[m[1]] {
				t.Errorf("docs/headers.md does not name the cookie %s", m[1])
			}
			delete(described, m[1])
		}
	}
	for name := range described {
		t.Errorf("docs/headers.md names the cookie %s, which nothing sets", name)
	}
}
