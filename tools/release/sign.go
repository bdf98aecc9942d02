package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"aead.dev/minisign"
)

// sums is the file with the checksums, as sha256sum -c reads it.
const sums = "SHA256SUMS"

func (r *release) checksums() error {
	files, err := os.ReadDir(r.out) // in the order of their names
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(r.out, f.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "%x  %s\n", sha256.Sum256(b), f.Name())
	}
	return write(filepath.Join(r.out, sums), []byte(text.String()))
}

// readKey reads the key that signs, before anything is built.
func (r *release) readKey(path, passwordFile string) error {
	if path == "" {
		return nil
	}
	password := ""
	if passwordFile != "" {
		b, err := os.ReadFile(passwordFile)
		if err != nil {
			return err
		}
		password = strings.TrimRight(string(b), "\r\n")
	}
	key, err := minisign.PrivateKeyFromFile(password, path)
	if err != nil {
		return fmt.Errorf("the key in %s can't be read; is its password in RELEASE_KEY_PASSWORD_FILE? %w", path, err)
	}
	r.key = &key
	return nil
}

// sign writes minisign's signature over the checksums, and so over everything. Its trusted
// comment names the version, so that nobody passes an older release off as this one.
func (r *release) sign() error {
	if r.key == nil {
		fmt.Fprintln(os.Stderr, "release: NOT SIGNED: RELEASE_KEY_FILE names no key")
		return nil
	}
	text, err := os.ReadFile(filepath.Join(r.out, sums))
	if err != nil {
		return err
	}
	comment := fmt.Sprintf("timestamp:%d file:%s gatehouse %s", r.made.Unix(), sums, r.version)
	return write(filepath.Join(r.out, sums+".minisig"), minisign.SignWithComments(*r.key, text, comment, "signature of gatehouse "+r.version))
}
