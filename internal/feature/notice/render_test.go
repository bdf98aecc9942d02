package notice_test

import (
	"html"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
)

func render(t *testing.T, x *notice.Texts, m notice.Mail) notice.Rendered {
	t.Helper()
	r, err := x.Render(m)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Each mail says what, when and from where, and carries every way to act on it, in
// both parts and both languages.
func TestEveryMailTellsItsFacts(t *testing.T) {
	x := texts(t)
	for _, locale := range []string{"en", "de", "fr", "es", "ar"} {
		for _, k := range notice.Kinds() {
			m := full(k)
			m.Locale = locale
			r := render(t, x, m)
			if r.Language != locale || !strings.Contains(r.Subject, "login.example.org") {
				t.Errorf("%s in %s: %q in %s", k, locale, r.Subject, r.Language)
			}
			facts := []string{m.Link, m.Code, m.Undo, "Ada Lovelace", strings.Join(m.Roles, ", "), m.Alert.Rule, m.Alert.What, m.Alert.Look, m.Message}
			switch k {
			case notice.AlertRaised: // that comes from nobody
				facts = append(facts, m.NotMe, "2026-11-24 09:05 UTC")
			case notice.FactorResetAsked, notice.AccountInactive: // these from those who run the service
				facts = append(facts, "2026-11-25 09:05 UTC")
			case notice.FactorResetDone, notice.IncidentNotice:
			case notice.FactorAdded, notice.RecoveryCodesMade: // the undo does what "this wasn't me" would, and more
				facts = append(facts, "2026-11-24 09:05 UTC", "203.0.113.7", "Firefox", "Linux")
			default:
				facts = append(facts, m.NotMe, "2026-11-24 09:05 UTC", "203.0.113.7", "Firefox", "Linux")
			}
			for _, fact := range facts {
				if !strings.Contains(r.Text, fact) || !strings.Contains(html.UnescapeString(r.HTML), fact) {
					t.Errorf("%s in %s does not tell %q:\n%s", k, locale, fact, r.Text)
				}
			}
			if m.NewAddress != "" && (!strings.Contains(r.Text, "m…@bücher.example") || strings.Contains(r.Text, "mallory")) {
				t.Errorf("%s: the new address:\n%s", k, r.Text)
			}
			if strings.Contains(r.Text, "Mozilla") || regexp.MustCompile(`(?i)<img|<script|url\(|src=`).MatchString(r.HTML) ||
				regexp.MustCompile(`[\x00-\x08\x0b-\x1f]`).MatchString(r.Text+r.HTML) {
				t.Errorf("%s holds what it should not:\n%s\n%s", k, r.Text, r.HTML)
			}
			least := notice.Mail{Kind: k, To: m.To, Locale: locale, At: start, Link: m.Link, LinkLife: m.LinkLife, Code: m.Code, CodeLife: m.CodeLife, Undo: m.Undo,
				UndoLife: m.UndoLife, NewAddress: m.NewAddress, Alert: m.Alert, Due: m.Due, Message: m.Message}
			if bare := render(t, x, least); strings.Contains(bare.Text, "\n\n\n") || strings.Contains(bare.Text, "  \n") {
				t.Errorf("%s with little to tell:\n%s", k, bare.Text)
			}
		}
	}
}

func TestMailIsInTheAccountsLanguage(t *testing.T) {
	x := texts(t)
	for locale, want := range map[string]string{"": "en", "en": "en", "en-GB": "en", "de": "de", "de-AT": "de", "de-Latn-CH-1996": "de", "fr": "fr", "ar-EG": "ar",
		"es-MX": "es", "zh-Hant": "en", "../de": "en", "\x00": "en", strings.Repeat("de-", 1000): "en"} {
		m := full(notice.NewSignIn)
		if m.Locale = locale; render(t, x, m).Language != want {
			t.Errorf("%.20q is written in %s", locale, render(t, x, m).Language)
		}
	}
}

// What strangers choose can't speak through a mail: names that are messages are
// not shown, and nothing breaks out of its line.
func TestMailRepeatsNothingOfStrangers(t *testing.T) {
	x := texts(t)
	for name, shown := range map[string]bool{
		"Ada Lovelace": true, "J. R. R. Tolkien": true, "Anne-Marie O'Neil": true, "Łukasz Żółć": true, "李小龙": true, "Ada 2": true, "": true,
		"http://evil.example": false, "evil.example": false, "Visit evil.example now": false, "You won! Call": false, "a@evil.example": false,
		"Ada\r\nBcc: eve@example.org": false, "Ada\n\nClick here": false, "\u202eadA": false, "<b>Ada</b>": false, "{{.Link}}": false,
		"\x01Click\x03https://evil.example": false,
		strings.Repeat("a", 51):             false, "your account was hacked please call us now": false, "evil․example": false, "Ada&lt;": false,
	} {
		m := full(notice.NewSignIn)
		m.Name = name
		r := render(t, x, m)
		if got := strings.HasPrefix(r.Text, "Hello "+name+",") || name == "" && strings.HasPrefix(r.Text, "Hello,"); got != shown {
			t.Errorf("%q: %.60q", name, r.Text)
		}
		if strings.Contains(r.Subject, "\n") || strings.Contains(r.HTML, "<b>") || strings.Contains(r.Text+r.HTML, "evil") && name != "" {
			t.Errorf("%q is repeated:\n%s", name, r.Text)
		}
	}
	m := full(notice.AddressChanged)
	m.UserAgent, m.NewAddress = "Firefox/1 \r\nX: y <script>alert(1)</script> Linux http://evil.example", "e\r\nBcc: x@<script>.example\u202e"
	r := render(t, x, m)
	if strings.Contains(r.Text, "\r") || strings.Contains(r.Text+r.HTML, "evil") || strings.Contains(r.HTML, "<script>") ||
		strings.ContainsRune(r.Text, '\u202e') {
		t.Errorf("%s\n%s", r.Text, r.HTML)
	}
	if !strings.Contains(r.Text, "With: Firefox on Linux\n") {
		t.Errorf("%s", r.Text)
	}
}

func FuzzMailIsOneMailWhateverItIsMadeOf(f *testing.F) {
	f.Add("Ada", "Mozilla/5.0 (Windows NT 10.0)", "b@example.org", "de", "admin")
	f.Add("\x01x\x03y", "Firefox/\n\n\x02code", "\x01@\n\n", "\u2028", "\x02\n\n\x01")
	x, err := notice.NewTexts("https://login.example.org", "")
	if err != nil {
		f.Fatal(err)
	}
	calm := full(notice.AddressChanged)
	calm.Name, calm.NewAddress = "Ada", "b@example.org"
	want, err := x.Render(calm)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name, agent, address, locale, role string) {
		m := full(notice.AddressChanged)
		m.Name, m.UserAgent, m.NewAddress, m.Locale = name, agent, address, locale
		r := render(t, x, m)
		if r.Language == "en" && strings.Count(r.HTML, "<") != strings.Count(want.HTML, "<") && strings.Contains(r.HTML, "With:") {
			t.Errorf("other tags:\n%s", r.HTML)
		}
		if strings.ContainsAny(r.Text, "\x00\x01\x02\x03\r") || strings.ContainsAny(r.Subject, "\r\n") {
			t.Errorf("%q", r.Text)
		}
		m = full(notice.RolesChanged)
		m.Roles = []string{role}
		if r := render(t, x, m); strings.ContainsAny(r.Text, "\x00\x01\x02\x03\r") {
			t.Errorf("%q", r.Text)
		}
	})
}

func TestMailTemplatesOfOnesOwn(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("en/new_sign_in.txt", "Subject: Hi from {{.Site}}\r\n\r\nSomebody came at {{.When}}.\r\n")
	put("en/password_changed.html", "<p>{{.Name}}, {{.Site}}</p>")
	put(".git/x", "anything")
	x, err := notice.NewTexts("https://login.example.org", dir)
	if err != nil {
		t.Fatal(err)
	}
	if r := render(t, x, full(notice.NewSignIn)); r.Subject != "Hi from login.example.org" ||
		!strings.HasPrefix(r.Text, "Somebody came at 2026-11-24 09:05 UTC.\n\n-- \n") || !strings.Contains(r.HTML, ">Somebody came") {
		t.Errorf("%+v", r)
	}
	if r := render(t, x, full(notice.PasswordChanged)); r.HTML != "<p>Ada Lovelace, login.example.org</p>" {
		t.Errorf("%s", r.HTML)
	}
	// All errors are reported at once.
	put("en/reset_password.txt", "Subject: Hi\n\nno link, no code")
	put("en/new_sign_in.txt", "Hello")
	put("en/roles_changed.txt", "Subject: {{.Nothing}}\n\nx")
	put("en/locked_out.txt", "Subject: x\n\n{{if}}")
	put("en/tokenreused.txt", "x")
	put("not a language/x.txt", "x")
	put("it/common.txt", `{{define "foot"}}Ciao{{end}}`)
	put("logo.png", "x")
	_, err = notice.NewTexts("https://login.example.org", dir)
	wantAll(t, err, "en/tokenreused.txt", "not a language", "logo.png")
	for _, name := range []string{"en/tokenreused.txt", "not a language", "logo.png"} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	_, err = notice.NewTexts("https://login.example.org", dir)
	wantAll(t, err, "en/locked_out.txt", "it/reset_password.txt: it is missing")
	if err := os.RemoveAll(filepath.Join(dir, "it")); err != nil {
		t.Fatal(err)
	}
	put("en/locked_out.txt", "Subject: x\n\n{{button \"a\" .NotMe}} b")
	_, err = notice.NewTexts("https://login.example.org", dir)
	wantAll(t, err, "en/reset_password: it does not show the link", "en/reset_password: it does not show the code", "en/new_sign_in: it does not begin",
		"en/roles_changed", "Nothing")
	if _, err := notice.NewTexts("https://login.example.org", filepath.Join(dir, "none")); err == nil {
		t.Error("a folder that does not exist")
	}
}

func wantAll(t *testing.T, err error, words ...string) {
	t.Helper()
	for _, w := range words {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("not reported: %s, in\n%v", w, err)
		}
	}
}
