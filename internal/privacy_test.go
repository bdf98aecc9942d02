package internal_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/schema"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
)

func namesOf(fields []schema.Field) (names []string) {
	for _, f := range fields {
		names = append(names, f.Name)
	}
	return slices.Sorted(slices.Values(names))
}

// Each claim of an access token and of an ID token, each field that a line of the log may have, and each mail is in the inventory, with its
// class and why.
func TestASVS_V14_1_1_GDPR1_ClaimsLogsAndMailsAreInTheInventory(t *testing.T) {
	var claims []string
	for _, of := range []reflect.Type{reflect.TypeFor[token.Claims](), reflect.TypeFor[token.ID](), reflect.TypeFor[token.Person]()} {
		for f := range of.Fields() {
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "-" && !f.Anonymous {
				claims = append(claims, name)
			}
		}
	}
	slices.Sort(claims)
	claims = slices.Compact(claims)
	if got := namesOf(schema.Claims); !slices.Equal(got, claims) {
		t.Errorf("claims: the inventory has %v, a token %v", got, claims)
	}
	source, err := os.ReadFile("feature/notice/kind.go")
	if err != nil {
		t.Fatal(err)
	}
	var mails []string
	for _, m := range regexp.MustCompile(`(?m)^\t\w+ +Kind = "(\w+)"`).FindAllSubmatch(source, -1) {
		mails = append(mails, string(m[1]))
	}
	slices.Sort(mails)
	if got := namesOf(schema.Mails); !slices.Equal(got, mails) {
		t.Errorf("mails: the inventory has %v, package notice %v", got, mails)
	}
	logged := map[string]bool{}
	for _, path := range []string{"door/web", "feature/event"} {
		files, err := os.ReadDir(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
				continue
			}
			source, err := os.ReadFile(path + "/" + file.Name())
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`slog\.(?:String|Any|Int|Int64|Duration|Float64|Bool)\("([a-z_]+)"`).FindAllSubmatch(source, -1) {
				logged[string(m[1])] = true
			}
		}
	}
	got := namesOf(schema.LogFields)
	for _, name := range slices.Sorted(maps.Keys(logged)) {
		if !slices.Contains(got, name) {
			t.Errorf("the field %s of the log is not in the inventory", name)
		}
	}
	for _, list := range [][]schema.Field{schema.Claims, schema.LogFields, schema.Mails} {
		for _, f := range list {
			known := f.Class == schema.Plain || slices.ContainsFunc(schema.Classes, func(r schema.ClassRule) bool { return r.Class == f.Class })
			if f.Why == "" || !known {
				t.Errorf("%s does not say why, or has no class", f.Name)
			}
		}
	}
}

// docs/privacy.md is what the inventory says.
func TestASVS_V14_1_2_GDPR1_ThePageIsTheInventory(t *testing.T) {
	const path = "../docs/privacy.md"
	page := privacyPage()
	if *update {
		if err := os.WriteFile(path, page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(old, page) {
		t.Error("docs/privacy.md is not what base/schema says: go test ./internal -run TestASVS -update")
	}
}

func privacyPage() []byte {
	b := bytes.NewBufferString("# What is known of people\n\n" +
		"Made from the inventory in code (`internal/base/schema`): `go test ./internal -run TestASVS -update`. A test holds it against both databases,\n" +
		"so a column that is not here fails the build. What people agree to is in [guides/documents.md](guides/documents.md).\n\n" +
		"## Classes\n\nEach value is in one class, and each class has one set of rules, wherever its values are.\n\n" +
		"| class | what | stored | who sees it | logged | kept |\n|---|---|---|---|---|---|\n")
	for _, c := range schema.Classes {
		fmt.Fprintf(b, "| **%s** | %s | %s | %s | %s | %s |\n", c.Class, c.What, c.Stored, c.Seen, c.Logged, c.Kept)
	}
	b.WriteString("\nPlain values tell nothing about a person: counts, versions, ends of a wait.\n\n## Tables\n\n" +
		"An erasure goes by the column that says whose a row is.\n\n| table | why | how long | whose | columns |\n|---|---|---|---|---|\n")
	for _, p := range schema.Inventory {
		whose := "`" + p.Person + "`"
		if p.Person == "" {
			whose = p.Erased
		}
		var columns []string
		for _, class := range []schema.Class{schema.Credential, schema.Identity, schema.Trace, schema.Reference, schema.Plain} {
			if names := p.Columns[class]; len(names) > 0 {
				columns = append(columns, fmt.Sprintf("%s: `%s`", class, strings.Join(names, "`, `")))
			}
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", p.Table, p.Why, p.Until, whose, strings.Join(columns, "; "))
	}
	fmt.Fprintf(b, "\nThese know nothing of anybody: `%s`.\n", strings.Join(slices.Sorted(slices.Values(schema.Impersonal)), "`, `"))
	for _, list := range []struct {
		title, about, column string
		fields               []schema.Field
	}{
		{"Access tokens", "Applications and proxies read them. They last ACCESS_TOKEN_EXPIRE_MINUTES, and are signed, not sealed: they hold no address and no name.",
			"claim", schema.Claims},
		{"The server's log", "On standard error, and where EVENT_FORWARD sends the events. Both are outside: rotate them within 30 days.", "field", schema.LogFields},
		{"Mails", "To the person's own address, save the last. They wait in the outbox, sealed.", "mail", schema.Mails},
	} {
		fmt.Fprintf(b, "\n## %s\n\n%s\n\n| %s | class | why |\n|---|---|---|\n", list.title, list.about, list.column)
		for _, f := range list.fields {
			fmt.Fprintf(b, "| `%s` | %s | %s |\n", f.Name, f.Class, f.Why)
		}
	}
	b.WriteString("\n## Outside\n\n" +
		"- **Backups** hold all of this, encrypted, for as long as BACKUP_KEEP says (100 days by default): what was erased is in them until they go.\n" +
		"- **Redis** has keyed hashes of networks and accounts, for the window of a limit at most.\n" +
		"- **Browsers** keep cookies: the session, the language, and that the browser is known (90 days).\n" +
		"- **Mail servers, logs and whoever gets EVENT_FORWARD** keep what they are sent for as long as they do: bound it there.\n")
	return b.Bytes()
}
