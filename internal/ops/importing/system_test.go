package importing

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/password/foreign"
)

// seen is what a system's file says of a person, in one line.
func seen(p Person) string {
	kind := fmt.Sprint(p.Why)
	if p.Why == nil {
		kind = p.Hash.Kind()
	}
	return fmt.Sprintf("%s|%s|%s|%s|verified=%t|disabled=%t|%s|%s", p.ID, p.Email, p.Name, p.Locale, p.Verified, p.Disabled, strings.Join(p.Roles, " "), kind)
}

// Each system's export, in its own shape, with made-up people.
func TestExportsOfEverySystem(t *testing.T) {
	none := foreign.ErrNone.Error()
	for _, c := range []struct {
		system, file string
		want         []string
	}{
		{"django", "django.json", []string{
			"1|ada@example.org|Ada Lovelace||verified=false|disabled=false||pbkdf2-sha256",
			"2|grace@example.org|||verified=false|disabled=false||argon2id",
			"3|alan@example.org|Alan||verified=false|disabled=false||bcrypt-sha256",
			"4|old@example.org|||verified=false|disabled=false||md5",
			"5|none@example.org|||verified=false|disabled=true||" + none,
		}},
		{"django", "django.csv", []string{
			"7|linus@example.org|Linus O'Brien, Jr.||verified=false|disabled=false||pbkdf2-sha256",
			"8|gone@example.org|||verified=false|disabled=true||pbkdf2-sha256",
		}},
		{"keycloak", "keycloak.json", []string{
			"0b7c9c1e-6f0e-4d5e-9f43-1f2d3c4b5a01|ada@example.org|Ada Lovelace|de|verified=true|disabled=false|editor|pbkdf2-sha256",
			"0b7c9c1e-6f0e-4d5e-9f43-1f2d3c4b5a02|grace@example.org|||verified=false|disabled=false||argon2id",
			"0b7c9c1e-6f0e-4d5e-9f43-1f2d3c4b5a03|alan@example.org|||verified=true|disabled=false||pbkdf2-sha512",
			"0b7c9c1e-6f0e-4d5e-9f43-1f2d3c4b5a04|old@example.org|||verified=true|disabled=false||pbkdf2-sha1",
			"0b7c9c1e-6f0e-4d5e-9f43-1f2d3c4b5a05|gone@example.org|||verified=true|disabled=true||" + none,
		}},
		{"firebase", "firebase.json", []string{
			"3hY7Rk2uTqPwLxN9vBzC5dFgJ1a2|ada@example.org|Ada Lovelace||verified=true|disabled=false||firescrypt",
			"9Qm4Ws8eRtYuIoP0aSdFgHjKlZx2|grace@example.org|||verified=true|disabled=false||" + none,
			"anonymous0000000000000000000||||verified=false|disabled=false||" + none,
		}},
		{"supabase", "supabase.csv", []string{
			"5f1c1111-0000-4000-8000-000000000001|ada@example.org|Ada Lovelace||verified=true|disabled=false||bcrypt",
			"5f1c1111-0000-4000-8000-000000000002|grace@example.org|||verified=false|disabled=true||firescrypt",
		}},
		{"auth0", "auth0.ndjson", []string{
			"60425dc43519d90068f82973|ada@example.org|||verified=true|disabled=false||bcrypt",
			"60425dc43519d90068f82974|grace@example.org|||verified=false|disabled=false||bcrypt",
			"auth0|60425dc43519d90068f82975|gone@example.org|Alan Turing||verified=true|disabled=true||" + none,
		}},
		{"kratos", "kratos.json", []string{
			"9f425a8d-7efc-4768-8f23-7647a74fdf13|ada@example.org|Ada Lovelace||verified=true|disabled=false||bcrypt",
			"9f425a8d-7efc-4768-8f23-7647a74fdf14|grace@example.org|Grace Hopper||verified=false|disabled=true||argon2id",
			"9f425a8d-7efc-4768-8f23-7647a74fdf15|old@example.org|||verified=false|disabled=false||sha1",
		}},
		{"zitadel", "zitadel.json", []string{
			"104133391271651848|ada@example.org|Ada Lovelace|de|verified=true|disabled=false||bcrypt",
			"104133391271651849|grace@example.org|Grace Hopper||verified=false|disabled=false||scrypt",
		}},
		{"devise", "devise.csv", []string{
			"1|ada@example.org|Ada Lovelace|fr|verified=true|disabled=false||bcrypt",
			"2|grace@example.org|||verified=false|disabled=false||bcrypt",
		}},
		{"csv", "plain.csv", []string{
			"a-1|ada@example.org|Ada Lovelace|de|verified=true|disabled=false|editor writer|sha1",
			"a-2|grace@example.org|||verified=false|disabled=false||" + none,
		}},
		{"csv", "plain.jsonl", []string{
			"17|ada@example.org|Ada Lovelace||verified=true|disabled=false|editor|bcrypt",
			"|grace@example.org|||verified=false|disabled=false||" + none,
		}},
	} {
		t.Run(c.file, func(t *testing.T) {
			text, err := os.ReadFile("testdata/" + c.file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := people(c.system, string(text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// people reads a file.
func people(name, text string) (out []string, err error) {
	s := systems[name]
	key := foreign.FirebaseKey{
		SignerKey:     "jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==",
		SaltSeparator: "Bw==", Rounds: 8, MemCost: 14,
	}
	err = s.each(strings.NewReader(text), func(r record) error {
		if r.code != "" {
			out = append(out, r.code)
			return nil
		}
		p, err := s.person(r.raw, key)
		switch {
		case errors.Is(err, errSkip):
		case err != nil:
			out = append(out, "malformed")
		default:
			out = append(out, seen(p))
		}
		return nil
	})
	return out, err
}

// Where a name to sign in with is used as the address, nothing that the system says of the address is about it.
func TestANameIsNoVerifiedAddress(t *testing.T) {
	for _, c := range []struct {
		system, text          string
		email                 string
		login, told, vouching bool // vouching is with --all-verified
	}{
		{"keycloak", `[{"username":"eve@example.org","emailVerified":true}]`, "eve@example.org", true, false, false},
		{"keycloak", `[{"username":"eve@example.org","email":"e@example.org","emailVerified":true}]`, "e@example.org", false, true, true},
		{"django", `[{"username":"eve@example.org","password":"!"}]`, "eve@example.org", true, false, false},
		{"django", `[{"username":"eve@example.org","email":"e@example.org","password":"!"}]`, "e@example.org", false, false, true},
		{"zitadel", `{"humanUsers":[{"user":{"userName":"eve@example.org","email":{"isEmailVerified":true}}}]}`, "eve@example.org", true, false, false},
		{"kratos", `[{"credentials":{"password":{"identifiers":["eve@example.org"]}}}]`, "eve@example.org", true, false, false},
		{"kratos", `[{"credentials":{"password":{"identifiers":["eve@example.org"]}},` +
			`"verifiable_addresses":[{"value":"eve@example.org","via":"email","verified":true}]}]`, "eve@example.org", false, true, true},
		{"auth0", `{"email_verified":true,"identifiers":[{"type":"email","value":"eve@example.org","verified":false}]}`, "eve@example.org", false, false, true},
		{"auth0", `{"email_verified":false,"identifiers":[{"type":"email","value":"eve@example.org","verified":true}]}`, "eve@example.org", false, true, true},
		{"auth0", `{"email":"e@example.org","email_verified":true,"identifiers":[{"type":"email","value":"eve@example.org","verified":false}]}`,
			"e@example.org", false, true, true},
	} {
		s, n := systems[c.system], 0
		err := s.each(strings.NewReader(c.text), func(r record) error {
			n++
			p, err := s.person(r.raw, foreign.FirebaseKey{})
			if err != nil || p.Email != c.email || p.Login != c.login {
				t.Errorf("%s: %+v, %v", c.text, p, err)
			}
			if told := p.verified(Options{TrustVerified: true}); told != c.told {
				t.Errorf("%s: believed, it is verified: %t", c.text, told)
			}
			if vouching := p.verified(Options{AllVerified: true}); vouching != c.vouching {
				t.Errorf("%s: vouched for, it is verified: %t", c.text, vouching)
			}
			if p.verified(Options{}) {
				t.Errorf("%s: nobody asked, and it is verified", c.text)
			}
			return nil
		})
		if err != nil || n != 1 {
			t.Errorf("%s: %d, %v", c.text, n, err)
		}
	}
}

// What is no such file is refused, and what is wrong with one person refuses that one.
func TestBrokenFiles(t *testing.T) {
	long := `"` + strings.Repeat("x", mostRecord+1) + `"`
	for _, c := range []struct{ system, text, code string }{
		{"csv", "", "not_people"},
		{"csv", "\xef\xbb\xbf \n", "not_people"},
		{"csv", "name,id\nAda,1\n", "no_header"},
		{"csv", "email\n\"ada@example.org\n", "broken_file"},
		{"csv", `[{"email":"ada@example.org"}`, "broken_file"},
		{"csv", `[{"email":"ada@example.org"}] x`, "broken_file"},
		{"csv", `{"email":"ada@example.org"} {`, "broken_file"},
		{"csv", `{"email":"` + strings.Repeat("x", 2*mostRead), "broken_file"},
		{"csv", `{"email":[` + strings.Repeat("1,", mostRead), "not_people"},
		{"csv", "email\n" + strings.Repeat("x", 2*mostRead), "not_people"},
		{"keycloak", `{"users":{"a":1}}`, "not_people"},
		{"keycloak", `{"realm":` + strings.Repeat("[", 200), "not_people"},
		{"zitadel", strings.Repeat(`{"orgs":[`, 200), "not_people"},
		{"zitadel", `{"orgs":[1]}`, "not_people"},
	} {
		_, err := people(c.system, c.text)
		if f := fault.As(err); f == nil || f.Code != c.code {
			t.Errorf("%s, %.60q: %v, not %s", c.system, c.text, err, c.code)
		}
	}
	for _, c := range []struct {
		system, text string
		want         []string
	}{
		{"csv", `[1,{"email":[]},{"email":` + long + `},{"email":"` + "\xff" + `"}]`, []string{"malformed", "malformed", "too_long", "not_utf8"}},
		{"csv", "email,name\na@b.c\nx\xff,\n" + long + ",\n", []string{"wrong_number_of_fields", "not_utf8", "too_long"}},
		{"keycloak", `[{"username":"x@example.org","credentials":[{"type":"password","secretData":"{","credentialData":"{}"}]}]`,
			[]string{"|x@example.org|||verified=false|disabled=false||" + foreign.ErrRefused.Error()}},
		{"keycloak", `{"clients":` + long + `,"users":[]}`, nil},
		// However long a string is, and wherever in it a piece ends that is read at once: its entry alone is refused.
		{"csv", `[1,{"picture":"` + strings.Repeat(`\"\\\u00e9é`, mostRead) + `"},{"email":[]}]`, []string{"malformed", "too_long", "malformed"}},
		{"csv", `[{"email":[` + strings.Repeat("1,", mostRecord*2) + `1]},{"email":[]}]`, []string{"too_long", "malformed"}},
		{"csv", "email,name\n" + strings.Repeat("x", 8*mostRecord) + ",\nx\xff,\n", []string{"too_long", "not_utf8"}},
		// A file of Keycloak's that is several in one.
		{"keycloak", `{"users":[{"username":"x@example.org"}]}` + "\n" + `{"users":[{"username":"y@example.org"}]}`, []string{
			"|x@example.org|||verified=false|disabled=false||" + foreign.ErrNone.Error(), "|y@example.org|||verified=false|disabled=false||" + foreign.ErrNone.Error(),
		}},
	} {
		got, err := people(c.system, c.text)
		if err != nil {
			t.Errorf("%.60q: %v", c.text, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%.60q (-want +got):\n%s", c.text, diff)
		}
	}
}

// Wherever in an escape a string gets too long, what is left is a string.
func TestAStringIsClippedBetweenItsEscapes(t *testing.T) {
	for _, escape := range []string{`\"`, `\\`, `\u0022`, `\u00e9`, "é", `\n`} {
		for shift := range 8 {
			text := `[{"a":"` + strings.Repeat("x", shift) + strings.Repeat(escape, mostRecord) + `"},{"b":"\""}]`
			var got []map[string]string
			if err := json.NewDecoder(&clip{r: strings.NewReader(text)}).Decode(&got); err != nil || len(got) != 2 || got[1]["b"] != `"` {
				t.Errorf("%s, %d: %d, %v", escape, shift, len(got), err)
			}
		}
	}
}

// FuzzFile: whatever a file has, it is read to its end or refused, and takes no more memory than a person may.
func FuzzFile(f *testing.F) {
	files, err := os.ReadDir("testdata")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		if file.IsDir() {
			continue
		}
		text, err := os.ReadFile("testdata/" + file.Name())
		if err != nil {
			f.Fatal(err)
		}
		for n := range Systems() {
			f.Add(uint8(n), string(text)) //nolint:gosec // there are nine
		}
	}
	f.Fuzz(func(t *testing.T, n uint8, text string) {
		name := Systems()[int(n)%len(systems)]
		err := systems[name].each(strings.NewReader(text), func(r record) error {
			if r.code == "" && (len(r.raw) > 8*mostRecord || !json.Valid(r.raw)) {
				t.Errorf("%d bytes", len(r.raw))
			}
			if r.code == "" {
				_, _ = systems[name].person(r.raw, foreign.FirebaseKey{})
			}
			return nil
		})
		if err != nil && fault.As(err) == nil {
			t.Errorf("%T %v", err, err)
		}
	})
}
