package account_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
)

// checkFault wants an invalid-input fault with the code about the field, or no
// error if code is empty.
func checkFault(t *testing.T, err error, field, code string) {
	t.Helper()
	f := fault.As(err)
	switch {
	case code == "" && err != nil:
		t.Errorf("refused: %v", err)
	case code != "" && (f == nil || f.Kind != fault.Invalid || f.Code != code || f.Field != field || f.Message == ""):
		t.Errorf("error %#v, want %s about %s", err, code, field)
	}
}

// ASVS 1.3.3, 16.4.1: names are cut at the door, and can't forge a line.
func TestCheckName(t *testing.T) {
	for name, code := range map[string]string{
		"":                                  "",
		"Jane Doe":                          "",
		"Ursula K. Le Guin, 3rd":            "",
		"O'Brien-Müller":                    "",
		"山田 太郎":                             "",
		"علی\u200cرضا":                      "", // with a zero-width non-joiner
		"<b>Jane</b> {{.Secret}} %s":        "", // text, for whoever shows it to escape
		"👩🏽‍🚀":                              "", // held together by a joiner
		strings.Repeat("é", 100):            "",
		strings.Repeat("e\u0301", 50):       "",
		strings.Repeat("é", 101):            "name_too_long",
		strings.Repeat("x", 1<<16):          "name_too_long",
		"Jane\nDoe":                         "invalid_name",
		"Jane\r\nX-Evil: 1":                 "invalid_name",
		"Jane\x00":                          "invalid_name",
		"Jane\x1b[31m":                      "invalid_name",
		"Jane\u0085Doe":                     "invalid_name",
		"Jane\u2028Doe":                     "invalid_name",
		"Jane\u2029Doe":                     "invalid_name",
		"Jane\u200bDoe":                     "invalid_name",
		"Jane\u202eeoD":                     "invalid_name",
		"Ja\u00adne":                        "invalid_name",
		"\ufeffJane":                        "invalid_name",
		"Jane\u2066Doe\u2069":               "invalid_name",
		"Jane" + string(rune(0xe0041)):      "invalid_name",
		strings.Repeat("x", 101) + "\u200b": "name_too_long",
	} {
		t.Run(fmt.Sprintf("%.20q", name), func(t *testing.T) {
			checkFault(t, account.CheckName("name", name), "name", code)
		})
	}
}

func TestParseLocale(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "en": "en", "EN": "en", "de-at": "de-AT", "pt_br": "pt-BR", "zh-hant-tw": "zh-Hant-TW", "sr-Latn": "sr-Latn",
		"de-1996": "de-1996", "en-u-hc-h23": "en-u-hc-h23", "i-klingon": "tlh", "iw": "he",
	} {
		got, err := account.ParseLocale("locale", in)
		if err != nil || got != want {
			t.Errorf("%q: %q, error %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{
		" ", "e", "englisch-und-deutsch", "xx-XX-xx", "en-", "-en", "en--us", "en US", "en;q=0.8", "en,de", "*", "en\n", "\x00", "\xff", "../../etc/passwd",
		"sh-x-aaaaaaaa-aaaaaaaa-aaaaaaaa-aaa", // 35 bytes, but 40 once it is sr-Latn
		"en'--", "de-DE@euro", "en-u-" + strings.Repeat("aaa-", 20) + "aaa", strings.Repeat("a", 1<<16),
	} {
		got, err := account.ParseLocale("locale", in)
		checkFault(t, err, "locale", "invalid_locale")
		if got != "" {
			t.Errorf("%q was refused and gave %q", in, got)
		}
	}
}

func FuzzParseLocale(f *testing.F) {
	for _, s := range []string{"en", "de-AT", "zh-Hant-TW", "sh", "en-US-POSIX", "i-klingon", "en-u-hc-h23", "x-private", "de_DE.UTF-8", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := account.ParseLocale("locale", s)
		if err != nil {
			return
		}
		if len(got) > 35 || strings.Trim(got, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			t.Fatalf("%q was accepted as %q", s, got)
		}
		// What is answered can be sent back, and then stays as it is.
		if again, err := account.ParseLocale("locale", got); err != nil || again != got {
			t.Fatalf("%q is %q, which is %q, error %v", s, got, again, err)
		}
	})
}
