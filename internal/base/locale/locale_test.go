package locale

import (
	"html/template"
	"slices"
	"strings"
	"testing"
	"time"
)

// Each language has each text of the others, in every plural form that it needs, with the same arguments.
func TestEveryLanguageHasEveryText(t *testing.T) {
	needs := map[string][]string{"en": {"one"}, "de": {"one"}, "fr": {"one"}, "es": {"one"}, "ar": {"one", "two", "few", "many"}}
	en := Default()
	for _, l := range All() {
		if len(l.texts) == 0 {
			t.Fatalf("%s has no texts", l.Tag)
		}
		for key, forms := range en.texts {
			if !l.Has(key) {
				t.Errorf("%s has no %s", l.Tag, key)
				continue
			}
			if plural := len(forms) > 1; plural {
				for _, form := range needs[l.Tag] {
					if l.texts[key][form] == "" {
						t.Errorf("%s: %s lacks the form %s", l.Tag, key, form)
					}
				}
			}
			if got, want := marks(l.texts[key]["other"]), marks(forms["other"]); got != want {
				t.Errorf("%s: %s has the arguments and marks %q, in English %q", l.Tag, key, got, want)
			}
		}
		for key := range l.texts {
			if !en.Has(key) {
				t.Errorf("%s has %s, which English lacks", l.Tag, key)
			}
		}
	}
}

// marks are the arguments and the marks of a text, in their own order: languages put them in others.
func marks(text string) string {
	found := map[string]int{}
	for _, part := range strings.Split(text, "{")[1:] {
		name, _, _ := strings.Cut(part, "}")
		found["{"+name+"}"]++
	}
	for _, part := range strings.Split(text, "](")[1:] {
		name, _, _ := strings.Cut(part, ")")
		found["("+name+")"]++
	}
	found["**"], found["`"] = strings.Count(text, "**"), strings.Count(text, "`")
	var out []string
	for name, n := range found {
		if n > 0 {
			out = append(out, strings.Repeat(name+" ", n))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "")
}

// Plurals by CLDR, of which Arabic has six; digits stay those of addresses and codes.
func TestPluralsAndNumbers(t *testing.T) {
	for tag, want := range map[string]map[int]string{
		"en": {1: "1 minute", 2: "2 minutes", 1234: "1,234 minutes"},
		"de": {1: "1 Minute", 1234: "1.234 Minuten"},
		"fr": {0: "0 minute", 1: "1 minute", 2: "2 minutes"},
		"ar": {1: "دقيقة واحدة", 2: "دقيقتين", 3: "3 دقائق", 11: "11 دقيقة", 100: "100 دقيقة"},
	} {
		for n, text := range want {
			if got := Named(tag).Text("time.minutes", "n", n); got != text {
				t.Errorf("%s, %d: %q, want %q", tag, n, got, text)
			}
		}
	}
}

// TEST-5: an argument is text, whatever it holds, in text, in emphasis and in a link's address.
func TestTEST5_ArgumentsStayText(t *testing.T) {
	l := &Language{Tag: "en", texts: map[string]map[string]string{"x": {"other": "**{a}** and `{a}`, [{a}](b) [more](c) [no"}}}
	got := string(l.HTML("x", "a", `<b>"&{a}**`, "b", "javascript:alert(1)", "c", `/x?"><script>`))
	want := `<strong>&lt;b&gt;&#34;&amp;{a}**</strong> and <code>&lt;b&gt;&#34;&amp;{a}**</code>, &lt;b&gt;&#34;&amp;{a}** ` +
		`<a href="/x?&#34;&gt;&lt;script&gt;">more</a> [no`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := l.Text("x", "a", "<b>", "b", "/", "c", "/"); got != "<b> and <b>, <b> more [no" {
		t.Errorf("as text: %s", got)
	}
	if got := l.HTML("x", "a", template.HTML("<i>"), "b", "/", "c", "/"); !strings.HasPrefix(string(got), "<strong><i></strong>") {
		t.Errorf("HTML: %s", got)
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		preferred []string
		want      string
	}{
		{nil, "en"}, {[]string{"", "de-AT"}, "de"}, {[]string{"tlh"}, "en"}, {[]string{"ja, fr;q=0.5"}, "fr"}, {[]string{"ar-EG,en;q=0.3"}, "ar"},
		{[]string{"es-MX"}, "es"}, {[]string{strings.Repeat("de,", 5000)}, "en"}, {[]string{"%%", "fr"}, "fr"}, {[]string{"en-GB", "de"}, "en"},
	} {
		if got := Match(c.preferred...).Tag; got != c.want {
			t.Errorf("%.40q: %s, want %s", c.preferred, got, c.want)
		}
	}
}

func TestDatesAndDurations(t *testing.T) {
	at := time.Date(2026, 3, 1, 14, 5, 0, 0, time.UTC)
	for tag, want := range map[string]string{
		"en": "1 March 2026, 14:05 UTC", "de": "1. März 2026, 14:05 UTC", "fr": "1 mars 2026, 14:05 UTC", "es": "1 de marzo de 2026, 14:05 UTC",
		"ar": "1 مارس 2026، 14:05 UTC",
	} {
		if got := Named(tag).DateTime(at); got != want {
			t.Errorf("%s: %q, want %q", tag, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		time.Second: "1 minute", time.Minute: "1 minute", 61 * time.Second: "2 minutes", 30 * time.Minute: "30 minutes", 90 * time.Minute: "90 minutes",
		2 * time.Hour: "2 hours", 24 * time.Hour: "24 hours", 7 * 24 * time.Hour: "7 days",
	} {
		if got := Default().Duration(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}
