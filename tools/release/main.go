// Command release makes what is handed to others: a static binary for each system with its
// bill of materials, archives, Debian and RPM packages, a container image as OCI archive,
// their checksums, and a signature over those. The same commit yields the same bytes in
// whatever folder: nothing in them tells of the machine or of the hour.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"aead.dev/minisign"
)

// release is what is made, and from what.
type release struct {
	root    string // of the repository
	out     string // where everything goes: an empty folder, or none yet
	scratch string // for what goes into archives
	version string // as v1.2.3
	commit  string // in full
	made    time.Time
	targets []target
	key     *minisign.PrivateKey // none: no signature
}

// target is a system that a binary is for.
type target struct{ system, arch string }

func (t target) String() string { return t.system + "_" + t.arch }

// every is what a release is for.
const every = "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64,windows/arm64"

func main() {
	var (
		r                      release
		targets, key, password string
		seconds                int64
	)
	flag.StringVar(&r.root, "root", "../..", "the repository's `folder`")
	flag.StringVar(&r.out, "out", "", "the `folder` that everything is written into; it must be empty, or not exist")
	flag.StringVar(&r.version, "version", "", "the version, as v1.2.3")
	flag.StringVar(&r.commit, "commit", "", "the commit's `hash`")
	flag.Int64Var(&seconds, "time", 0, "when that was committed, in `seconds` since 1970")
	flag.StringVar(&targets, "targets", every, "the systems")
	flag.StringVar(&key, "key", "", "a `file` with the secret key of minisign that signs the checksums")
	flag.StringVar(&password, "key-password", "", "a `file` with the password of that key")
	flag.Parse()
	err := r.parse(targets, seconds)
	if err == nil {
		err = r.readKey(key, password)
	}
	if err == nil {
		err = r.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// semantic is a version as packages take it.
var semantic = regexp.MustCompile(`^v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`)

func (r *release) parse(targets string, seconds int64) (err error) {
	switch {
	case !semantic.MatchString(r.version):
		return fmt.Errorf("%q is no version: write v1.2.3", r.version)
	case !regexp.MustCompile(`^[0-9a-f]{40}$`).MatchString(r.commit):
		return fmt.Errorf("%q is no commit: write its 40 digits", r.commit)
	case seconds <= 0:
		return errors.New("-time is missing: git log -1 --format=%ct prints it")
	case r.out == "":
		return errors.New("-out is missing: the folder to write into")
	}
	if found, _ := os.ReadDir(r.out); len(found) > 0 {
		return fmt.Errorf("%s is not empty: a release has nothing in it of another", r.out)
	}
	r.made = time.Unix(seconds, 0).UTC()
	for text := range strings.SplitSeq(targets, ",") {
		system, arch, ok := strings.Cut(text, "/")
		if !ok {
			return fmt.Errorf("%q is no system: write linux/amd64", text)
		}
		r.targets = append(r.targets, target{system, arch})
	}
	if r.root, err = filepath.Abs(r.root); err == nil {
		r.out, err = filepath.Abs(r.out)
	}
	return err
}

func (r *release) run() (err error) {
	if r.scratch, err = os.MkdirTemp("", "gatehouse-release-"); err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, os.RemoveAll(r.scratch)) }()
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	for _, t := range r.targets {
		if err := r.binary(t); err != nil {
			return err
		}
	}
	if err := r.documents(); err != nil {
		return err
	}
	for _, t := range r.targets {
		if err := r.archive(t); err != nil {
			return err
		}
		if t.system != "linux" {
			continue
		}
		if err := r.packages(t); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(r.targets, func(t target) bool { return t.system == "linux" }) {
		if err := r.image(); err != nil {
			return err
		}
	}
	if err := r.client(); err != nil {
		return err
	}
	if err := r.checksums(); err != nil {
		return err
	}
	return r.sign()
}

// name is what a file of the release is called.
func (r *release) name(t target, ending string) string {
	return "gatehouse_" + strings.TrimPrefix(r.version, "v") + "_" + t.String() + ending
}

// path of a file that goes into archives.
func (r *release) path(name ...string) string {
	return filepath.Join(append([]string{r.scratch}, name...)...)
}
