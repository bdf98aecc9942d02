package release_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/test/proctest"
)

const (
	commit = "0123456789abcdef0123456789abcdef01234567"
	when   = "1790000000"
)

var shared struct {
	sync.Once
	folder string
	err    error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.folder != "" {
		_ = os.RemoveAll(filepath.Dir(shared.folder))
	}
	os.Exit(code)
}

// made returns the folder of a release v0.1.0 for linux/amd64, which all tests look at.
func made(t *testing.T) string {
	t.Helper()
	shared.Do(func() {
		home, err := os.MkdirTemp("", "gatehouse-made-")
		if err != nil {
			shared.err = err
			return
		}
		shared.folder = filepath.Join(home, "dist")
		if shared.err = os.WriteFile(keyFile("password"), []byte("correct horse battery staple\n"), 0o600); shared.err != nil {
			return
		}
		said, err := exec.Command("sh", "-c", `cat "$3" "$3" | minisign -G -f -s "$1" -p "$2"`, "sh",
			keyFile("key"), keyFile("pub"), keyFile("password")).CombinedOutput()
		if err != nil {
			shared.err = &failure{string(said), err}
			return
		}
		shared.err = release(proctest.File("."), shared.folder, "v0.1.0")
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.folder
}

// keyFile is where the key that signs it is, the public one, or the password.
func keyFile(name string) string { return filepath.Join(filepath.Dir(shared.folder), name) }

// release runs the tool, as `make release` does, on the repository in a folder.
func release(root, out, version string, more ...string) error {
	args := append([]string{"-C", filepath.Join(root, "tools", "release"), "run", ".", "-root", root, "-out", out, "-version", version,
		"-commit", commit, "-time", when, "-targets", "linux/amd64", "-key", keyFile("key"), "-key-password", keyFile("password")}, more...)
	c := exec.Command("go", args...)
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := c.CombinedOutput(); err != nil {
		return &failure{string(said), err}
	}
	return nil
}

type failure struct {
	said string
	err  error
}

func (f *failure) Error() string { return f.err.Error() + "\n" + f.said }

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// copyOf copies what git knows of the repository, changes included, into another folder.
func copyOf(t *testing.T, to string) string {
	t.Helper()
	run(t, "sh", "-c", `mkdir -p "$2" && cd "$1" && git ls-files -z --cached --others --exclude-standard |
		xargs -0 sh -c 'for f; do [ ! -e "$f" ] || printf "%s\0" "$f"; done' sh | tar -c --null -T - | tar -x -C "$2"`, "sh", proctest.File("."), to)
	return to
}

// Two builds in two folders, one with another time zone, language and folder for what is
// temporary: every byte of all files is the same. With GATEHOUSE_SOAK=1 it is the release for
// all systems, and the second build compiles everything anew, without the cache of the first.
func TestTwoFoldersOneHash(t *testing.T) {
	first, files, targets := made(t), 8, "linux/amd64"
	home := t.TempDir()
	if os.Getenv("GATEHOUSE_SOAK") == "1" {
		first, files = filepath.Join(home, "first"), 20
		targets = "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64,windows/arm64"
		if err := release(proctest.File("."), first, "v0.1.0", "-targets", targets); err != nil {
			t.Fatal(err)
		}
		t.Setenv("GOCACHE", filepath.Join(home, "cache"))
	}
	copied := copyOf(t, filepath.Join(home, "a much longer name of a folder", "gatehouse"))
	t.Setenv("TZ", "Asia/Kathmandu")
	t.Setenv("LANG", "de_DE.UTF-8")
	t.Setenv("SOURCE_DATE_EPOCH", "1")
	t.Setenv("TMPDIR", home)
	t.Setenv("GOFLAGS", "-tags=anything -buildvcs=false") // whoever builds may have flags of their own
	second := filepath.Join(home, "dist")
	if err := release(copied, second, "v0.1.0", "-targets", targets); err != nil {
		t.Fatal(err)
	}
	a, b := contents(t, first), contents(t, second)
	for name, text := range a {
		if !bytes.Equal(text, b[name]) {
			t.Errorf("%s differs", name)
		}
		delete(b, name)
	}
	if len(a) != files || len(b) > 0 {
		t.Errorf("the first has %d files, and the second others: %d", len(a), len(b))
	}
}

func contents(t *testing.T, folder string) map[string][]byte {
	t.Helper()
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, f := range files {
		if all[f.Name()], err = os.ReadFile(filepath.Join(folder, f.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// unpacked returns the archive's files, by their names within its folder.
func unpacked(t *testing.T) map[string][]byte {
	t.Helper()
	f, err := os.Open(filepath.Join(made(t), "gatehouse_0.1.0_linux_amd64.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		name, ok := strings.CutPrefix(h.Name, "gatehouse_0.1.0_linux_amd64/")
		if !ok || h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.ModTime.Unix() != 1790000000 {
			t.Errorf("%s belongs to %d:%d %q and is of %v", h.Name, h.Uid, h.Gid, h.Uname, h.ModTime)
		}
		if all[name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

// The binary is static, says what it is, and knows nothing of the machine that built it.
func TestTheBinary(t *testing.T) {
	files := unpacked(t)
	binary := filepath.Join(t.TempDir(), "gatehouse")
	if err := os.WriteFile(binary, files["gatehouse"], 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	image, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	libraries, err := image.ImportedLibraries()
	if err != nil || len(libraries) > 0 || image.Section(".interp") != nil {
		t.Errorf("it needs %v, %v", libraries, err)
	}
	if said := run(t, binary, "version"); !strings.HasPrefix(said, "gatehouse v0.1.0 (commit 0123456789ab, go") {
		t.Errorf("it says %q", said)
	}
	var says struct{ Version, Commit string }
	if err := json.Unmarshal([]byte(run(t, binary, "version", "--json")), &says); err != nil || says.Version != "v0.1.0" || says.Commit != commit {
		t.Errorf("it says %v, %v", says, err)
	}
	cache, err := exec.Command("go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{proctest.File("."), strings.TrimSpace(string(cache)), filepath.Dir(made(t))} {
		if bytes.Contains(files["gatehouse"], []byte(path)) {
			t.Errorf("the binary names the folder %s", path)
		}
	}
	var bill struct {
		Metadata struct{ Component struct{ Version string } }
	}
	if err := json.Unmarshal(files["gatehouse.cdx.json"], &bill); err != nil || bill.Metadata.Component.Version != "v0.1.0" {
		t.Errorf("the bill of materials is of %v, %v", bill, err)
	}
}

// The archive has a manual page for every command, which man takes without a warning, the
// completions, and the licences.
func TestTheArchive(t *testing.T) {
	files := unpacked(t)
	for _, name := range []string{"LICENSE", "NOTICE", "LICENCES", "README.md", "CHANGELOG.md", "SECURITY.md", "completions/gatehouse.bash",
		"completions/gatehouse.zsh", "completions/gatehouse.fish", "man/gatehouse.1", "man/gatehouse-serve.1", "man/gatehouse-user.1"} {
		if len(files[name]) < 100 {
			t.Errorf("%s has %d bytes", name, len(files[name]))
		}
	}
	for name, text := range files {
		if !strings.HasPrefix(name, "man/") {
			continue
		}
		c := exec.Command("groff", "-Kutf8", "-man", "-Tutf8", "-ww", "-z")
		c.Stdin = bytes.NewReader(text)
		if said, err := c.CombinedOutput(); err != nil || len(said) > 0 {
			t.Errorf("%s: %v\n%s", name, err, said)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^\.BR gatehouse\\-(\w+) \(1\)$`).FindAllSubmatch(files["man/gatehouse.1"], -1) {
		if files["man/gatehouse-"+string(m[1])+".1"] == nil {
			t.Errorf("there is no page of gatehouse %s", m[1])
		}
	}
}

// The checksums are those of the files; the signature is over them, and minisign says so: a
// file, the checksums or the signature that was changed is found.
func TestTheSignature(t *testing.T) {
	out := filepath.Join(t.TempDir(), "dist")
	run(t, "cp", "-r", made(t), out)
	verify := func() (string, error) {
		said, err := exec.Command("sh", "-c", `cd "$1" && minisign -V -p "$2" -m SHA256SUMS && sha256sum --check --strict SHA256SUMS`,
			"sh", out, keyFile("pub")).CombinedOutput()
		return string(said), err
	}
	said, err := verify()
	if err != nil || !strings.Contains(said, "file:SHA256SUMS gatehouse v0.1.0") || strings.Count(said, ": OK") != 6 {
		t.Fatalf("%v\n%s", err, said)
	}
	for _, name := range []string{"SHA256SUMS", "SHA256SUMS.minisig", "gatehouse_0.1.0_linux_amd64.deb", "gatehouse_0.1.0_image.tar"} {
		path := filepath.Join(out, name)
		right, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		changed := bytes.Clone(right)
		changed[len(changed)/2] ^= 1
		if err := os.WriteFile(path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		if said, err := verify(); err == nil {
			t.Errorf("%s was changed, and nobody minds: %s", name, said)
		}
		if err := os.WriteFile(path, right, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// The JavaScript client is installed by npm, from its file alone, and has the release's version.
func TestTheJavaScriptPackage(t *testing.T) {
	home := t.TempDir()
	said := run(t, "sh", "-euc", `cd "$1" && npm install --offline --ignore-scripts --no-audit --no-fund "$2" >&2 && cat >main.mjs <<'END' && node main.mjs
import { createRequire } from "node:module";
import { Gatehouse } from "@gatehouse-auth/client";
const client = new Gatehouse({ url: "https://auth.gatehouse.test" });
console.log(client.signedIn, createRequire(import.meta.url)("./node_modules/@gatehouse-auth/client/package.json").version);
END`, "sh", home, filepath.Join(made(t), "gatehouse-auth-client-0.1.0.tgz"))
	if !strings.Contains(said, "false 0.1.0") {
		t.Errorf("it says %s", said)
	}
	files := strings.Fields(run(t, "ls", filepath.Join(home, "node_modules/@gatehouse-auth/client")))
	if strings.Join(files, " ") != "LICENSE README.md gatehouse.d.ts gatehouse.js package.json" {
		t.Errorf("it has %v", files)
	}
}

// What is no version, no commit, or a folder with something in it, is refused.
func TestWhatIsRefused(t *testing.T) {
	made(t)
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "left"), []byte("over"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		`"1.2" is no version`:       {"-version", "1.2"},
		"is no commit":              {"-version", "v1.2.3", "-commit", "HEAD"},
		"is not empty":              {"-version", "v1.2.3", "-out", full},
		`"linux" is no system`:      {"-version", "v1.2.3", "-targets", "linux"},
		"RELEASE_KEY_PASSWORD_FILE": {"-key-password", keyFile("pub")},
	} {
		err := release(proctest.File("."), filepath.Join(t.TempDir(), "dist"), "v0.1.0", args...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", args, err)
		}
	}
}
