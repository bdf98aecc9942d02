package secret

import (
	"strings"
	"testing"
)

func TestSealText(t *testing.T) {
	type kept struct {
		To string `json:"to"`
		N  int    `json:"n"`
	}
	random, key := Random{}, Random{}.Bytes(KeySize)
	want := kept{"/a?b=<c>", 7}
	text := SealText(random, key, want, "a use")
	var got kept
	if err := OpenText(key, text, "a use", &got); err != nil || got != want {
		t.Fatalf("%+v, %v", got, err)
	}
	for what, opened := range map[string]error{
		"another use":         OpenText(key, text, "another use", &got),
		"another key":         OpenText(random.Bytes(KeySize), text, "a use", &got),
		"nothing":             OpenText(key, "", "a use", &got),
		"a line end":          OpenText(key, text[:5]+"\n"+text[5:], "a use", &got),
		"a part":              OpenText(key, text[:len(text)-4], "a use", &got),
		"padding":             OpenText(key, text+"=", "a use", &got),
		"a bit more":          OpenText(key, strings.Repeat(text, 2), "a use", &got),
		"something else's":    OpenText(key, SealText(random, key, []int{1}, "a use"), "a use", &got),
		"a changed character": OpenText(key, text[:9]+string(text[9]^1)+text[10:], "a use", &got),
	} {
		if opened == nil {
			t.Errorf("%s opens", what)
		}
	}
}
