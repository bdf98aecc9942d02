// Package ui is the kit that all pages are made of: layouts, parts, icons, charts, the style sheet, the modules
// of script and the brand. The doors page and console write what is a page's own, and nothing else. The
// design is described in DESIGN.md ("Pages"); markup and class names are its.
//
// # A page in five minutes
//
// A door embeds its templates, parses them once, and renders:
//
//	//go:embed templates/*.html
//	var files embed.FS
//
//	pages, err := kit.Parse(files, nil)                    // once, at the start
//	v := kit.View(r, account.Locale)                       // language: switch, ui_locales, the person's, the browser's
//	v.CSRF = cookies.CSRF(session)
//	return pages.Render(w, http.StatusOK, v, "people", peoplePage{…})
//
// A template begins with its layout and defines what the layout asks for. The dot is the [View]; what
// the page itself was given is .D:
//
//	{{template "desk" .}}
//	{{define "title"}}{{.T "people.title"}}{{end}}
//	{{define "main"}}
//	<div class="head"><div><h1>{{.T "people.title"}}</h1><p>{{.T "people.count" "n" .D.Count}}</p></div></div>
//	{{template "table" (.With .D.Table)}}
//	{{template "pager" (.With .D.Pager)}}
//	{{end}}
//
// Within range and with the page is $: {{range .D.List}}{{$.Icon "mail"}} {{.Name}}{{end}}.
//
// # Layouts
//
//	gate   one card, one question: defines title, content; may define aside
//	home   a bar and what is longer: defines title, main (the whole <main>); may define bar
//	desk   the console: defines title, main (what is inside); takes View.Side
//
// Any may define meta, which stands at the end of <head>.
//
// # Words
//
// No sentence stands in a template; a test fails on one. {{.T "key"}} is plain text (attributes, titles,
// parts), {{.H "key" "name" .D.Name}} has markup. Keys and how texts are written: package locale; the console's are
// in internal/base/locale/texts/*/console.json, in all five languages. A key stands in the source as a
// whole, never put together. Times: {{.Time .At}} (people see their own zone, the desk stays in UTC), {{.Date .At}},
// and {{.Wait .D.Left}} counts down.
//
// # Parts
//
// Parts of a form take pairs; an unknown name is an error when the page is drawn:
//
//	{{template "field" (part . "name" "q" "label" (.T "find") "value" .D.Q "hint" (.T "find.hint") "autofocus" true)}}
//	{{template "address" (part . "name" "email" "value" .D.Email "required" true)}}
//	{{template "password" (part . "name" "password" "label" (.T "password") "forgot" "/forgot")}}
//	{{template "password" (part . … "autocomplete" "new-password" "strength" "/v1/password/strength" "rules" .D.Rules)}}
//	{{template "select" (part . "name" "role" "label" … "options" .D.Roles)}}
//	{{template "submit" (part . "button" (.T "save") "icon" "check" "wide" true "danger" false)}}
//	{{template "note" (part . "level" "good" "icon" "check" "title" … "text" (.H …) "role" "status")}}
//	{{template "tag" (part . "level" "warn" "text" (.T "locked"))}}
//	{{template "empty" (part . "icon" "bell" "title" … "text" … "href" … "button" …)}}
//	{{template "copy" (part . "id" "rid" "text" .D.ID)}}
//	{{template "csrf" .}}  {{template "problem" .}}
//
// Parts that Go makes are given with .With: "table" ([Table]), "pager" ([Pager]), "timeline" ([]Moment, see [Moment]),
// "chart" ([Chart]), "ask" ([Ask]). Rows, cards, facts and menus are plain markup: see parts.html of the design.
//
// What goes wrong is View.Problem ([Problem]): with a Field it is shown at that field, which gets the focus;
// without one {{template "problem" .}} shows it as a note. With Wait the main button waits, and counts down.
// Several forms on one page tell their fields apart by Form, given to the problem and the parts alike.
//
// # Icons
//
// {{.Icon "mail"}}, {{.Icon "next" "turn"}} (mirrored right to left), {{.Icon "user" "big"}}. The page carries
// those that it used, and no others. A name that is none panics in the first test.
//
// # Script and style
//
// Every page works without script. gatehouse.js is on all pages (show password, one submit, countdown, copy, codes,
// local times), desk.js on the desk: data-live on the search field asks for the same page as you type and
// replaces main > .card; dialog[open] becomes modal; data-key="/" (or "?") is what a key goes to; a form with
// data-keep that had to wait for a new sign-in has what was typed. A page asks for one
// more by {{.Module "link.js"}}. Another is a file in assets/, and a name in [New].
// There is one style sheet, of 24 KB at most (a test). Nothing is inline: the policy of [Set.Render] stops it.
//
// # A confirmation
//
// A GET shows the page with {{template "ask" (.With .D.Ask)}}; its form posts to Ask.Action with the CSRF token, the
// hidden fields, reason and number. With script the dialog is modal over the page behind it; without, it stands there.
// The handler of the post checks all of it again.
package ui
