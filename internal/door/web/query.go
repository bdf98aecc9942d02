package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// Query returns the query's parameters. One that is not allowed, comes twice,
// is badly escaped, or is not text that can be stored is refused by name: a
// misspelt filter that was ignored would answer a different question.
func Query(r *http.Request, allowed ...string) (url.Values, error) {
	values := url.Values{}
	rest := r.URL.RawQuery
	for rest != "" {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(rawName)
		shown := printable(name, maxShownName)
		if err != nil || name == "" || strings.Contains(pair, ";") {
			return nil, fault.Field(shown, "malformed_parameter",
				"The query is not well formed. Write it as name=value, with & between two, and escape what is not plain.")
		}
		if !slices.Contains(allowed, name) {
			return nil, unknownParameter(shown, allowed)
		}
		if values.Has(name) {
			return nil, fault.Field(name, "duplicate_parameter", "The parameter %s comes more than once. Send it once.", name)
		}
		value, err := url.QueryUnescape(rawValue)
		switch {
		case err != nil:
			return nil, fault.Field(name, "malformed_parameter",
				"The value of %s is not escaped properly: a %% must be followed by two hexadecimal digits.", name)
		case !utf8.ValidString(value):
			return nil, invalidUTF8(name)
		case strings.IndexByte(value, 0) >= 0:
			return nil, nulCharacter(name)
		case utf8.RuneCountInString(value) > mostText:
			return nil, fault.Field(name, "too_long", "The parameter %s takes %d characters at most.", name, mostText)
		}
		values.Set(name, value)
	}
	return values, nil
}

func unknownParameter(shown string, allowed []string) error {
	if len(allowed) == 0 {
		return fault.Field(shown, "unknown_parameter", "This takes no query parameters.")
	}
	return fault.Field(shown, "unknown_parameter",
		"There is no parameter of this name here. There are: %s.", strings.Join(allowed, ", "))
}
