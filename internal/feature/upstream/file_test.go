package upstream_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/feature/upstream"
)

const good = "{id: corp, kind: oidc, name: Corp, issuer: https://corp.example, client_id: x, secret_file: s"

// What is wrong with a file is said, with the provider that it is about.
func TestWhatIsWrongWithAFileIsSaid(t *testing.T) {
	google := "{id: google, kind: google, client_id: x, secret_file: s"
	apple := "{id: apple, kind: apple, client_id: x, key_file: k, key_id: i, team_id: t"
	microsoft := "{id: ms, kind: microsoft, client_id: x, secret_file: s, tenants: [9188040d-6c67-4c5b-b112-36a304b66dad]"
	for text, want := range map[string]string{
		"providers: [" + good + "}]":                    "",
		"providers: [" + google + ", signup: no}]":      "",
		"providers: [" + google + ", hd: [A.example]}]": "",
		"providers: [" + apple + "}]":                   "",
		"providers: [" + microsoft + "}]":               "",
		"providers: []":                                 "",
		"{}":                                            "",
		"providers: [" + good + ", oops: 1}]":           `unknown field "oops"`,
		"provider: []":                                  `unknown field "provider"`,
		"providers: [null]":                             "is empty",
		"providers: [" + good + "}, " + good + "}]":     "it is there twice",
		"providers: [" + good + "}, " + strings.Replace(good, "id: corp", "id: other", 1) + "}]":                       `is that of "corp" too`,
		"providers: [" + strings.Replace(good, "id: corp", "id: Corp", 1) + "}]":                                       "id has up to 32",
		"providers: [" + strings.Replace(good, "id: corp", "id: a/b", 1) + "}]":                                        "id has up to 32",
		"providers: [" + strings.Replace(good, "kind: oidc", "kind: saml", 1) + "}]":                                   "kind is one of",
		"providers: [" + strings.Replace(good, "https:", "http:", 1) + "}]":                                            "issuer is an https address",
		"providers: [" + strings.Replace(good, "https://corp.example,", "'https://corp.example?a=b',", 1) + "}]":       "to the letter",
		"providers: [" + strings.Replace(good, "https://corp", "https://a@corp", 1) + "}]":                             "to the letter",
		"providers: [" + strings.Replace(good, "issuer: https://corp.example, ", "", 1) + "}]":                         "to the letter",
		"providers: [" + strings.Replace(good, "client_id: x", "client_id: ''", 1) + "}]":                              "client_id",
		"providers: [" + strings.Replace(good, "name: Corp, ", "", 1) + "}]":                                           "name is what people read",
		"providers: [" + strings.Replace(good, ", secret_file: s", "", 1) + "}]":                                       "secret_file",
		"providers: [" + good + ", signup: yes}]":                                                                      "cannot unmarshal bool",
		"providers: [" + good + ", signup: [a@b]}]":                                                                    `"a@b" is no domain`,
		"providers: [" + good + ", authoritative_for: ['*']}]":                                                         "* is not one",
		"providers: [" + good + ", only: ['*']}]":                                                                      "* is not one",
		"providers: [" + good + ", hd: [a.example]}]":                                                                  "hd is Google's",
		"providers: [" + good + ", tenants: [x]}]":                                                                     "tenants are Microsoft's",
		"providers: [" + good + ", key_id: x}]":                                                                        "are Apple's",
		"providers: [" + strings.Replace(apple, ", key_id: i", "", 1) + "}]":                                           "apple has key_file",
		"providers: [" + apple + ", secret_file: s}]":                                                                  "apple has key_file",
		"providers: [" + strings.Replace(microsoft, ", tenants: [9188040d-6c67-4c5b-b112-36a304b66dad]", "", 1) + "}]": "tenants are the ids",
		"providers: [" + strings.Replace(microsoft, "9188040d-", "", 1) + "}]":                                         "is no id of one",
		"providers: [{id: gh, kind: github, client_id: x, secret_file: s, authoritative_for: [a.example]}]":            "github gives no addresses out",
		"providers: [" + good + ", only: [a.example]}, " + google + ", only: [a.example]}]":                            `which "corp" has too`,
	} {
		_, err := upstream.ParseFile([]byte(text), false)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s\n  %v, want %q", text, err, want)
		}
	}
}

// FuzzParseFile: whatever is in a file, it is read or refused with a reason, and what is read reads again as the same.
func FuzzParseFile(f *testing.F) {
	f.Add("providers: [" + good + "}]")
	f.Add("providers: [" + good + ", signup: [a.example, '*'], only: [b.example], trusted_email: true}]")
	f.Add("\xef\xbb\xbf{}")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := upstream.ParseFile([]byte(text), false)
		if err != nil {
			if err.Error() == "" {
				t.Error("a refusal that says nothing")
			}
			return
		}
		out, err := json.Marshal(map[string]any{"providers": list})
		if err != nil {
			t.Fatal(err)
		}
		again, err := upstream.ParseFile(out, false)
		if err != nil || len(again) != len(list) {
			t.Errorf("%q is read, and %s is not: %v", text, out, err)
		}
		for _, p := range list {
			if !strings.HasPrefix(p.Issuer, "https://") {
				t.Errorf("the issuer %q", p.Issuer)
			}
		}
	})
}
