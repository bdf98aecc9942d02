package notice

import (
	"errors"
	"html"
	"net/netip"
	"regexp"
	"strings"
	"time"
	"unicode"
)

// Rendered is a mail as it is sent and shown.
type Rendered struct {
	Subject, Text, HTML, Language string
	// Blocks are the paragraphs of both, Foot what stands below them.
	Blocks []Block
	Foot   string
}

// view is what texts see of a mail. All of it is clean: no text that a stranger
// chose but the name, and that only if it is nothing but a name.
type view struct {
	Site, Home, Forgot           string
	Language, Name               string
	When, Address                string
	Browser, System              string
	Link, Code, NotMe, Undo      string
	CodePage                     string // where the code is typed: the link's page
	LinkLife, CodeLife, UndoLife Life
	NewAddress, Roles, Why       string
	ByOperator                   bool
	Factor                       string // totp or passkey
	Providers                    string // by which people sign in
	Due                          string
	Left                         int // how many recovery codes are unused
	Alert                        Alert
	Message                      string
}

// page is what layout.html sees: the view, and the paragraphs of the text.
type page struct {
	view
	Subject, Foot string
	Blocks        []Block
	// Preview is the line that mail programs show next to the subject: the code, if there is one, or else what
	// happened where.
	Preview string
	// Color is that of the main button, OnColor of what is written on it.
	Color, OnColor string
	RTL            bool
}

// Block is a paragraph: a label and a URL, a code, or lines.
type Block struct {
	Label, URL, Code string
	Lines            []string
	// Main is the one button that a mail is about; Facts are the lines that say when and from where.
	Main  bool
	Facts []NamedFact
}

// NamedFact is such a line.
type NamedFact struct{ Name, Value string }

// Life is how long something works.
type Life struct {
	N int
	// Unit is minute, hour or day.
	Unit string
}

func lifeOf(d time.Duration) Life {
	switch {
	case d >= 48*time.Hour && d%(24*time.Hour) == 0:
		return Life{int(d / (24 * time.Hour)), "day"}
	case d >= 2*time.Hour && d%time.Hour == 0:
		return Life{int(d / time.Hour), "hour"}
	}
	return Life{int(d / time.Minute), "minute"}
}

// Render returns the mail in the language of its account.
func (t *Texts) Render(m Mail) (Rendered, error) {
	name := t.languageFor(m.Locale)
	return t.render(t.languages[name], name, m)
}

func (t *Texts) view(m Mail, name string) view {
	v := view{
		Site: t.site, Home: t.home, Forgot: t.home + "/forgot", Language: name, Name: plainName(m.Name),
		When: m.At.UTC().Format("2006-01-02 15:04 UTC"),
		Link: line(m.Link), Code: line(m.Code), NotMe: line(m.NotMe), Undo: line(m.Undo),
		LinkLife: lifeOf(m.LinkLife), CodeLife: lifeOf(m.CodeLife), UndoLife: lifeOf(m.UndoLife),
		NewAddress: veiled(m.NewAddress), Roles: line(strings.Join(m.Roles, ", ")), ByOperator: m.ByOperator, Why: string(m.Why),
		Factor: line(m.Factor), Providers: line(strings.Join(m.Providers, ", ")), Left: m.Left, Due: m.Due.UTC().Format("2006-01-02 15:04 UTC"),
		Message: paragraphs(m.Message),
		Alert:   Alert{Rule: line(m.Alert.Rule), N: m.Alert.N, Bound: m.Alert.Bound, What: line(m.Alert.What), Look: line(m.Alert.Look)},
	}
	v.CodePage, _, _ = strings.Cut(v.Link, "#")
	v.Browser, v.System = device(m.UserAgent)
	if m.Address.IsValid() {
		v.Address = m.Address.String()
	}
	return v
}

// paragraphs keeps a text's empty lines, and makes of each paragraph a line.
func paragraphs(s string) string {
	var list []string
	for p := range strings.SplitSeq(s, "\n\n") {
		if p = line(strings.ReplaceAll(strings.TrimSpace(p), "\n", " ")); p != "" {
			list = append(list, p)
		}
	}
	return strings.Join(list, "\n\n")
}

var errNoSubject = errors.New("it does not begin with a subject line (Subject: …) and an empty line")

func (t *Texts) render(s *speech, name string, m Mail) (r Rendered, err error) {
	v := t.view(m, name)
	var text, foot, page strings.Builder
	if err := s.text[m.Kind].Execute(&text, v); err != nil {
		return r, err
	}
	if err := s.foot.Execute(&foot, v); err != nil {
		return r, err
	}
	head, body, ok := strings.Cut(strings.TrimLeft(text.String(), "\n"), "\n\n")
	subject, found := strings.CutPrefix(head, "Subject: ")
	if !ok || !found || strings.TrimSpace(subject) == "" || strings.Contains(subject, "\n") {
		return r, errNoSubject
	}
	p := newPage(v, strings.TrimSpace(subject), strings.TrimSpace(foot.String()), body)
	p.Color, p.OnColor, p.RTL = t.color, t.onColor, name == "ar"
	p.lookAt()
	layout := s.page
	if own := s.html[m.Kind]; own != nil {
		layout = own
	}
	if err := layout.Execute(&page, p); err != nil {
		return r, err
	}
	return Rendered{Subject: p.Subject, Text: p.text(), HTML: page.String(), Language: name, Blocks: p.Blocks, Foot: p.Foot}, nil
}

// The marks around what is more than text, between a template and newPage. Nothing
// that a view holds can contain them.
const (
	markButton, markCode = "\x01", "\x02"
	markMiddle           = "\x03"
)

func button(label, url string) string { return markButton + label + markMiddle + url }
func code(c string) string            { return markCode + c }

func newPage(v view, subject, foot, body string) page {
	p := page{view: v, Subject: subject, Foot: foot}
	for part := range strings.SplitSeq(body, "\n\n") {
		part = strings.Trim(part, "\n ")
		if part == "" {
			continue
		}
		if rest, ok := strings.CutPrefix(part, markButton); ok {
			label, url, _ := strings.Cut(rest, markMiddle)
			p.Blocks = append(p.Blocks, Block{Label: label, URL: url})
		} else if c, ok := strings.CutPrefix(part, markCode); ok {
			p.Blocks = append(p.Blocks, Block{Code: c})
		} else {
			p.Blocks = append(p.Blocks, Block{Lines: strings.Split(part, "\n")})
		}
	}
	return p
}

// lookAt finds what the HTML part shows in a way of its own.
func (p *page) lookAt() {
	for i := range p.Blocks {
		b := &p.Blocks[i]
		b.Main = b.URL != "" && b.URL != p.NotMe && b.URL != p.Undo
		p.Preview += b.Code
		if len(b.Lines) == 0 || !strings.HasSuffix(b.Lines[0], ": "+p.When) {
			continue
		}
		var values []string
		for _, l := range b.Lines {
			name, value, _ := strings.Cut(l, ": ")
			b.Facts = append(b.Facts, NamedFact{name, value})
			values = append(values, value)
		}
		if p.Code == "" {
			p.Preview = strings.Join(values, ", ")
		}
	}
}

// text is the plain part.
func (p page) text() string {
	var b strings.Builder
	for _, block := range p.Blocks {
		switch {
		case block.URL != "":
			b.WriteString(block.Label + ":\n" + block.URL)
		case block.Code != "":
			b.WriteString("    " + block.Code)
		default:
			b.WriteString(strings.Join(block.Lines, "\n"))
		}
		b.WriteString("\n\n")
	}
	return b.String() + "-- \n" + p.Foot + "\n"
}

func htmlUnescape(s string) string { return html.UnescapeString(s) }

// line is the text without what could break out of its line or turn it round.
func line(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}

// names is what a name is made of. Anyone who registers someone else's address
// chooses it: a name that could be a message or a link is not shown at all.
var names = regexp.MustCompile(`^[\p{L}\p{M}\p{N}]+\.?([ '’-][\p{L}\p{M}\p{N}]+\.?)*$`)

func plainName(s string) string {
	if len([]rune(s)) > 50 || strings.Count(s, " ") > 4 || !names.MatchString(s) {
		return ""
	}
	return s
}

// veiled shows the domain of an address and its first letter.
func veiled(address string) string {
	local, domain, ok := strings.Cut(line(address), "@")
	if !ok || local == "" {
		return ""
	}
	return string([]rune(local)[:1]) + "…@" + domain
}

// specimen is a mail of the kind to try its texts with.
func specimen(k Kind, full bool) Mail {
	m := Mail{Kind: k, To: "ada@example.org", At: time.Date(2026, 11, 24, 9, 5, 0, 0, time.UTC)}
	has := func(f Fact) bool {
		for _, must := range Facts[k].Must {
			if must == f {
				return true
			}
		}
		return full && k.Takes(f)
	}
	if full {
		m.Name, m.Address, m.UserAgent, m.ByOperator = "Ada", netip.MustParseAddr("203.0.113.7"), "Firefox/144.0 Linux", true
	}
	if has(Link) {
		m.Link, m.LinkLife = "https://auth.example.org/link#specimen-link", 30*time.Minute
	}
	if has(Code) {
		m.Code, m.CodeLife = "SPECIMEN", 10*time.Minute
	}
	if has(NotMe) {
		m.NotMe = "https://auth.example.org/not-me#specimen"
	}
	if has(Undo) {
		m.Undo, m.UndoLife = "https://auth.example.org/undo#specimen-undo", 7*24*time.Hour
	}
	if has(NewAddress) {
		m.NewAddress = "b@example.org"
	}
	if has(Finding) {
		m.Alert = Alert{Rule: "spraying", N: 31, Bound: 20, What: "31 addresses were tried from one network.", Look: "gatehouse events list"}
	}
	if has(Words) {
		m.Message = "Somebody tried passwords from lists.\n\nWe have blocked them."
	}
	m.Factor, m.Left, m.Providers = "totp", 7, []string{"Google", "GitHub"}
	if has(Roles) {
		m.Roles = []string{"admin"}
	}
	return m
}
