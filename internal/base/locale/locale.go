// Package locale is the one catalogue of what people read, in English, German, French, Spanish and
// Arabic: pages, the console, errors and mails.
//
// The texts are files, one for each language and area: texts/de/page.json. An area is who writes it, and
// nothing more: keys are unique over all areas. A text is a string, or its plural forms by the names of
// CLDR ("one", "few", "other" and so on), chosen by the argument n:
//
//	"verify.sent":  "We sent an email to **{email}**.",
//	"session.count": {"one": "{n} session", "other": "{n} sessions"}
//
// {name} is an argument, **bold** is <strong>, `code` is <code>, and [words](name) a link to the address in
// the argument of that name. What an argument holds is text and stays text.
//
// A key always stands in the source as a whole, so that it is found by searching for it, and a test can tell
// which are missing and which nobody uses.
package locale

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"golang.org/x/text/number"
)

//go:embed texts
var files embed.FS

// Language is one that there are texts for.
type Language struct {
	// Tag is its BCP 47 tag, Name what it calls itself, and Dir how it is written: ltr or rtl.
	Tag, Name, Dir string

	tag     language.Tag
	months  [12]string
	date    string // how a date is written: of its day, month and year
	printer *message.Printer
	texts   map[string]map[string]string // by key, then by plural form; "other" is always there
}

// languages are all that there are, the first for whoever reads none of them. Arabic keeps the digits that
// addresses and codes have.
var languages = []*Language{
	{Tag: "en", Name: "English", Dir: "ltr", date: "%d %s %d", months: [12]string{"January", "February", "March", "April", "May", "June", "July",
		"August", "September", "October", "November", "December"}},
	{Tag: "de", Name: "Deutsch", Dir: "ltr", date: "%d. %s %d", months: [12]string{"Januar", "Februar", "März", "April", "Mai", "Juni", "Juli",
		"August", "September", "Oktober", "November", "Dezember"}},
	{Tag: "fr", Name: "Français", Dir: "ltr", date: "%d %s %d", months: [12]string{"janvier", "février", "mars", "avril", "mai", "juin", "juillet",
		"août", "septembre", "octobre", "novembre", "décembre"}},
	{Tag: "es", Name: "Español", Dir: "ltr", date: "%d de %s de %d", months: [12]string{"enero", "febrero", "marzo", "abril", "mayo", "junio", "julio",
		"agosto", "septiembre", "octubre", "noviembre", "diciembre"}},
	{Tag: "ar", Name: "العربية", Dir: "rtl", date: "%d %s %d", months: [12]string{
		"يناير", "فبراير", "مارس", "أبريل", "مايو", "يونيو", "يوليو",
		"أغسطس", "سبتمبر", "أكتوبر", "نوفمبر", "ديسمبر"}},
}

// All returns the languages, English first. They are read once, when first asked for: most commands
// need none.
func All() []*Language { return loaded() }

var loaded = sync.OnceValue(func() []*Language {
	for _, l := range languages {
		l.tag = language.Make(l.Tag)
		l.printer = message.NewPrinter(language.Make(l.Tag + "-u-nu-latn"))
		texts, err := read(files, l.Tag)
		if err != nil {
			panic(err) // it came with the program, and the tests have read it
		}
		l.texts = texts
	}
	return languages
})

// Default is the language of whoever asks for none that there is.
func Default() *Language { return All()[0] }

// read returns the texts of a language, of all areas.
func read(files fs.FS, tag string) (map[string]map[string]string, error) {
	names, err := fs.Glob(files, "texts/"+tag+"/*.json")
	if err != nil {
		return nil, err
	}
	all := map[string]map[string]string{}
	for _, name := range names {
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		area := map[string]json.RawMessage{}
		if err := json.Unmarshal(b, &area); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for key, raw := range area {
			if all[key] != nil {
				return nil, fmt.Errorf("%s: %s stands in another file too", path.Base(name), key)
			}
			forms, err := formsOf(raw)
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", name, key, err)
			}
			all[key] = forms
		}
	}
	return all, nil
}

func formsOf(raw json.RawMessage) (map[string]string, error) {
	if strings.HasPrefix(string(raw), "{") {
		forms := map[string]string{}
		if err := json.Unmarshal(raw, &forms); err != nil {
			return nil, err
		}
		if forms["other"] == "" {
			return nil, fmt.Errorf("the form other is missing")
		}
		return forms, nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, err
	}
	return map[string]string{"other": text}, nil
}

// Match returns the best language for what is preferred, the first first: tags, or whole lists as in
// Accept-Language. Empty ones, and those that can't be read, are passed over.
func Match(preferred ...string) *Language {
	for _, p := range preferred {
		if l := matchOne(p); l != nil {
			return l
		}
	}
	return Default()
}

// mostAccepted is as much of an Accept-Language header as is read, in bytes.
const mostAccepted = 256

// matchOne returns the language for one preference, or nil. Parsing stops early at lists that were made to
// be slow.
func matchOne(preferred string) *Language {
	if preferred == "" || len(preferred) > mostAccepted {
		return nil
	}
	tags, _, err := language.ParseAcceptLanguage(preferred)
	if err != nil || len(tags) == 0 {
		return nil
	}
	_, i, sure := matcher().Match(tags...)
	if sure == language.No {
		return nil
	}
	return All()[i]
}

var matcher = sync.OnceValue(func() language.Matcher {
	var tags []language.Tag
	for _, l := range All() {
		tags = append(tags, l.tag)
	}
	return language.NewMatcher(tags)
})

// Named returns the language with exactly this tag, or nil.
func Named(tag string) *Language {
	for _, l := range All() {
		if l.Tag == tag {
			return l
		}
	}
	return nil
}

// Has reports whether there is a text for the key.
func (l *Language) Has(key string) bool { return l.texts[key] != nil }

// Keys returns the keys of all texts.
func (l *Language) Keys() []string {
	var keys []string
	for key := range l.texts {
		keys = append(keys, key)
	}
	return keys
}

// Number writes a number as people of the language do.
func (l *Language) Number(n int64) string { return l.printer.Sprint(number.Decimal(n)) }

// forms are the names of the plural forms.
var forms = map[plural.Form]string{
	plural.Other: "other", plural.Zero: "zero", plural.One: "one", plural.Two: "two", plural.Few: "few", plural.Many: "many",
}

// lookup returns the text for a key and the number that it counts. A text that is missing is its English
// one, and without that its key: a page is better than an error. A test sees to it that none is.
func (l *Language) lookup(key string, n int64) string {
	texts := l.texts[key]
	if texts == nil {
		if texts = Default().texts[key]; texts == nil {
			return key
		}
	}
	if len(texts) == 1 {
		return texts["other"]
	}
	form := forms[plural.Cardinal.MatchPlural(l.tag, int(max(n, -n)%1_000_000_000), 0, 0, 0, 0)]
	if text, ok := texts[form]; ok {
		return text
	}
	return texts["other"]
}
