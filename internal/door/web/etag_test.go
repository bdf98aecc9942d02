package web

import (
	"net/http"
	"strings"
	"testing"
)

func TestHasComparesEntityTagsWeakly(t *testing.T) {
	const tag = `"abc-_1"`
	for value, want := range map[string]bool{
		tag: true, "W/" + tag: true, `"x", ` + tag: true, `"x",W/` + tag + `,"y"`: true, "*": true, " " + tag + "\t": true,
		"": false, "abc-_1": false, `"abc-_1`: false, `"ABC-_1"`: false, `"x"`: false, "W/": false, "w/" + tag: false, tag + tag: false, `"x" ` + tag: false,
	} {
		r := &http.Request{Header: http.Header{"If-None-Match": {value}}}
		if got := Has(r, tag); got != want {
			t.Errorf("%s: %v", value, got)
		}
	}
	two := &http.Request{Header: http.Header{"If-None-Match": {`"x"`, tag}}}
	if !Has(two, tag) || Has(&http.Request{Header: http.Header{}}, tag) {
		t.Error("of two lines the second does not count, or none does")
	}
}

// FuzzHas: nobody has a version whose tag they did not send.
func FuzzHas(f *testing.F) {
	for _, s := range []string{"", "*", `"a"`, `W/"a"`, `"b", "a"`, ",,,", "W/W/\"a\""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := &http.Request{Header: http.Header{"If-None-Match": {s}}}
		if Has(r, `"a"`) && !strings.Contains(s, `"a"`) && !strings.Contains(s, "*") {
			t.Errorf("%q", s)
		}
	})
}
