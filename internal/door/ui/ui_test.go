package ui

import (
	"html/template"
	"math"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/net/html"
)

func newKit(t *testing.T, c Config) *Kit {
	t.Helper()
	c.Service = "Tidewater"
	k, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// everything is a page with every part.
var everything = fstest.MapFS{"templates/all.html": {Data: []byte(`{{template "desk" .}}
{{define "title"}}{{.T "sign-in"}}{{end}}
{{define "main"}}
{{template "problem" .}}
<form method="post" action="/x">{{template "csrf" .}}
{{template "field" (part . "name" "code" "label" "Code" "code" true "max" 12 "hint" "Eight" "required" true)}}
{{template "address" (part . "name" "email" "value" .D.Evil "required" true "autofocus" true)}}
{{template "password" (part . "name" "password" "label" (.T "password") "forgot" "/forgot")}}
{{template "password" (part . "name" "new" "label" (.T "password.new") "autocomplete" "new-password" "strength" "/s" "rules" .D.Rules)}}
{{template "select" (part . "name" "role" "label" "Role" "options" .D.Options)}}
{{template "submit" (part . "button" .D.Evil "icon" "check" "wide" true)}}</form>
{{template "note" (part . "level" "good" "icon" "check" "title" .D.Evil "text" .D.Evil "role" "status" "links" .D.Links)}}
{{template "tag" (part . "level" "warn" "text" .D.Evil)}}
{{template "empty" (part . "icon" "bell" "title" .D.Evil "text" .D.Evil "href" "/" "button" "Go")}}
{{template "copy" (part . "id" "rid" "text" .D.Evil)}}
{{template "table" (.With .D.Table)}}{{template "pager" (.With .D.Pager)}}{{template "timeline" (.With .D.Moments)}}
{{template "chart" (.With .D.Chart)}}{{template "qr" (.With .D.QR)}}{{template "ask" (.With .D.Ask)}}
{{.Time .D.At}} {{.Date .D.At}} {{.Wait .D.Left}} {{.H "ask.number" "number" .D.Evil}}
{{end}}`)}}

// evil is what a person might call a device, a client or themselves.
const evil = `"><script>window.hacked=1</script><img src=x onerror=window.hacked=1>{{.}}` + "\x00modules\x00\x00sprite\x00"

type all struct {
	Evil    string
	Rules   []Rule
	Options []Option
	Links   []Link
	Table   Table
	Pager   Pager
	Moments []Moment
	Chart   Chart
	QR      QR
	Ask     Ask
	At      time.Time
	Left    time.Duration
}

func allParts() all {
	table := Table{Caption: evil, Columns: []Column{{evil, "num"}},
		Rows: []Row{{Cells: []Cell{{Text: evil, Small: evil, Href: "/x", Tag: evil, Level: "bad"}, {Text: evil, Code: true}}}}}
	return all{
		Evil: evil, Rules: []Rule{{evil, "password_too_short"}}, Options: []Option{{Value: evil, Text: evil}}, Links: []Link{{"/x", evil, true}},
		Table: table, Pager: Pager{"/n", "/o", evil},
		Moments: []Moment{{Day: evil}, {At: time.Unix(0, 0), Icon: "key", Text: evil, Small: evil, Raw: evil, Bad: true}},
		Chart:   Chart{Title: evil, Figure: "6,204", Label: evil, Now: []float64{1, 5, 2}, Before: []float64{2, 3}, Bound: 4, From: "a", Middle: "b", To: evil},
		Ask: Ask{Title: evil, Text: template.HTML("<b>x</b>"), Table: &table, Stays: []string{evil}, Action: "/a", Cancel: "/c",
			Hidden: map[string]string{"id": evil},
			Reason: true, Number: 3214, Button: evil, Danger: true},
		At: time.Unix(1e9, 0), Left: time.Hour,
	}
}

func drawAll(t *testing.T, k *Kit, change func(v *View)) string {
	t.Helper()
	s, err := k.Parse(everything, nil)
	if err != nil {
		t.Fatal(err)
	}
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/x?step=1", nil)
	v := k.View(r)
	v.Side = &Side{Find: "/admin/people", FindText: evil,
		Groups: []SideGroup{{Links: []SideLink{{Href: "/admin", Text: evil, Icon: "view", Current: true, Tag: "2", TagText: evil}}}, {ID: "run", Title: evil}},
		Name:   evil, Initials: "NH", Role: evil, Installation: evil, Unlocked: time.Minute, SignIn: "/login"}
	change(v)
	if err := s.Render(w, 200, v, "all", allParts()); err != nil {
		t.Fatal(err)
	}
	return w.Body.String()
}

// TEST-5: whatever is called something evil, it is text in every part of the kit. What is drawn has the
// elements that it has without the evil.
func TestTEST5_EveryPartIsInert(t *testing.T) {
	k := newKit(t, Config{})
	out := drawAll(t, k, func(v *View) { v.Problem = &Problem{Level: "bad", Title: evil, Text: "x"} })
	doc, err := html.Parse(strings.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	scripts := 0
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if n.Data == "img" {
			t.Errorf("an image was smuggled in")
		}
		if n.Data == "script" {
			scripts++
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" {
				t.Errorf("<%s> has %s", n.Data, a.Key)
			}
		}
	}
	if scripts != 3 { // gatehouse.js, desk.js, strength.js
		t.Errorf("%d scripts", scripts)
	}
	if strings.Count(out, "\x00") != 0 {
		t.Error("NUL comes through")
	}
}

// The page carries the icons that it uses, once each, and no others.
func TestIconsThatAreUsed(t *testing.T) {
	out := drawAll(t, newKit(t, Config{}), func(*View) {})
	defined, used := map[string]bool{}, map[string]bool{}
	for _, found := range regexp.MustCompile(`<symbol id="([^"]+)"`).FindAllStringSubmatch(out, -1) {
		if defined[found[1]] {
			t.Errorf("%s is defined twice", found[1])
		}
		defined[found[1]] = true
	}
	for _, found := range regexp.MustCompile(`<use href="#([^"]+)"`).FindAllStringSubmatch(out, -1) {
		used[found[1]] = true
	}
	used["cross"], used["check"] = true, true // which the script draws
	for name := range used {
		if !defined[name] {
			t.Errorf("%s is used and not defined", name)
		}
	}
	for name := range defined {
		if !used[name] {
			t.Errorf("%s is defined and not used", name)
		}
	}
}

// A field to blame is marked, described and focused; without one the note is. A limit has the button wait.
func TestProblems(t *testing.T) {
	k := newKit(t, Config{})
	out := drawAll(t, k, func(v *View) { v.Problem = &Problem{Level: "bad", Text: "Nine is one too many.", Field: "code"} })
	if !strings.Contains(out, `aria-invalid="true" aria-describedby="code-err" autofocus`) || !strings.Contains(out, `id="code-err"`) ||
		strings.Contains(out, `id="problem"`) || strings.Count(out, "autofocus") != 2 { // and the dialog's title
		t.Error(out)
	}
	out = drawAll(t, k, func(v *View) { v.Problem = &Problem{Level: "warn", Title: "Too many", Text: "x", Wait: time.Minute} })
	if !strings.Contains(out, `id="problem" role="alert"`) || !strings.Contains(out, `class="btn main wide" aria-disabled="true"`) {
		t.Error(out)
	}
}

// HDR-1: the policy names no inline code, and the nonce of each answer is its own, and on all that loads.
func TestHDR1_Policy(t *testing.T) {
	k := newKit(t, Config{})
	s, err := k.Parse(everything, nil)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for range 50 {
		w := httptest.NewRecorder()
		v := k.View(httptest.NewRequest("GET", "/", nil))
		if err := s.Render(w, 200, v, "all", allParts()); err != nil {
			t.Fatal(err)
		}
		csp := w.Header().Get("Content-Security-Policy")
		if strings.Contains(csp, "unsafe") || strings.Contains(csp, "sha256-") || !strings.Contains(csp, "'nonce-"+v.Nonce+"'") || seen[v.Nonce] ||
			!strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "base-uri 'none'") || !strings.Contains(csp, "report-to csp") {
			t.Fatal(csp)
		}
		seen[v.Nonce] = true
		for _, tag := range regexp.MustCompile(`<(script|link rel="stylesheet")[^>]*>`).FindAllString(w.Body.String(), -1) {
			if !strings.Contains(tag, `nonce="`+v.Nonce+`"`) {
				t.Fatal(tag)
			}
		}
	}
}

// The style sheet keeps its size (agreements: 24 KB), and the scripts of a page theirs. What they are called changes
// with what they hold, and may be kept for ever.
func TestAssets(t *testing.T) {
	k, branded := newKit(t, Config{}), newKit(t, Config{Color: "#ffc400"})
	if k.urls["style"] == branded.urls["style"] || k.urls["gatehouse.js"] != branded.urls["gatehouse.js"] {
		t.Error(k.urls, branded.urls)
	}
	get := func(k *Kit, url string) *httptest.ResponseRecorder {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", url, nil)
		r.SetPathValue("file", strings.TrimPrefix(url, "/assets/"))
		if err := k.Asset(w, r); err != nil {
			t.Errorf("%s: %v", url, err)
		}
		return w
	}
	most := map[string]int{"style": 24 << 10, "gatehouse.js": 3747, "desk.js": 3747, "link.js": 3747,
		"live.js": 3747, "passkey.js": 3747, "send.js": 3747, "signal.js": 3747, "strength.js": 3747}
	for called, url := range branded.urls {
		w := get(branded, url)
		if n := w.Body.Len(); n == 0 || n > most[called] {
			t.Errorf("%s has %d bytes, of %d", called, n, most[called])
		}
		if w.Header().Get("Cache-Control") != "public, max-age=31536000, immutable" {
			t.Error(w.Header())
		}
	}
	if w := get(k, "/assets/icon.svg"); w.Header().Get("Content-Type") != "image/svg+xml" {
		t.Error(w.Header())
	}
	r := httptest.NewRequest("GET", "/assets/x", nil)
	for _, name := range []string{"", ".", "..", "gatehouse.js", "../kit.go", "tokens.css"} {
		r.SetPathValue("file", name)
		if err := k.Asset(httptest.NewRecorder(), r); err == nil {
			t.Errorf("%q is served", name)
		}
	}
}

// Over colours of all kinds, what is written on the brand and in its accent reads: WCAG's 4.5:1.
func TestBrandContrast(t *testing.T) {
	luminance := func(hex string) float64 {
		n, err := strconv.ParseUint(hex[1:], 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		return .2126*linear(uint8(n>>16)) + .7152*linear(uint8(n>>8)) + .0722*linear(uint8(n))
	}
	contrast := func(a, b string) float64 {
		x, y := luminance(a), luminance(b)
		return (math.Max(x, y) + .05) / (math.Min(x, y) + .05)
	}
	least := [3]float64{99, 99, 99}
	for r := 0; r < 256; r += 17 {
		for g := 0; g < 256; g += 17 {
			for b := 0; b < 256; b += 17 {
				color := "#" + strconv.FormatInt(int64(1<<24|r<<16|g<<8|b), 16)[1:]
				p, err := PaletteOf(color)
				if err != nil {
					t.Fatal(err)
				}
				for i, c := range []float64{contrast(p.Brand, p.On), contrast(p.Accent, "#eff0ec"), contrast(p.AccentDark, "#191d1b")} {
					least[i] = math.Min(least[i], c)
				}
			}
		}
	}
	if least[0] < 4.5 || least[1] < 4.5 || least[2] < 4.5 {
		t.Errorf("the least contrasts: on the brand %.2f, accent on light %.2f, on dark %.2f", least[0], least[1], least[2])
	}
	for _, bad := range []string{"teal", "#fff", "#0a6a65;}", "rgb(1,2,3)"} {
		if _, err := New(Config{Color: bad}); err == nil {
			t.Errorf("%q is taken for a colour", bad)
		}
	}
}

// A folder's templates are tried at the start: what can't be drawn, and what has no meaning, is told.
func TestTemplatesOfAFolder(t *testing.T) {
	try := func(files map[string]string) (string, error) {
		dir := t.TempDir()
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		k, err := New(Config{Folder: dir})
		if err != nil {
			return "", err
		}
		s, err := k.Parse(fstest.MapFS{"templates/one.html": {Data: []byte(`{{template "gate" .}}{{define "content"}}ours{{end}}`)}},
			map[string][]any{"one": {struct{ Name string }{"x"}}})
		if err != nil {
			return "", err
		}
		if err := k.Check(s); err != nil {
			return "", err
		}
		w := httptest.NewRecorder()
		err = s.Render(w, 200, k.View(httptest.NewRequest("GET", "/", nil)), "one", struct{ Name string }{"Ada"})
		return w.Body.String(), err
	}
	if out, err := try(map[string]string{"one.html": `{{template "gate" .}}{{define "content"}}theirs {{.D.Name}}{{end}}`}); err != nil ||
		!strings.Contains(out, "theirs Ada") {
		t.Error(out, err)
	}
	for what, files := range map[string]map[string]string{
		"a field that is none": {"one.html": `{{template "gate" .}}{{define "content"}}{{.D.Nothing}}{{end}}`},
		"a slip":               {"one.html": `{{template "gate" .}`},
		"a name of nothing":    {"onne.html": `x`},
		"too long":             {"one.html": strings.Repeat("x", 70<<10)},
	} {
		if _, err := try(files); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
	if _, err := New(Config{Folder: "/nowhere"}); err == nil {
		t.Error("a folder that is none is taken")
	}
}

func TestLogos(t *testing.T) {
	logo := func(text string) (*Kit, error) {
		name := filepath.Join(t.TempDir(), "logo")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return New(Config{Logo: name})
	}
	k, err := logo(`<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 50"><path d="M0 0"/></svg>`)
	if err != nil || k.logoSize != [2]int{56, 28} {
		t.Error(k, err)
	}
	for _, bad := range []string{"", "GIF89a", "<html></html>", `<svg></svg>`, `<svg viewBox="0 0 0 0"></svg>`, "\x89PNG\r\n\x1a\n", strings.Repeat("x", 20<<10)} {
		if _, err := logo(bad); err == nil {
			t.Errorf("%.20q is taken for a logo", bad)
		}
	}
}

// Reports of browsers are counted by directive, nothing of them is kept, and there is an end to them.
func TestReports(t *testing.T) {
	k := newKit(t, Config{})
	send := func(body string) error {
		return k.Report(httptest.NewRecorder(), httptest.NewRequest("POST", ReportPath, strings.NewReader(body)))
	}
	one := `{"type":"csp-violation","body":{"effectiveDirective":"script-src-elem","blockedURL":"https://evil.example"}}`
	if err := send("[" + one + "," + one + `,{"type":"csp-violation","body":{"effectiveDirective":"<script>"}},{"type":"deprecation"}]`); err != nil {
		t.Fatal(err)
	}
	if got := k.Reports(); got["script-src-elem"] != 2 || got["other"] != 1 {
		t.Error(got)
	}
	for _, bad := range []string{"", "{}", "[]", "x", "[" + strings.Repeat(one+",", 500) + one + "]"} {
		if send(bad) == nil {
			t.Errorf("%.20q is taken", bad)
		}
	}
	for range reportsAMinute {
		_ = send("[" + one + "]")
	}
	if send("["+one+"]") == nil {
		t.Error("there is no end to them")
	}
}

// The language: the footer's switch, then ui_locales, an earlier switch, the person's own, the browser's.
func TestLanguages(t *testing.T) {
	k := newKit(t, Config{Secure: true})
	for _, c := range []struct{ url, cookie, own, accept, want string }{
		{"/", "", "", "", "en"}, {"/", "", "", "fr-CA,en;q=0.5", "fr"}, {"/", "", "es", "fr", "es"}, {"/", "de", "es", "fr", "de"},
		{"/?ui_locales=ar+en", "de", "es", "fr", "ar"}, {"/?lang=fr&ui_locales=ar", "de", "es", "es", "fr"}, {"/?lang=xx", "", "", "de", "de"},
	} {
		r := httptest.NewRequest("GET", c.url, nil)
		r.Header.Set("Accept-Language", c.accept)
		if c.cookie != "" {
			r.Header.Set("Cookie", "__Host-gatehouse_lang="+c.cookie)
		}
		if got := k.View(r, c.own).L.Tag; got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
	s, err := k.Parse(everything, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	if err := s.Render(w, 200, k.View(httptest.NewRequest("GET", "/x?lang=ar&step=1", nil)), "all", allParts()); err != nil {
		t.Fatal(err)
	}
	if out := w.Body.String(); !strings.Contains(out, `<html lang="ar" dir="rtl">`) ||
		!strings.HasPrefix(w.Header().Get("Set-Cookie"), "__Host-gatehouse_lang=ar;") {
		t.Errorf("%s\n%s", w.Header(), out)
	}
}
