package account_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
)

func parse(t testing.TB, s string) account.Address {
	t.Helper()
	a, err := account.ParseAddress("email", s)
	if err != nil {
		t.Fatalf("%+q: %v", s, err)
	}
	return a
}

func TestParseAddressAccepts(t *testing.T) {
	label := strings.Repeat("d", 63)
	for typed, key := range map[string]string{
		"jane@example.org":               "jane@example.org",
		"Jane.Doe@Example.ORG":           "jane.doe@example.org",
		"j@e":                            "j@e",
		"root@localhost":                 "root@localhost",
		"jane+news@example.org":          "jane+news@example.org",
		"!#$%&'*+-/=?^_`{|}~@ex.org":     "!#$%&'*+-/=?^_`{|}~@ex.org",
		"0@1and1.example":                "0@1and1.example",
		"a@xn--bcher-kva.example":        "a@xn--bcher-kva.example",
		"a@bücher.example":               "a@xn--bcher-kva.example",
		"a@BÜCHER.example":               "a@xn--bcher-kva.example",
		"a@bu\u0308cher.example":         "a@xn--bcher-kva.example",
		"a@faß.de":                       "a@xn--fa-hia.de", // IDNA 2008, not fass.de
		"a@例え.テスト":                       "a@xn--r8jz45g.xn--zckzah",
		"a@ｅｘａｍｐｌｅ。org":                  "a@example.org",
		"a@نامه\u200cای.com":             "a@xn--mgba3gch31f060k.com", // the joiner is part of this name
		"用户@例子.广告":                       "用户@xn--fsqu00a.xn--4rr70v",
		"Андрей@пример.рф":               "андрей@xn--e1afmkfd.xn--p1ai",
		"josé@example.org":               "josé@example.org",
		"JOSE\u0301@example.org":         "josé@example.org",
		"ΣΊΣΥΦΟΣ@example.gr":             "σίσυφοσ@example.gr",
		"अजय@डाटा.भारत":                  "अजय@xn--c2bd1gb.xn--h2brj9c",
		"٣@example.org":                  "٣@example.org",
		strings.Repeat("l", 64) + "@x.y": strings.Repeat("l", 64) + "@x.y",
		"a@" + label + ".example":        "a@" + label + ".example",
	} {
		a, err := account.ParseAddress("email", typed)
		if err != nil || a.Key != key || a.Typed != typed {
			t.Errorf("%+q: typed %+q key %+q error %v, want the key %+q", typed, a.Typed, a.Key, err, key)
		}
	}
}

// ASVS 2.2.1, and 1.3.11: nothing that a mail server or a header could take for more than
// one address.
func TestParseAddressRefuses(t *testing.T) {
	label := strings.Repeat("d", 63)
	for name, s := range map[string]string{
		"empty":                        "",
		"no @":                         "jane.example.org",
		"only @":                       "@",
		"no local part":                "@example.org",
		"no domain":                    "jane@",
		"two @":                        "jane@doe@example.org",
		"a dot first":                  ".jane@example.org",
		"a dot last":                   "jane.@example.org",
		"two dots":                     "jane..doe@example.org",
		"local part of 65 bytes":       strings.Repeat("l", 65) + "@x.y",
		"local part of 33 letters, 66": strings.Repeat("é", 33) + "@x.y",
		"over 254 bytes":               "a@" + strings.Repeat(label+".", 3) + strings.Repeat("d", 61),
		"a label of 64":                "a@" + label + "d.example",
		"a label of 64 once in ASCII":  "a@" + strings.Repeat("é", 58) + ".example",
		"an empty label":               "a@example..org",
		"a dot before the domain":      "a@.example.org",
		"a dot after the domain":       "a@example.org.",
		"a full-width dot after it":    "a@example.org。",
		"a hyphen first":               "a@-example.org",
		"a hyphen last":                "a@example-.org",
		"an underscore":                "a@ex_ample.org",
		"a broken xn--":                "a@xn--a.org",
		"an address literal":           "a@[127.0.0.1]",
		"a port":                       "a@example.org:25",
		"quotes":                       `"jane doe"@example.org`,
		"a backslash":                  `ja\ne@example.org`,
		"a name before it":             "Jane <jane@example.org>",
		"angle brackets":               "<jane@example.org>",
		"a comment":                    "jane(me)@example.org",
		"a list":                       "jane@example.org,eve@example.net",
		"another list":                 "jane@example.org;eve@example.net",
		"a space inside":               "ja ne@example.org",
		"a tab":                        "jane@exa\tmple.org",
		"NUL":                          "jane\x00@example.org",
		"a line break":                 "jane@example.org\r\nBcc: eve@example.net",
		"a line break in front":        "jane\n@example.org",
		"a C1 control":                 "jane\u0085@example.org",
		"a no-break space":             "ja\u00a0ne@example.org",
		"broken UTF-8 in front":        "jan\xff@example.org",
		"broken UTF-8 behind":          "jane@\xff.org",
		"a surrogate":                  "jane@\xed\xa0\x80.org",
		"right to left":                "jane\u202e@example.org",
		"right to left behind":         "jane@\u202eexample.org",
		"a soft hyphen":                "ja\u00adne@example.org",
		"a soft hyphen behind":         "jane@exam\u00adple.org",
		"zero width":                   "jane@exam\u200bple.org",
		"a word joiner":                "jane@exam\u2060ple.org",
		"a byte order mark":            "jane@\ufeffexample.org",
		"a joiner where none belongs":  "jane@exam\u200dple.org",
		"a joiner in front":            "ja\u200cne@example.org",
		"a variation selector":         "jane\ufe0f@example.org",
		"a variation selector behind":  "jane@exam\ufe0fple.org",
		"a grapheme joiner":            "jane\u034f@example.org",
		"a Hangul filler":              "jane\u3164@example.org",
		"a tag character":              "jane\U000e0041@example.org",
		"an emoji":                     "jane😀@example.org",
		"a full-width @":               "jane＠example.org",
		"a percent sign made by IDNA":  "jane@ex％2Fample.org",
		"a/c made by IDNA":             "jane@℀.org",
		"mixed directions":             "jane@a\u0644.org",
		"HTML":                         "<script>alert(1)</script>@example.org",
		"SQL":                          "jane' OR '1'='1@example.org",
	} {
		a, err := account.ParseAddress("mail", s)
		f := fault.As(err)
		if f == nil || f.Kind != fault.Invalid || f.Code != "invalid_email" || f.Field != "mail" || a != (account.Address{}) {
			t.Errorf("%s: %+q gave %+v, error %v", name, s, a, err)
		}
		if f != nil && len(s) > 20 && strings.Contains(f.Message, s) {
			t.Errorf("%s: the message repeats what was sent", name)
		}
	}
}

func TestAddressesOfOneAccountHaveOneKey(t *testing.T) {
	for name, same := range map[string][]string{
		"case":                        {"jane@example.org", "JANE@EXAMPLE.ORG", "jAnE@eXample.oRG"},
		"case beyond ASCII":           {"ÅSA@example.org", "åsa@example.org", "\u212bsa@example.org"},
		"composed and not":            {"jos\u00e9@example.org", "jose\u0301@example.org", "JOSE\u0301@example.org"},
		"order of marks":              {"a\u0323\u0307@x.org", "a\u0307\u0323@x.org", "\u1ea1\u0307@x.org"},
		"sigma":                       {"ΣΑΣ@x.org", "σας@x.org", "σασ@x.org"},
		"iota below, three ways":      {"\u03b1\u0316\u0301\u0345@x.org", "\u0391\u0316\u0301\u0345@x.org", "\u1fb4\u0316@x.org"},
		"Hangul":                      {"\u1112\u1161\u11ab@x.org", "\ud55c@x.org"},
		"sharp s":                     {"STRASSE@x.org", "straße@x.org", "STRAẞE@x.org"},
		"Cherokee":                    {"\u13b5@x.org", "\uab85@x.org"},
		"the Kelvin sign":             {"k@x.org", "\u212a@x.org"},
		"a domain in both forms":      {"a@bücher.example", "a@xn--bcher-kva.example", "a@XN--BCHER-KVA.EXAMPLE", "a@bu\u0308cher.example"},
		"a domain in full width":      {"a@example.org", "a@ｅｘａｍｐｌｅ.ｏｒｇ", "a@example。org"},
		"the last letter of a domain": {"a@ΣΑΣ.example", "a@σασ.example"},
	} {
		for _, s := range same[1:] {
			if a, b := parse(t, same[0]), parse(t, s); a.Key != b.Key {
				t.Errorf("%s: %+q has the key %+q, %+q has %+q", name, a.Typed, a.Key, b.Typed, b.Key)
			}
		}
	}
}

func TestEveryLetterHasOneKeyInAllItsCases(t *testing.T) {
	letters := 0
	for r := range rune(unicode.MaxRune) {
		other := unicode.SimpleFold(r)
		a, err := account.ParseAddress("", string(r)+"@x.org")
		if other == r || err != nil {
			continue
		}
		letters++
		if b := parse(t, string(other)+"@x.org"); a.Key != b.Key {
			t.Errorf("%U has the key %+q, %U has %+q", r, a.Key, other, b.Key)
		}
	}
	if letters < 2000 {
		t.Errorf("only %d letters have another case", letters)
	}
}

func TestAddressesOfDifferentPeopleKeepDifferentKeys(t *testing.T) {
	for name, different := range map[string][]string{
		"tags":               {"jane@x.org", "jane+a@x.org", "jane+b@x.org", "jane-a@x.org"},
		"dots":               {"janedoe@x.org", "jane.doe@x.org", "j.a.n.e.doe@x.org"},
		"domains":            {"a@x.org", "a@x.com", "a@sub.x.org", "a@gmail.com", "a@googlemail.com"},
		"Cyrillic and Greek": {"jane@x.org", "jаne@x.org", "jαne@x.org", "ｊane@x.org"},
		"in the domain":      {"a@apple.org", "a@аpple.org", "a@app1e.org"},
		"sharp s":            {"a@fass.de", "a@faß.de"},
		"final sigma":        {"a@σας.example", "a@σασ.example"},
		"accents":            {"jose@x.org", "josé@x.org", "jośe@x.org"},
		"dotless i":          {"i@x.org", "ı@x.org", "İ@x.org"},
		"width and digits":   {"1@x.org", "１@x.org", "¹@x.org", "١@x.org"},
		"SQL's wildcards":    {"a_b@x.org", "a%b@x.org", "axb@x.org"},
	} {
		seen := map[string]string{}
		for _, s := range different {
			a := parse(t, s)
			if with, there := seen[a.Key]; there {
				t.Errorf("%s: %+q and %+q share the key %+q", name, with, s, a.Key)
			}
			seen[a.Key] = s
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{
		"jane@example.org", "Jane.Doe+news@Example.ORG", "a@bücher.example", "a@xn--bcher-kva.example", "用户@例子.广告", "ΣΑΣ@σας.example",
		"\u03b1\u0316\u0301\u0345@x.org", "ŉ\u0149ẚ@x.org", "a@ｅｘａｍｐｌｅ。org", "a@نامه\u200cای.com",
		"a@b@c", "\xff@\xff", "a\u3164@x.org", "@", "", "\n0@0",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := account.ParseAddress("email", s)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid || a != (account.Address{}) {
				t.Fatalf("%+q was refused with %v and %+v", s, err, a)
			}
			return
		}
		checkAddress(t, s, a)
	})
}

func checkAddress(t *testing.T, s string, a account.Address) {
	if a.Typed != strings.TrimSpace(s) || len(a.Typed) > 254 || !utf8.ValidString(s) || strings.ContainsFunc(a.Typed, unicode.IsControl) {
		t.Fatalf("%+q was accepted as %+q", s, a.Typed)
	}
	local, domain, _ := strings.Cut(a.Key, "@")
	if local == "" || domain == "" || strings.Count(s, "@") != 1 || strings.Count(a.Key, "@") != 1 {
		t.Fatalf("%+q has the key %+q", s, a.Key)
	}
	if !norm.NFC.IsNormalString(a.Key) || domain != strings.ToLower(domain) || strings.ContainsFunc(domain, func(r rune) bool { return r > '~' || r <= ' ' }) {
		t.Fatalf("%+q has the key %+q, which is not in its final form", s, a.Key)
	}
	// The other forms of the same address, where they are addresses: folding and
	// composing can make a local part longer than one may be.
	typed, at, _ := strings.Cut(s, "@")
	for _, form := range []string{s, a.Key, norm.NFC.String(typed) + "@" + at, norm.NFD.String(typed) + "@" + at, local + "@" + strings.ToUpper(domain)} {
		b, err := account.ParseAddress("email", form)
		if err != nil && len(local) <= 64 && len(form) <= 254 && len(form[:strings.LastIndexByte(form, '@')]) <= 64 {
			t.Fatalf("%+q is an address but its other form %+q is not: %v", s, form, err)
		}
		if err == nil && b.Key != a.Key {
			t.Fatalf("%+q has the key %+q, its other form %+q has %+q", s, a.Key, form, b.Key)
		}
	}
}
