package internal_test

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// section returns what stands under a heading of a page, up to the next of its level.
func section(t *testing.T, path, heading string) string {
	t.Helper()
	_, rest, ok := strings.Cut(readFile(t, path), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("%s has no section %q", path, heading)
	}
	text, _, _ := strings.Cut(rest, "\n## ")
	return text
}

// Every way in is a route, and every call that answers with a session is a way in.
func TestASVS_V6_1_3_EveryWayInIsWritten(t *testing.T) {
	text := section(t, "docs/guides/accounts.md", "Every way in")
	api, pages := readFile(t, "internal/door/api/openapi.yaml"), ""
	for _, f := range product(t) {
		if f.pkg == "internal/door/page" {
			pages += readFile(t, f.path)
		}
	}
	written := map[string]bool{}
	for _, m := range regexp.MustCompile("`(GET|POST) (/[^`]*)`").FindAllStringSubmatch(text, -1) {
		route := m[1] + " " + m[2]
		written[route] = true
		known := strings.Contains(pages, m[2]+`"`)
		if strings.HasPrefix(m[2], "/v1/") {
			known = strings.Contains(operationOf(api, m[2], m[1]), "operationId")
		}
		if !known {
			t.Errorf("accounts.md names %s, and there is no such route", route)
		}
	}
	for _, path := range regexp.MustCompile(`(?m)^  (/v1/[^:]+):$`).FindAllStringSubmatch(api, -1) {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
			if strings.Contains(operationOf(api, path[1], method), "#/components/responses/TokensOrCookies") && !written[method+" "+path[1]] {
				t.Errorf("%s %s answers with a session, and accounts.md does not name it", method, path[1])
			}
		}
	}
}

// operationOf returns an operation's text in openapi.yaml.
func operationOf(api, path, method string) string {
	_, rest, _ := strings.Cut(api, "\n  "+path+":\n")
	rest, _, _ = strings.Cut(rest, "\n  /")
	_, rest, _ = strings.Cut("\n"+rest, "\n    "+strings.ToLower(method)+":\n")
	return regexp.MustCompile(`(?m)^    \w+:$`).Split(rest, 2)[0]
}

// The fields that the API shows of an account are in the table of who may change what.
func TestASVS_V8_1_2_EveryFieldHasItsRule(t *testing.T) {
	text := section(t, "docs/guides/accounts.md", "Who may read and change what")
	me := regexp.MustCompile(`(?s)\n    Me:\n.*?required: \[([^\]]*)\]`).FindStringSubmatch(readFile(t, "internal/door/api/openapi.yaml"))
	if me == nil {
		t.Fatal("openapi.yaml does not describe an account")
	}
	for _, field := range strings.Split(me[1], ", ") {
		if !strings.Contains(text, "`"+field+"`") {
			t.Errorf("accounts.md does not say who may read and change %s", field)
		}
	}
}

// The lives of sessions, in the guide, are the defaults of the settings.
func TestASVS_V7_1_1_V8_1_3_V8_1_4_SessionsAreDescribed(t *testing.T) {
	guide, settings := section(t, "docs/guides/sessions.md", "Lifetimes"), readFile(t, "docs/configuration.md")
	for _, name := range []string{"ACCESS_TOKEN_EXPIRE_MINUTES", "REFRESH_TOKEN_EXPIRE_DAYS", "SESSION_MAX_DAYS", "SESSIONS_PER_ACCOUNT"} {
		initial := regexp.MustCompile("\\| `" + name + "` \\| `(\\d+)`").FindStringSubmatch(settings)
		documented := regexp.MustCompile("`" + name + "` \\| (\\d+)").FindStringSubmatch(guide)
		if initial == nil || documented == nil || initial[1] != documented[1] {
			t.Errorf("%s: sessions.md says %v, the settings %v", name, documented, initial)
		}
	}
	signals := section(t, "docs/guides/sessions.md", "Signals, and what they change")
	for line := range strings.Lines(signals) {
		if cells := strings.Split(line, "|"); strings.HasPrefix(line, "| ") && len(cells) != 7 {
			t.Errorf("a signal needs its source, where it is kept, its threshold and what happens: %s", line)
		}
	}
	for _, what := range []string{"network", "device", "User-Agent", "auth_time", "LOCKOUT_AFTER", "block", "Sec-Fetch-Site"} {
		if !strings.Contains(signals, what) {
			t.Errorf("sessions.md does not say what becomes of %s", what)
		}
	}
}

// Every destination that a setting names is in the table of outbound connections, and every
// package that can dial is listed here.
func TestASVS_V13_1_1_WhatIsDialledIsWritten(t *testing.T) {
	text := section(t, "docs/operations.md", "Outbound connections")
	destination := regexp.MustCompile("(?m)^\\| `([A-Z_]*(?:_URL|_ENDPOINT|_DIRECTORY)|EVENT_FORWARD|EVENT_ANCHOR)` \\|")
	for _, m := range destination.FindAllStringSubmatch(readFile(t, "docs/configuration.md"), -1) {
		if name := m[1]; !slices.Contains([]string{"PUBLIC_URL", "ADMIN_URL", "HOME_URL"}, name) && !strings.Contains(text, "`"+name+"`") {
			t.Errorf("operations.md does not say when %s is connected to", name)
		}
	}
	dial := regexp.MustCompile(`^(net|tls)\.Dialer$|^http\.Transport$|^redis\.(NewClient|Options)$|^pgxpool\.New|^pgx\.Connect|^smtp\.NewClient|^acme\.Client$`)
	found := map[string]bool{}
	for _, f := range product(t) {
		selectorsOf(f, func(name string) {
			if dial.MatchString(name) {
				found[f.pkg] = true
			}
		})
	}
	known := []string{"internal/app", "internal/base/config", "internal/base/db", "internal/base/limit", "internal/base/mail", "internal/base/outbound",
		"internal/base/timeserver",
		"internal/feature/acme", "verify"}
	for _, pkg := range slices.Sorted(maps.Keys(found)) {
		if !slices.Contains(known, pkg) {
			t.Errorf("%s can dial: say in operations.md what, when and how, and name it here", pkg)
		}
	}
}

func TestASVS_V13_1_2_V15_1_3_V16_1_1_OperationsAreDescribed(t *testing.T) {
	for heading, words := range map[string][]string{
		"Logs: what, where, who reads, how long": {"standard error", "event_personal", "EVENT_FORWARD", "EVENT_ANCHOR", "Prometheus", "OTLP"},
		"Expensive operations, and what limits them": {"BCRYPT_COST", "DATABASE_MAX_CONNS", "Redis", "mail server",
			"events verify", "64 KiB", "CONNECTIONS_PER_ADDRESS"},
	} {
		text := section(t, "docs/operations.md", heading)
		for _, w := range words {
			if !strings.Contains(text, w) {
				t.Errorf("%s: nothing on %s", heading, w)
			}
		}
	}
}

// Every module that is named as risky is one that the binary is built from, and
// those that parse what strangers send are named.
func TestASVS_V15_1_1_V15_1_4_V15_1_5_RisksAreNamed(t *testing.T) {
	text, mod := readFile(t, "docs/dependencies.md"), readFile(t, "go.mod")
	for _, m := range regexp.MustCompile(`(?m)^\| ([a-z][a-z.]+/[^ ]+|go\.opentelemetry[^ ]+) \|`).FindAllStringSubmatch(text, -1) {
		if !strings.Contains(mod, m[1]) {
			t.Errorf("dependencies.md names %s, which go.mod does not", m[1])
		}
	}
	for _, module := range []string{"go-jose", "x/crypto", "pgx", "sqlite", "go-mail", "go-redis", "yaml"} {
		if !strings.Contains(text, module) {
			t.Errorf("dependencies.md does not name %s", module)
		}
	}
	deadlines := section(t, "SECURITY.md", "Vulnerable dependencies")
	for _, severity := range []string{"critical", "high", "others"} {
		if !regexp.MustCompile(severity + `[^|]*\| \d+ days \| \d+ days \|`).MatchString(deadlines) {
			t.Errorf("SECURITY.md gives no deadline for what is %s", severity)
		}
	}
}

func TestASVS_V3_1_1_V3_7_5_V12_1_4_V12_1_5_BrowsersAndCertificatesAreDescribed(t *testing.T) {
	text := section(t, "docs/headers.md", "What browsers must support")
	for _, feature := range []string{"HTTPS", "cookies", "SameSite", "Sec-Fetch-Site", "Content-Security-Policy", "JavaScript"} {
		if !strings.Contains(text, feature) {
			t.Errorf("headers.md does not say what happens without %s", feature)
		}
	}
	text = section(t, "docs/guides/tls.md", "Revocation, and names in the clear")
	for _, word := range []string{"OCSP", "Encrypted Client Hello"} {
		if !strings.Contains(text, word) {
			t.Errorf("tls.md does not mention %s", word)
		}
	}
}
