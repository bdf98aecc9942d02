package ui

import (
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/locale"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// Markup is what stands in a page as it is: texts of the catalogue with their markup, and what html/template has made.
// Nothing else becomes one.
type Markup = template.HTML

// View is one page on its way to one person: the dot of every template. What the page itself shows is D.
type View struct {
	// L is the language.
	L *locale.Language
	// D is what the page's own template shows.
	D any
	// Problem is what went wrong, if something did.
	Problem *Problem
	// Nonce is on all that the page loads.
	Nonce string
	// CSRF is the token of the session's forms; empty for nobody.
	CSRF string
	// Side is the side bar of the desk.
	Side *Side
	// FormTo is another origin that the page's form may lead to.
	FormTo string
	// FrameSelf allows a frame of our own.
	FrameSelf bool

	kit     *Kit
	at      *url.URL // of the request
	chosen  bool     // by the link in the footer, or by an application: it is kept
	icons   []string
	modules []string
}

// Problem is what went wrong, and where.
type Problem struct {
	// Level is bad, or warn for what passes by itself.
	Level string
	// Title is what happened, Text what to do about it.
	Title string
	Text  template.HTML
	// Field is the name of the field to blame, if one is; Form tells its form from others of the page. Focus is the
	// field that is typed into next, if none is to blame; without one the note gets the focus.
	Field, Form, Focus string
	// Wait: the page's main button has to wait. It is told so, and counts down.
	Wait time.Duration
}

// langCookie keeps the language that a browser was switched to.
const langCookie = "gatehouse_lang"

// langLife is for how long it is kept.
const langLife = 365 * 24 * time.Hour

// View begins a page for a request. The language is the one that the footer's switch chose, with this request
// or an earlier one, or that an application asks for (ui_locales of OpenID Connect); then the person's own,
// as far as it is known; then what the browser prefers.
func (k *Kit) View(r *http.Request, own ...string) *View {
	v := k.view(r.URL)
	preferred := []string{}
	query := r.URL.Query()
	if l := locale.Named(query.Get("lang")); l != nil {
		v.L, v.chosen = l, true
		return v
	}
	if asked := query.Get("ui_locales"); asked != "" {
		preferred = append(preferred, strings.ReplaceAll(asked, " ", ","))
	}
	if found := r.CookiesNamed(k.langCookie()); len(found) == 1 {
		preferred = append(preferred, found[0].Value)
	}
	v.L = locale.Match(append(append(preferred, own...), r.Header.Get("Accept-Language"))...)
	return v
}

func (k *Kit) view(at *url.URL) *View {
	if at == nil {
		at = &url.URL{Path: "/"}
	}
	return &View{kit: k, at: at, L: locale.Default(), Nonce: secret.Random{}.Text(16)}
}

func (k *Kit) langCookie() string {
	if k.Secure {
		return "__Host-" + langCookie
	}
	return langCookie
}

// KeepLanguage has the browser keep a language: the one that a person chose for their account.
func (v *View) KeepLanguage(w http.ResponseWriter, l *locale.Language) {
	v.L, v.chosen = l, true
	v.keepLanguage(w)
}

func (v *View) keepLanguage(w http.ResponseWriter) {
	if !v.chosen {
		return
	}
	v.chosen = false
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure is false only for development over plain HTTP
		Name: v.kit.langCookie(), Value: v.L.Tag, Path: "/", MaxAge: int(langLife / time.Second),
		Secure: v.kit.Secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// T is a text of the catalogue in the page's language, without markup: for attributes, titles and parts.
func (v *View) T(key string, args ...any) string { return v.L.Text(key, args...) }

// H is a text of the catalogue with its markup.
func (v *View) H(key string, args ...any) template.HTML { return v.L.HTML(key, args...) }

// Service is what people know the service as.
func (v *View) Service() string { return v.kit.Service }

// Icon draws an icon; class is added to its own, such as "big" or "turn" (mirrored right to left).
func (v *View) Icon(name string, class ...string) template.HTML {
	v.use(name)
	return template.HTML(`<svg class="` + template.HTMLEscapeString(strings.Join(append([]string{"i"}, class...), " ")) + //nolint:gosec // escaped
		`" aria-hidden="true"><use href="#` + template.HTMLEscapeString(name) + `"/></svg>`)
}

// Uses puts icons into the page that a script will draw.
func (v *View) Uses(names ...string) string {
	for _, name := range names {
		v.use(name)
	}
	return ""
}

func (v *View) use(name string) {
	if icons[name] == "" {
		panic("ui: there is no icon " + name)
	}
	if !slices.Contains(v.icons, name) {
		v.icons = append(v.icons, name)
	}
}

// Module has the page load one of the kit's modules.
func (v *View) Module(name string) string {
	if v.kit.urls[name] == "" {
		panic("ui: there is no module " + name)
	}
	if !slices.Contains(v.modules, name) {
		v.modules = append(v.modules, name)
	}
	return ""
}

func (v *View) moduleTags() string {
	var b strings.Builder
	for _, name := range append([]string{"gatehouse.js"}, v.modules...) {
		blocking := ""
		if name == "link.js" || name == "live.js" || name == "passkey.js" { // or the page would move under the eyes of whoever reads it
			blocking = ` blocking="render"`
		}
		b.WriteString(`<script type="module" src="` + v.kit.urls[name] + `" nonce="` + v.Nonce + `"` + blocking + `></script>`)
	}
	return b.String()
}

func (v *View) sprite() string {
	var b strings.Builder
	for _, name := range v.icons {
		b.WriteString(icons[name])
	}
	if b.Len() == 0 {
		return ""
	}
	return "<svg hidden>" + b.String() + "</svg>"
}

// Modules and Sprite stand where the layouts put what the page will turn out to use.
func (v *View) Modules() template.HTML { return markModules }

// Sprite is where the icons' symbols go.
func (v *View) Sprite() template.HTML { return markSprite }

// Sheet is the style sheet's URL.
func (v *View) Sheet() string { return v.kit.urls["style"] }

// Logo is the URL of the operator's logo, or nothing, and LogoWidth how wide it is at a height of 28.
func (v *View) Logo() string { return v.kit.urls["logo"] }

// LogoWidth is in CSS pixels.
func (v *View) LogoWidth() int { return v.kit.logoSize[0] }

// Other is a language that the footer leads to.
type Other struct{ Tag, Name, Href string }

// Others are the languages that the page is not in, each with the address of this page in it.
func (v *View) Others() []Other {
	var out []Other
	for _, l := range locale.All() {
		if l == v.L {
			continue
		}
		query := v.at.Query()
		query.Set("lang", l.Tag)
		query.Del("ui_locales")
		out = append(out, Other{l.Tag, l.Name, "?" + query.Encode()})
	}
	return out
}

// Time is a moment as an element: in UTC until the script has put it into the person's zone.
func (v *View) Time(t time.Time) template.HTML {
	text := template.HTMLEscapeString(v.L.DateTime(t))
	return template.HTML(`<time datetime="` + t.UTC().Format(time.RFC3339) + `">` + text + `</time>`) //nolint:gosec // escaped
}

// Stamp is a moment as the desk writes it: in UTC, in a layout of package time.
func (v *View) Stamp(t time.Time, layout string) template.HTML {
	text := template.HTMLEscapeString(t.UTC().Format(layout))
	return template.HTML(`<time datetime="` + t.UTC().Format("2006-01-02T15:04:05.000Z") + `">` + text + `</time>`) //nolint:gosec // escaped
}

// Date is a day.
func (v *View) Date(t time.Time) string { return v.L.Date(t) }

// Wait is how long something takes as an element that counts down.
func (v *View) Wait(d time.Duration) template.HTML {
	seconds := strconv.FormatInt(int64(max(1, (d+time.Second-1)/time.Second)), 10)
	return template.HTML(`<span data-seconds="` + seconds + `">` + template.HTMLEscapeString(v.L.Duration(d)) + `</span>`) //nolint:gosec // escaped
}

// Logotype is the design's own logo.
func (v *View) Logotype() template.HTML {
	v.use("logo")
	return `<svg class="logo" aria-hidden="true"><use href="#logo"/></svg>`
}

// Waiting reports whether the page's main button has to wait.
func (v *View) Waiting() bool { return v.Problem != nil && v.Problem.Wait > 0 }

// Opens reports whether a form of the page is to be open: the one in which something went wrong.
func (v *View) Opens(form string) bool { return v.Problem != nil && v.Problem.Form == form }
