package config

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// placeholder is a text that documentation puts where a value belongs. Each is
// written as it is named to the operator; a value is never quoted for it.
type placeholder struct {
	shown   string
	pattern *regexp.Regexp
}

// placeholders are the guide's own and their kin. Whatever an honest value may
// well contain is matched as a whole word only.
var placeholders = []placeholder{
	anywhere("CHANGE_THIS"), anywhere("CHANGE_ME"), anywhere("CHANGE_IT"), anywhere("REPLACE_THIS"),
	anywhere("REPLACE_ME"), anywhere("REPLACE_WITH"), anywhere("RANDOM_STRING"),
	anywhere("STRONG_PASSWORD"), anywhere("SECURE_PASSWORD"), anywhere("SUPER_SECRET"), anywhere("TOP_SECRET"),
	anywhere("MY_SECRET"), anywhere("YOUR_SECRET"), anywhere("YOUR_PASSWORD"), anywhere("YOUR_KEY"),
	anywhere("YOUR_TOKEN"), anywhere("YOUR_DOMAIN"), anywhere("YOUR_COMPANY"),
	anywhere("SECRET_KEY_HERE"), anywhere("PLACEHOLDER"),
	word("db_user"), word("db_username"), word("db_pass"), word("db_password"), word("db_host"), word("db_name"),
	word("database_host"), word("redis_host"), word("redis_password"), word("smtp_host"), word("smtp_password"),
	word("production_db"), word("your-host"), word("mydomain.com"),
	word("example.com"), word("example.org"), word("example.net"),
	{"your-…-here", regexp.MustCompile(`(?i)(^|[^a-z0-9])(your|insert|put|paste)[-_ ]([a-z0-9_ -]{0,40}[-_ ])?here($|[^a-z0-9])`)},
	{"<…>", regexp.MustCompile(`(^|[/:@=.,?& _-])<[A-Za-z][A-Za-z _-]*>($|[/:@=.,?& _-])`)},
	{"${…}", regexp.MustCompile(`\$\{[A-Za-z_][A-Za-z0-9_]*\}`)},
	{"{{…}}", regexp.MustCompile(`\{\{[ A-Za-z0-9_.-]+\}\}`)},
	{"xxxxxx", regexp.MustCompile(`(?i)x{6}`)},
	{"......", regexp.MustCompile(`\.{3}|…`)},
}

// anywhere matches the words in any case, however they are joined.
func anywhere(words string) placeholder {
	return placeholder{words, regexp.MustCompile(`(?i)` + strings.ReplaceAll(words, "_", `[-_ .]?`))}
}

// word matches a name or domain, and what ends in the domain, but no longer
// word.
func word(name string) placeholder {
	return placeholder{name, regexp.MustCompile(`(?i)(^|[^a-z0-9_-])` + regexp.QuoteMeta(name) + `($|[^a-z0-9_-])`)}
}

// findPlaceholders returns the placeholders in the value, in the order in which
// they stand there. It looks behind percent-encoding too.
func findPlaceholders(value string) []string {
	type hit struct {
		at, end int
		shown   string
	}
	var hits []hit
	texts := []string{value}
	if plain, err := url.PathUnescape(value); err == nil && plain != value {
		texts = append(texts, plain)
	}
	for _, p := range placeholders {
		for _, text := range texts {
			if at := p.pattern.FindStringIndex(text); at != nil {
				hits = append(hits, hit{at[0], at[1], p.shown})
				break
			}
		}
	}
	slices.SortStableFunc(hits, func(a, b hit) int { return a.at - b.at })
	var shown []string
	end := 0
	for _, h := range hits {
		// One inside another adds nothing.
		if h.end > end {
			shown = append(shown, h.shown)
			end = h.end
		}
	}
	return shown
}

// refusePlaceholders refuses a value that still holds a placeholder: in
// production, and in a secret everywhere, since a secret that anyone can read in
// the documentation is none.
func (r *reading) refusePlaceholders() {
	if !r.c.Production() && r.setting.cover != covered {
		return
	}
	found := findPlaceholders(r.value)
	if len(found) == 0 {
		return
	}
	r.placeholder = true
	mend := "Put your own value in its place."
	if r.setting.name == "JWT_SECRET_KEY" {
		mend = mendSecretKey
	}
	if len(found) == 1 {
		r.refuse("It still holds the placeholder "+found[0]+".", mend)
		return
	}
	r.refuse("It still holds the placeholders "+strings.Join(found, ", ")+".", mend)
}
