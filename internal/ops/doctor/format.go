package doctor

import (
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"strings"
)

// Format is how a report is written.
type Format string

// The formats.
const (
	Text     Format = "text"
	JSON     Format = "json"
	SARIF    Format = "sarif"
	HTML     Format = "html"
	Markdown Format = "markdown"
)

// Write writes a report.
func (r Report) Write(w io.Writer, f Format) error {
	switch f {
	case JSON:
		return indented(w, r)
	case SARIF:
		return indented(w, r.sarif())
	case HTML:
		return page.Execute(w, r)
	case Markdown:
		return r.markdown(w)
	}
	return r.text(w)
}

func indented(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// marks begin the lines of a text.
var marks = map[State]string{Failed: "✗", Unknown: "?", Accepted: "~", Passed: "✓", Excused: "–"}

func (r Report) text(w io.Writer) error {
	var b strings.Builder
	for _, f := range r.Findings {
		switch f.State {
		case Passed, Excused:
			fmt.Fprintf(&b, "%s %-9s %s: %s\n", marks[f.State], f.ID, f.Title, f.Evidence)
			continue
		}
		fmt.Fprintf(&b, "%s %-9s %s [%s, %s]\n            %s\n", marks[f.State], f.ID, f.Title, f.Severity, f.Rule, f.Evidence)
		if f.Accepted != nil {
			fmt.Fprintf(&b, "            accepted by %s until %s: %s\n", f.Accepted.Owner, f.Accepted.Expires, f.Accepted.Reason)
		} else if f.Mend != "" {
			fmt.Fprintf(&b, "            → %s\n", f.Mend)
		}
	}
	for _, s := range r.Stale {
		fmt.Fprintf(&b, "! baseline  %s\n", s)
	}
	_, err := fmt.Fprintf(w, "%s\n%s\n", b.String(), r.Summary())
	return err
}

// Summary says in a line how many checks found what.
func (r Report) Summary() string {
	checks := "checks"
	if len(r.Findings) == 1 {
		checks = "check"
	}
	return fmt.Sprintf("%d %s: %d failed, %d could not be checked, %d accepted, %d passed, %d do not apply.", len(r.Findings), checks, r.Count(Failed),
		r.Count(Unknown), r.Count(Accepted), r.Count(Passed), r.Count(Excused))
}

// cell makes text fit into a cell of Markdown, and be no markup.
var cell = strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;", "*", `\*`, "_", `\_`, "`", "\\`", "[", `\[`)

func (r Report) markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Checks of %s\n\n%s, Gatehouse %s. %s\n\n| state | severity | check | found | to mend it | controls |\n|---|---|---|---|---|---|\n",
		cell.Replace(r.Service), r.At.Format("2006-01-02 15:04 UTC"), cell.Replace(r.Version), r.Summary())
	for _, f := range r.Findings {
		mend := f.Mend
		if f.Accepted != nil {
			mend = "accepted by " + f.Accepted.Owner + " until " + f.Accepted.Expires + ": " + f.Accepted.Reason
		}
		fmt.Fprintf(&b, "| %s | %s | %s: %s | %s | %s | %s |\n", f.State, f.Severity, f.Rule, cell.Replace(f.Title), cell.Replace(f.Evidence), cell.Replace(mend),
			f.Controls)
	}
	for _, s := range r.Stale {
		fmt.Fprintf(&b, "\nBaseline: %s\n", cell.Replace(s))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// String names all controls on a line.
func (c Controls) String() string {
	var out []string
	for _, of := range []struct {
		name string
		list []string
	}{{"ASVS", c.ASVS}, {"NIST", c.NIST}, {"CSF", c.CSF}, {"SOC 2", c.SOC2}, {"ISO 27001", c.ISO27001}, {"PCI DSS", c.PCI}} {
		if len(of.list) > 0 {
			out = append(out, of.name+" "+strings.Join(of.list, " "))
		}
	}
	return strings.Join(out, "; ")
}

// page is a report that stands by itself: no script, no style sheet to fetch.
var page = template.Must(template.New("report").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Checks of {{.Service}}</title>
<style>
body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1a1d21;background:#fff}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.5rem .75rem;border-bottom:1px solid #d8dce1}
.failed{color:#a3171b;font-weight:600}.unknown{color:#7a4b00;font-weight:600}.passed{color:#0c6b3c}code{overflow-wrap:anywhere}small{color:#565d66}
@media(prefers-color-scheme:dark){body{color:#e8eaed;background:#14171a}th,td{border-color:#343a40}
.failed{color:#ff8f8f}.unknown{color:#ffc46b}
.passed{color:#6fd6a0}small{color:#a5adb5}}
</style></head><body>
<h1>Checks of {{.Service}}</h1>
<p>{{.At.Format "2006-01-02 15:04"}} UTC, Gatehouse {{.Version}}. {{.Summary}}</p>
<table><thead><tr><th scope="col">State</th><th scope="col">Check</th><th scope="col">Found</th><th scope="col">To mend it</th></tr></thead><tbody>
{{range .Findings}}<tr><td class="{{.State}}">{{.State}}<br><small>{{.Severity}}</small></td><td>{{.Title}}<br><code>{{.Rule}}</code></td>
<td>{{.Evidence}}</td>
<td>{{with .Accepted}}Accepted by {{.Owner}} until {{.Expires}}: {{.Reason}}{{else}}{{.Mend}}{{end}}<br><small>{{.Controls}}</small></td></tr>
{{end}}</tbody></table>
{{range .Stale}}<p>Baseline: {{.}}</p>{{end}}
</body></html>
`))
