package internal_test

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
)

// cryptography are imports of which the inventory must know.
var cryptography = regexp.MustCompile(`^crypto(/|$)|^math/rand|^golang\.org/x/crypto/|/go-jose/|/sumdb/|/jwt/|^filippo\.io/`)

// docs/cryptography.md names every package that imports cryptography, and what: one
// that comes, and one that goes, is an error until the inventory says so.
func TestASVS_V11_1_2_V11_1_3_TheInventoryIsWhatIsImported(t *testing.T) {
	doc := readFile(t, "docs/cryptography.md")
	written := map[string][]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `((?:internal|cmd|verify)[^`]*)` \\| ([^|]*) \\| [^|]+ \\|$").FindAllStringSubmatch(doc, -1) {
		for _, i := range strings.Split(m[2], ", ") {
			written[m[1]] = append(written[m[1]], strings.Trim(i, "`"))
		}
	}
	found := map[string][]string{}
	for _, f := range product(t) {
		for _, i := range f.imports {
			if cryptography.MatchString(i) && !slices.Contains(found[f.pkg], i) {
				found[f.pkg] = append(found[f.pkg], i)
			}
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(found)) {
		slices.Sort(found[pkg])
		if !slices.Equal(found[pkg], written[pkg]) {
			t.Errorf("docs/cryptography.md should say | `%s` | `%s` |", pkg, strings.Join(found[pkg], "`, `"))
		}
		delete(written, pkg)
	}
	for pkg := range written {
		t.Errorf("docs/cryptography.md names %s, which imports no cryptography", pkg)
	}
}

// vetted are the implementations of cryptography from outside the standard library
// that the binary is linked with: those of the Go project, go-jose above it, and age with
// what it is made of, by the Go project's former cryptographer.
var vetted = []*regexp.Regexp{
	regexp.MustCompile(`^golang\.org/x/(crypto|mod)/`), regexp.MustCompile(`^github\.com/go-jose/go-jose/v4`),
	regexp.MustCompile(`^filippo\.io/(age|hpke|edwards25519)`),
	// What go-webauthn brings for attestations and algorithms that we never ask for: internal/feature/factor refuses a
	// key of another algorithm, and makes every attestation "none", before they are looked at.
	regexp.MustCompile(`^github\.com/go-webauthn/x/crypto/secp256k1(/ecdsa)?$|^github\.com/golang-jwt/jwt/v5$`),
	// What minio-go could make checksums with; ours are made with crypto/md5, and guard nothing: see internal/base/outbound/bucket.go.
	regexp.MustCompile(`^github\.com/minio/md5-simd$`),
	// Hash tables, file names and messages, which guard nothing.
	regexp.MustCompile(`xxhash`), regexp.MustCompile(`/pgpassfile$|/pgproto3$|/hashtag$`),
}

func TestASVS_V11_2_1_OnlyVettedImplementationsAreLinked(t *testing.T) {
	names := regexp.MustCompile(`(?i)crypto|cipher|jose|jwt|jwe|jws|pgp|/hash|hash(/|$)|argon|bcrypt|scrypt|blake|sha[0-9]|md5|nacl|aead|ed25519|secp|curve|tls|x509|hmac|/rand`)
	for path := range strings.FieldsSeq(string(goCommand(t, "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "../cmd/gatehouse"))) {
		if names.MatchString(path) && !strings.HasPrefix(path, module) && !slices.ContainsFunc(vetted, func(v *regexp.Regexp) bool { return v.MatchString(path) }) {
			t.Errorf("the binary is linked with %s", path)
		}
	}
}

// Every key has a line in the table of keys, which says who made it, and how it is
// replaced and destroyed; every use of cryptography names what comes after it.
func TestASVS_V11_1_1_V11_1_4_V13_1_4_EveryKeyHasItsLine(t *testing.T) {
	doc := readFile(t, "docs/cryptography.md")
	_, keys, ok := strings.Cut(doc, "## Every key")
	if !ok {
		t.Fatal("docs/cryptography.md has no table of keys")
	}
	named := map[string]bool{}
	for line := range strings.Lines(keys) {
		cells := strings.Split(line, "|")
		if !strings.HasPrefix(line, "| ") || len(cells) != 9 {
			continue
		}
		for _, name := range regexp.MustCompile("[A-Z][A-Z_]{6,}|`[a-z0-9-]+`").FindAllString(cells[1], -1) {
			named[strings.Trim(name, "`")] = true
		}
		for i, what := range []string{"made by", "kept in", "read by", "replaced"} {
			if strings.TrimSpace(cells[i+2]) == "" {
				t.Errorf("the line of %s does not say %s", cells[1], what)
			}
		}
	}
	for _, p := range keyring.Purposes() {
		if !named[string(p)] {
			t.Errorf("docs/cryptography.md has no line for the key %s of the ring", p)
		}
	}
	for _, m := range regexp.MustCompile("`([A-Z_]+)_FILE` may name a file").FindAllStringSubmatch(readFile(t, "docs/configuration.md"), -1) {
		if m[1] != "NAME" && !named[m[1]] {
			t.Errorf("docs/cryptography.md has no line for the secret %s", m[1])
		}
	}
	uses, _, _ := strings.Cut(doc, "## Where")
	for line := range strings.Lines(uses) {
		if cells := strings.Split(line, "|"); strings.HasPrefix(line, "| ") && (len(cells) != 7 || strings.TrimSpace(cells[5]) == "") {
			t.Errorf("what comes after this? %s", line)
		}
	}
}
