package internal_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pageFiles returns the pages' templates or assets, by their names.
func pageFiles(t *testing.T, pattern string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("../internal/door/*/" + pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(paths), err)
	}
	files := map[string]string{}
	for _, p := range paths {
		files[strings.TrimPrefix(p, "../internal/door/")] = readFile(t, strings.TrimPrefix(p, "../"))
	}
	return files
}

// Scripts of the pages change text and values, and no more: they make no markup,
// run no text, listen to no other window, keep nothing, and read elements by the id
// that the page gave them.
func TestASVS_V3_2_2_V3_2_3_V3_5_5_V14_3_3_V15_3_6_ScriptsOfPages(t *testing.T) {
	never := map[string]*regexp.Regexp{
		"makes markup of text (V3.2.2)":                     regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|srcdoc|DOMParser|setHTMLUnsafe`),
		"runs text (V1.3.2)":                                regexp.MustCompile(`\beval\b|new Function|set(Timeout|Interval)\(\s*["'` + "`" + `]|javascript:`),
		"finds elements by what markup can name (V3.2.3)":   regexp.MustCompile(`document\.(all|forms|images|links|anchors|embeds)\b|window\[|getElementsByName`),
		"talks to other windows (V3.5.5)":                   regexp.MustCompile(`postMessage|["']message["']|onmessage|window\.(opener|parent|top)\b|BroadcastChannel`),
		"keeps something in the browser (V14.3.3)":          regexp.MustCompile(`localStorage|sessionStorage|indexedDB|\bcaches\b|document\.cookie|cookieStore|serviceWorker`),
		"makes objects of text (V15.3.6)":                   regexp.MustCompile(`JSON\.parse|\.json\(\)|__proto__|Object\.assign|setPrototypeOf`),
		"has a pattern, which could backtrack (V1.3.12)":    regexp.MustCompile(`RegExp|\.match\(|\.matchAll\(|\.search\(`),
		"loads from elsewhere (V3.6.1)":                     regexp.MustCompile(`https?://|import\s*\(|importScripts|["'` + "`" + `]//`),
		"keeps people from pasting a password (V6.2.7)":     regexp.MustCompile(`\bpaste\b|onpaste|clipboardData|beforeinput`),
		"has the name of a function from elsewhere (JSONP)": regexp.MustCompile(`callback|jsonp`),
	}
	// What a script may all the same, and why.
	allowed := map[string]string{
		"ui/assets/desk.js DOMParser":      "the same page of ours, asked again: what a DOMParser has read runs no script",
		"ui/assets/desk.js sessionStorage": "an application's settings, which say nothing of people, until the console's next page",
		"ui/assets/live.js DOMParser":      "rows of our own pages, the same way",
		"ui/assets/live.js onmessage":      "of an EventSource of ours: no window sends it",
		"ui/assets/passkey.js .json()":     "the same",
		"ui/assets/strength.js .json()":    "the answer of our own API: it is read, and merged into nothing",
	}
	for name, text := range pageFiles(t, "assets/*.js") {
		for what, re := range never {
			if found := re.FindString(text); found != "" && allowed[name+" "+found] == "" {
				t.Errorf("%s %s: %s", name, what, found)
			}
		}
	}
}

// Templates load what came with the program, hold no script of their own, and
// have no place for markup of others.
func TestASVS_V1_3_5_V3_6_1_TemplatesLoadTheirOwnFilesAlone(t *testing.T) {
	loads := regexp.MustCompile(`(?s)<(script|link|img|source|iframe|object|embed|form|use|base)\b[^>]*>`)
	where := regexp.MustCompile(`\b(?:src|href|action|data|srcset)="([^"]*)"`)
	for name, text := range pageFiles(t, "templates/*.html") {
		for _, tag := range loads.FindAllString(text, -1) {
			for _, m := range where.FindAllStringSubmatch(tag, -1) {
				if !strings.HasPrefix(m[1], "/") && !strings.HasPrefix(m[1], "{{") || strings.HasPrefix(m[1], "//") {
					t.Errorf("%s: %s", name, tag)
				}
				if strings.HasPrefix(tag, "<script") && !strings.HasPrefix(m[1], "/assets/") {
					t.Errorf("%s: %s is no file of ours", name, tag)
				}
			}
			if strings.HasPrefix(tag, "<iframe") && name == "page/templates/mails.html" && strings.Contains(tag, "sandbox") {
				continue // an email in development, in which nothing runs
			}
			if regexp.MustCompile(`^<(base|object|embed|iframe)\b`).MatchString(tag) {
				t.Errorf("%s: %s", name, tag)
			}
		}
	}
	for name, text := range pageFiles(t, "assets/*.css") {
		if found := regexp.MustCompile(`@import|url\(\s*["']?(https?:)?//|expression\(`).FindString(text); found != "" {
			t.Errorf("%s: %s", name, found)
		}
	}
}

// inline is what a policy without unsafe-inline stops.
var inline = regexp.MustCompile(`(?i)<style|\sstyle\s*=|\son[a-z]+\s*=|javascript:|<script[^>]*>\s*[^<\s]|<(object|embed|base)\b`)

// HDR-1, ASVS 3.4.3: no template counts on what the policy stops.
func TestHDR1_NothingInline(t *testing.T) {
	for name, text := range pageFiles(t, "templates/*.html") {
		if found := inline.FindString(text); found != "" {
			t.Errorf("%s has %q: no browser will run it. Put it into a file under assets", name, found)
		}
	}
}

// No answer is a call of a function that the client names.
func TestASVS_V3_5_6_NoJSONP(t *testing.T) {
	if found := regexp.MustCompile(`(?i)name: "?(callback|jsonp|cb)\b`).FindString(readFile(t, "internal/door/api/openapi.yaml")); found != "" {
		t.Errorf("openapi.yaml has a parameter %q", found)
	}
	for _, f := range product(t) {
		if strings.HasPrefix(f.pkg, "internal/door") && regexp.MustCompile(`"(callback|jsonp)"|application/javascript`).MatchString(readFile(t, f.path)) {
			t.Errorf("%s knows of callbacks", f.path)
		}
	}
}
