package internal_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// sourceFile is a Go file of the product: of what is linked into `gatehouse`, or
// what applications import.
type sourceFile struct {
	path, pkg string // from the root of the repository
	file      *ast.File
	imports   []string
}

// notProduct are folders whose programs are for those who build and measure.
func notProduct(pkg string) bool {
	return forTests(pkg) || pkg == "internal/bench" || strings.HasPrefix(pkg, "internal/base/breach/")
}

var sourceFiles []sourceFile

// product reads all files of the product.
func product(t *testing.T) []sourceFile {
	t.Helper()
	if sourceFiles != nil {
		return sourceFiles
	}
	for _, root := range []string{"../cmd", "../internal", "../verify"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			f := sourceFile{path: strings.TrimPrefix(filepath.ToSlash(path), "../")}
			f.pkg = filepath.ToSlash(filepath.Dir(f.path))
			if notProduct(f.pkg) {
				return nil
			}
			if f.file, err = parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution); err != nil {
				return err
			}
			for _, i := range f.file.Imports {
				name, err := strconv.Unquote(i.Path.Value)
				if err != nil {
					return err
				}
				f.imports = append(f.imports, name)
			}
			sourceFiles = append(sourceFiles, f)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(sourceFiles) < 100 {
		t.Fatalf("only %d files were found", len(sourceFiles))
	}
	return sourceFiles
}

// foreignHashes recomputes the password hashes of other systems, whatever they are made of. What is weak in them is under
// bcrypt before it is stored, and replaced at the next sign-in.
const foreignHashes = "internal/base/password/foreign"

// importedBy holds imports that the product has nowhere, or in these packages
// alone, each with the reason.
var importedBy = map[string][]string{
	"C":                             nil, // V1.4.1: no memory is handled by hand
	"os/exec":                       nil, // V1.2.5: no other program is started
	"plugin":                        nil,
	"unsafe":                        {"internal/base/breach"},                                           // a mapped file, behind a guard
	"crypto/md5":                    {foreignHashes},                                                    // V11.4.1
	"crypto/sha1":                   {"internal/base/breach", "internal/feature/factor", foreignHashes}, // how the breach corpus names passwords; RFC 6238
	"crypto/des":                    nil,                                                                // V11.3.2
	"crypto/rc4":                    nil,
	"crypto/dsa":                    nil,
	"math/rand":                     nil,                                                   // V6.5.3
	"math/rand/v2":                  {"internal/base/db", "internal/base/limit", "verify"}, // how long to wait before a retry
	"crypto/aes":                    {"internal/base/secret", foreignHashes},               // one place seals; Firebase's hashes are made with it
	"crypto/cipher":                 {"internal/base/secret", foreignHashes},               //
	"crypto/subtle":                 {"internal/feature/client"},                           // two comparisons whose results are combined
	"text/template":                 {"internal/feature/notice"},                           // the plain part of mails
	"encoding/gob":                  nil,                                                   // V1.5.2: nothing but JSON is decoded
	"encoding/xml":                  nil,                                                   //
	"net/rpc":                       nil,                                                   //
	"github.com/dlclark/regexp2":    nil,                                                   // V1.3.12: no patterns that backtrack
	"github.com/golang-jwt/jwt/v5":  nil,                                                   // V11.2.1: one library for tokens, in four places
	"github.com/go-jose/go-jose/v4": {"internal/base/keyring", "internal/feature/token", "internal/feature/client", "internal/feature/upstream"},
}

func TestASVS_V1_2_5_V1_3_12_V1_4_1_V6_5_3_V11_3_2_V11_4_1_V11_4_3_WhatIsImported(t *testing.T) {
	for _, f := range product(t) {
		for _, i := range f.imports {
			if allowed, ruled := importedBy[i]; ruled && !slices.Contains(allowed, f.pkg) {
				t.Errorf("%s imports %s", f.path, i)
			}
		}
	}
}

// selectorsOf calls f with each "package.Name" that a file writes.
func selectorsOf(file sourceFile, f func(name string)) {
	ast.Inspect(file.file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok {
				f(x.Name + "." + s.Sel.Name)
			}
		}
		if kv, ok := n.(*ast.KeyValueExpr); ok {
			if k, ok := kv.Key.(*ast.Ident); ok {
				f("." + k.Name)
			}
		}
		return true
	})
}

// forbidden are names that the product does not write, save in these files.
var forbidden = []struct {
	name   *regexp.Regexp
	in     []string
	reason string
}{
	{regexp.MustCompile(`^cipher\.(New(CBC|CFB|CTR|OFB).*|Stream.*|Block.+)$`), []string{
		"internal/base/password/foreign/derive.go", // Firebase's hashes are a key so encrypted
	}, "V11.3.1, V11.3.5: AES-GCM alone"},
	{regexp.MustCompile(`^rsa\.(Encrypt|Decrypt)`), nil, "V11.3.1: nothing is encrypted with RSA"},
	{regexp.MustCompile(`^elliptic\.(P224|Marshal|Unmarshal)$`), nil, "V11.2.3: 128 bits or more"},
	{regexp.MustCompile(`InsecureSkipVerify$`), nil, "V12.3.2: certificates are verified"},
	{regexp.MustCompile(`^tls\.(VersionTLS10|VersionTLS11|VersionSSL30)$`), []string{
		"internal/app/doctortls.go", // whether what stands in front speaks them still
	}, "V12.1.1: TLS 1.2 and 1.3"},
	{regexp.MustCompile(`^template\.(HTML|HTMLAttr|JS|JSStr|CSS|URL|Srcset)$`), []string{
		"internal/base/locale/text.go",                         // our texts' markup, around arguments that it escapes: TestTEST5_ArgumentsStayText
		"internal/door/ui/view.go", "internal/door/ui/part.go", // icons and times, escaped: TestTEST5_EveryPartIsInert
		"internal/door/ui/qr.go", // addresses of apps' secrets, which it looks at: TestAQRCodeLeadsToAnApp
	}, "V1.2.1, V1.3.5: no text is said to be safe"},
	{regexp.MustCompile(`^bytes\.(Equal|Compare)$`), []string{
		"internal/feature/token/token.go", // a token's spelling, after its signature
	}, "V11.2.4: secret.Equal takes the same time whatever it compares"},
	{regexp.MustCompile(`^(reflect\.DeepEqual|bytes\.EqualFold)$`), nil, "V11.2.4"},
	{regexp.MustCompile(`^(fmt\.Print(f|ln)?|log\.(Print|Fatal|Panic).*|os\.Std(out|err))$`), []string{"cmd/gatehouse"},
		"V16.2.3: logs go where they are set to go"},
	{regexp.MustCompile(`^http\.(Get|Head|Post|PostForm|DefaultClient|DefaultTransport|FileServer|ServeFile|Dir|ListenAndServe.*)$`), nil,
		"V13.2.4, V13.4.3: package outbound dials, and nothing is served from the disk"},
	{regexp.MustCompile(`^(net|tls)\.Dial(IP|TCP|UDP|Unix|Timeout|WithDialer)?$`), nil, "V13.2.4: dialers have a time"},
}

func TestASVS_V1_3_5_V11_2_4_V11_3_1_V11_3_5_V12_3_2_V16_2_3_WhatIsNeverWritten(t *testing.T) {
	for _, f := range product(t) {
		selectorsOf(f, func(name string) {
			for _, rule := range forbidden {
				if rule.name.MatchString(name) && !slices.ContainsFunc(rule.in, func(in string) bool { return strings.HasPrefix(f.path, in) }) {
					t.Errorf("%s writes %s (%s)", f.path, name, rule.reason)
				}
			}
		})
	}
}

func TestASVS_V1_4_1_TheBinaryIsBuiltWithoutC(t *testing.T) {
	if !strings.Contains(readFile(t, "Makefile"), "export CGO_ENABLED := 0") {
		t.Error("the Makefile builds with cgo")
	}
}

// Modules come by their hash (go.sum), under names that no public proxy could fill with
// somebody else's code, and from nowhere else than go.mod says.
func TestASVS_V15_2_4_ModulesArePinned(t *testing.T) {
	var mod struct {
		Require []struct{ Path, Version string }
		Replace []struct{ Old struct{ Path string } }
	}
	if err := json.Unmarshal(goCommand(t, "mod", "edit", "-json", "../go.mod"), &mod); err != nil {
		t.Fatal(err)
	}
	if len(mod.Replace) > 0 {
		t.Errorf("go.mod replaces %s", mod.Replace[0].Old.Path)
	}
	sums := readFile(t, "go.sum")
	for _, r := range mod.Require {
		if host, _, _ := strings.Cut(r.Path, "/"); !strings.Contains(host, ".") {
			t.Errorf("%s has no host: any registry could have that name", r.Path)
		}
		if !strings.Contains(sums, r.Path+" "+r.Version+" h1:") && !strings.Contains(sums, r.Path+" "+r.Version+"/go.mod h1:") {
			t.Errorf("go.sum has no hash of %s %s", r.Path, r.Version)
		}
	}
	for _, path := range []string{"Makefile", ".ci/run"} {
		if s := readFile(t, path); regexp.MustCompile(`GONOSUM|GOINSECURE|GONOSUMDB|GOPRIVATE|GOSUMDB|-mod=mod|GOFLAGS`).MatchString(s) {
			t.Errorf("%s weakens the check of modules", path)
		}
	}
}

func TestASVS_V15_4_1_TheRaceDetectorRunsOverAllTests(t *testing.T) {
	check := regexp.MustCompile(`(?m)^check:.*\n(\t.*\n)+`).FindString(readFile(t, "Makefile"))
	all := strings.Contains(check, "./...") ||
		strings.Contains(check, "$(PKG)") && regexp.MustCompile(`(?m)^PKG \?= (.* )?\./\.\.\.$`).MatchString(readFile(t, "Makefile"))
	if !strings.Contains(check, "go test -race") || !all {
		t.Errorf("make check is:\n%s", check)
	}
}

// There is no secret question, and no telephone: no column, no setting, no field.
func TestASVS_V6_4_2_V6_6_1_NoQuestionsAndNoTelephone(t *testing.T) {
	words := regexp.MustCompile(`(?i)\b((password|recovery|reset)_?(hint|reminder)|(security|secret)_?(question|answer)|sms|phone(_number)?|telephone|msisdn)\b`)
	paths := []string{"internal/door/api/openapi.yaml", "docs/configuration.md"}
	for _, pattern := range []string{"internal/base/db/migrations/*/*.sql", "internal/door/page/templates/*.html"} {
		found, err := filepath.Glob("../" + pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(found), err)
		}
		for _, path := range found {
			if filepath.Base(path) != "mails.html" { // which shows developers what a mail looks like on a phone
				paths = append(paths, strings.TrimPrefix(path, "../"))
			}
		}
	}
	for _, path := range paths {
		if found := words.FindString(readFile(t, path)); found != "" {
			t.Errorf("%s has %q", path, found)
		}
	}
}

// The printed nginx block reaches one server, whose name no request has a part in.
func TestASVS_V13_2_5_NginxReachesOneServer(t *testing.T) {
	for _, path := range []string{"internal/app/nginx.conf", "docs/guides/nginx.md"} {
		passes := regexp.MustCompile(`proxy_pass\s+([^;]+);`).FindAllStringSubmatch(readFile(t, path), -1)
		if len(passes) == 0 {
			t.Errorf("%s passes nothing on", path)
		}
		for _, p := range passes {
			if host := regexp.MustCompile(`^https?://([^/]+)`).FindStringSubmatch(p[1]); host == nil || strings.Contains(host[1], "$") {
				t.Errorf("%s passes on to %s", path, p[1])
			}
		}
	}
}

func goCommand(t *testing.T, args ...string) []byte {
	t.Helper()
	out, err := exec.Command("go", args...).Output()
	if err != nil {
		t.Fatalf("go %s: %v", strings.Join(args, " "), err)
	}
	return out
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
