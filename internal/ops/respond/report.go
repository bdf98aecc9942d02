package respond

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feature/incident"
)

// Report is an incident as it is handed on: what happened, when, what was done, how long that took, and what was learned. It
// names no person but who acted.
type Report struct {
	Standing
	At      time.Time
	Service string
}

// Report returns the report of an incident. service is what the installation is called.
func (d *Desk) Report(s Standing, service string) Report {
	return Report{s, d.Now().UTC().Truncate(time.Second), service}
}

// took is how long it was from one time to another, in words; empty where one is not known.
func took(from, to time.Time) string {
	if from.IsZero() || to.IsZero() {
		return "not known yet"
	}
	d := to.Sub(from).Round(time.Minute)
	if d >= 24*time.Hour {
		return fmt.Sprintf("%d d %d h", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	}
	return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
}

// Fact is a line of the report's head.
type Fact struct{ Name, Value string }

// Facts are the times, and how long things took.
func (r Report) Facts() []Fact {
	state := "open"
	if !r.ClosedAt.IsZero() {
		state = "closed " + stamp(r.ClosedAt)
	}
	list := []Fact{
		{"State", state}, {"Began", stamp(r.BeganAt)}, {"Known", stamp(r.AwareAt)}, {"Opened", stamp(r.OpenedAt)},
		{"Contained", stamp(r.ContainedAt)}, {"Recovered", stamp(r.RecoveredAt)},
		{"Time to detect", took(r.BeganAt, r.AwareAt)}, {"Time to contain", took(r.AwareAt, r.ContainedAt)},
		{"Time to recover", took(r.AwareAt, r.RecoveredAt)},
		{"Authority to be told by", stamp(r.Due())}, {"People touched", fmt.Sprint(r.People)},
	}
	for i := range list {
		if list[i].Value == "" {
			list[i].Value = "not known yet"
		}
	}
	return list
}

// Act is an action as a report has it.
type Act struct {
	At, Does, Why, Who, Touched, State string
	happened                           bool
}

// Acts are the actions.
func (r Report) Acts() (list []Act) {
	for _, a := range r.Actions {
		about, _ := FindAbout(a.Does)
		who := a.Actor
		if a.ApprovedBy != "" {
			who += ", approved by " + a.ApprovedBy
		}
		list = append(list, Act{stamp(a.BeganAt), about.Text, a.Why, who, Touched(a.Touched).String(), string(a.State), a.Happened()})
	}
	return list
}

// TimelineLine is a line of the timeline, with its time as text.
type TimelineLine struct{ At, Text, Who string }

// Lines are the timeline.
func (r Report) Lines() (list []TimelineLine) {
	for _, e := range r.Timeline {
		list = append(list, TimelineLine{stamp(e.Time), e.Text, e.Actor})
	}
	return list
}

// Ticks are the checklist.
func (r Report) Ticks() (list []Fact) {
	for _, s := range incident.Steps {
		value := "not done"
		if d, ok := r.Done[s]; ok {
			value = "done " + stamp(d.At) + ", " + d.Actor
		}
		list = append(list, Fact{StepText(s), value})
	}
	return list
}

// When is when the report was made.
func (r Report) When() string { return stamp(r.At) }

// markdownText keeps a text of people's from being anything but text in Markdown.
var markdownText = strings.NewReplacer("\\", "\\\\", "|", "\\|",
	"<", "&lt;", ">", "&gt;", "[", "\\[", "]", "\\]", "*", "\\*", "_", "\\_", "`", "\\`", "#", "\\#",
	"\n", " ")

// Markdown writes the report as Markdown.
func (r Report) Markdown(w io.Writer) error {
	var b strings.Builder
	t := markdownText.Replace
	fmt.Fprintf(&b, "# %s: %s\n\n%s, as of %s.\n\n| | |\n|---|---|\n", r.Name(), t(r.Title), t(r.Service), r.When())
	for _, f := range r.Facts() {
		fmt.Fprintf(&b, "| %s | %s |\n", f.Name, t(f.Value))
	}
	b.WriteString("\n## What was done\n\n| when | what | why | by | touched | state |\n|---|---|---|---|---|---|\n")
	for _, a := range r.Acts() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", a.At, t(a.Does), t(a.Why), t(a.Who), t(a.Touched), a.State)
	}
	b.WriteString("\n## Timeline\n\n| when | what | by |\n|---|---|---|\n")
	for _, l := range r.Lines() {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", l.At, t(l.Text), t(l.Who))
	}
	b.WriteString("\n## Checklist\n\n")
	for _, f := range r.Ticks() {
		fmt.Fprintf(&b, "- %s %s.\n", f.Name, t(f.Value))
	}
	lessons := "Not written yet."
	if r.Lessons != "" {
		lessons = strings.ReplaceAll(markdownText.Replace(strings.ReplaceAll(r.Lessons, "\n", "\x00")), "\x00", "\n\n")
	}
	fmt.Fprintf(&b, "\n## Lessons\n\n%s\n", lessons)
	_, err := io.WriteString(w, b.String())
	return err
}

//go:embed report.html
var reportHTML string

var reportPage = template.Must(template.New("report").Parse(reportHTML))

// HTML writes the report as a page of its own.
func (r Report) HTML(w io.Writer) error { return reportPage.Execute(w, r) }

// Draft is what an article of the GDPR asks to be said of a breach.
type Draft string

// The drafts: to the supervisory authority (article 33), and to the people (article 34).
const (
	ToAuthority Draft = "authority"
	ToPeople    Draft = "people"
)

// WriteDraft writes a draft of a notice, filled from what is known. What only people know stands in brackets: nobody sends it
// as it is.
func (r Report) WriteDraft(w io.Writer, d Draft) error {
	began, late := stamp(r.BeganAt), ""
	if began == "" {
		began = "[when it began, as far as you know]"
	}
	if r.At.After(r.Due()) {
		late = "\nThis notice comes later than 72 hours after we knew of the breach, because [the reasons: article 33(1)].\n"
	}
	var measures strings.Builder
	for _, a := range r.Acts() {
		if !a.happened {
			continue
		}
		fmt.Fprintf(&measures, "- %s: %s (%s)\n", a.At, a.Does, a.Touched)
	}
	if measures.Len() == 0 {
		measures.WriteString("- [what was done]\n")
	}
	if d == ToPeople {
		_, err := fmt.Fprintf(w, `# Draft: notice to people (GDPR, article 34), %s

What happened: %s. It began %s; we have known of it since %s.

What it may mean for you: [the likely consequences, in plain words: article 34(2), 33(3)(c)].

What we have done:
%s
What you can do: choose a new password, and use it nowhere else; look at /account for devices that are not yours; add a passkey.

Who answers your questions: [name and contact of the data protection officer: article 33(3)(b)].
`, r.Name(), r.Title, began, stamp(r.AwareAt), measures.String())
		return err
	}
	_, err := fmt.Fprintf(w, `# Draft: notice to the supervisory authority (GDPR, article 33), %s

To be sent by %s.
%s
(a) Nature of the breach: %s. It began %s, and was known to us on %s.
    People concerned: about %d. Categories of people: [customers, staff]. Records concerned: [which, and about how many].
(b) Contact: [name and contact of the data protection officer].
(c) Likely consequences: [what may come of it].
(d) Measures taken or proposed:
%s
What is not known yet follows without undue further delay (article 33(4)): [what].
`, r.Name(), stamp(r.Due()), late, r.Title, began, stamp(r.AwareAt), r.People, measures.String())
	return err
}
