package locale

import (
	"fmt"
	"html/template"
	"strings"
	"time"
)

// Text returns a text without its markup. Arguments are pairs of a name and a value: text, a whole number, a
// time (which becomes a date), or what has a String method. It panics if they are no pairs.
func (l *Language) Text(key string, args ...any) string {
	var b strings.Builder
	l.write(&b, l.pick(key, args), args, false)
	return b.String()
}

// HTML returns a text with its markup. An argument of type template.HTML stays as it is.
func (l *Language) HTML(key string, args ...any) template.HTML {
	var b strings.Builder
	l.write(&b, l.pick(key, args), args, true)
	return template.HTML(b.String()) //nolint:gosec // the texts are ours, and the arguments are escaped
}

func (l *Language) pick(key string, args []any) string {
	var n int64
	switch v := argument(args, "n").(type) {
	case int:
		n = int64(v)
	case int64:
		n = v
	}
	return l.lookup(key, n)
}

func argument(args []any, name string) any {
	if len(args)%2 != 0 {
		panic(fmt.Sprintf("locale: arguments are pairs of a name and a value, and these are not: %v", args))
	}
	for i := 0; i < len(args); i += 2 {
		if args[i] == name {
			return args[i+1]
		}
	}
	return nil
}

// write resolves placeholders and markup.
func (l *Language) write(b *strings.Builder, text string, args []any, html bool) {
	strong, code := false, false
	toggle := func(on *bool, name string) {
		*on = !*on
		switch {
		case html && *on:
			b.WriteString("<" + name + ">")
		case html:
			b.WriteString("</" + name + ">")
		}
	}
	for text != "" {
		at := strings.IndexAny(text, "{*`[")
		if at < 0 {
			at = len(text)
		}
		b.WriteString(plainOr(html, text[:at]))
		text = text[at:]
		switch {
		case text == "":
		case strings.HasPrefix(text, "**"):
			toggle(&strong, "strong")
			text = text[2:]
		case text[0] == '`':
			toggle(&code, "code")
			text = text[1:]
		case text[0] == '{':
			name, rest, ok := strings.Cut(text[1:], "}")
			if !ok {
				name, rest = text[1:], ""
			}
			b.WriteString(l.value(argument(args, name), html))
			text = rest
		case text[0] == '[':
			text = l.link(b, text, args, html)
		default:
			b.WriteString(text[:1])
			text = text[1:]
		}
	}
}

// link writes [words](name), and returns what is behind it.
func (l *Language) link(b *strings.Builder, text string, args []any, html bool) (rest string) {
	words, rest, ok := strings.Cut(text[1:], "](")
	name, behind, closed := strings.Cut(rest, ")")
	if !ok || !closed {
		b.WriteString(plainOr(html, text[:1]))
		return text[1:]
	}
	to := l.value(argument(args, name), false)
	switch {
	case !html || !leads(to):
		l.write(b, words, args, html)
	default:
		b.WriteString(`<a href="` + template.HTMLEscapeString(to) + `">`)
		l.write(b, words, args, html)
		b.WriteString("</a>")
	}
	return behind
}

// leads reports whether an address is one that a link may have: nothing that runs.
func leads(to string) bool {
	for _, prefix := range []string{"/", "#", "?", "https://", "http://", "mailto:"} {
		if strings.HasPrefix(to, prefix) {
			return true
		}
	}
	return false
}

func plainOr(html bool, s string) string {
	if html {
		return template.HTMLEscapeString(s)
	}
	return s
}

// value writes an argument.
func (l *Language) value(v any, html bool) string {
	switch v := v.(type) {
	case nil:
		return ""
	case template.HTML:
		return string(v)
	case int:
		return l.Number(int64(v))
	case int64:
		return l.Number(v)
	case time.Time:
		return plainOr(html, l.Date(v))
	case time.Duration:
		return plainOr(html, l.Duration(v))
	default:
		return plainOr(html, fmt.Sprint(v))
	}
}

// Date writes a day, in UTC: 29 November 2026.
func (l *Language) Date(t time.Time) string {
	t = t.UTC()
	return fmt.Sprintf(l.date, t.Day(), l.months[t.Month()-1], t.Year())
}

// DateTime writes a moment, in UTC, and says so: 29 November 2026, 14:31 UTC.
func (l *Language) DateTime(t time.Time) string {
	comma := ", "
	if l.Dir == "rtl" {
		comma = "، "
	}
	return l.Date(t) + comma + t.UTC().Format("15:04") + " UTC"
}

// Duration writes how long something takes or lasts, in the largest unit that it has two of, rounded up:
// 30 minutes, 24 hours, 7 days.
func (l *Language) Duration(d time.Duration) string {
	up := func(unit time.Duration) int { return int((d + unit - 1) / unit) }
	switch {
	case d < 2*time.Minute:
		if d <= time.Minute {
			return l.Text("time.minutes", "n", 1)
		}
		return l.Text("time.minutes", "n", 2)
	case up(time.Minute) < 120:
		return l.Text("time.minutes", "n", up(time.Minute))
	case up(time.Hour) < 48:
		return l.Text("time.hours", "n", up(time.Hour))
	}
	return l.Text("time.days", "n", up(24*time.Hour))
}

// Escape is text that is in no catalogue, as HTML.
func (l *Language) Escape(text string) template.HTML {
	return template.HTML(template.HTMLEscapeString(text)) //nolint:gosec // escaped
}
