package main

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"cmp"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// entry is a file of an archive: what it is called there, and where it is now.
type entry struct {
	name, from string
	mode       fs.FileMode
}

// documentsOf are the files beside the binary, in the order of their names.
func (r *release) documentsOf(t target) ([]entry, error) {
	entries := []entry{
		{"LICENCES", r.path("LICENCES"), 0o644},
		{"gatehouse.cdx.json", r.path(t.String(), "gatehouse.cdx.json"), 0o644},
	}
	for _, name := range []string{"LICENSE", "NOTICE", "README.md", "CHANGELOG.md", "SECURITY.md"} {
		entries = append(entries, entry{name, filepath.Join(r.root, name), 0o644})
	}
	for _, folder := range []string{"completions", "man"} {
		files, err := os.ReadDir(r.path(folder))
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			entries = append(entries, entry{folder + "/" + f.Name(), r.path(folder, f.Name()), 0o644})
		}
	}
	return entries, nil
}

// archive writes a target's: gzipped tar, and zip for Windows. Everything lies in one folder.
func (r *release) archive(t target) error {
	entries, err := r.documentsOf(t)
	if err != nil {
		return err
	}
	entries = append(entries, entry{program(t), r.path(t.String(), program(t)), 0o755})
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	for i := range entries {
		entries[i].name = r.name(t, "") + "/" + entries[i].name
	}
	if t.system == "windows" {
		return create(filepath.Join(r.out, r.name(t, ".zip")), func(w io.Writer) error { return zipped(w, entries, r.made) })
	}
	return create(filepath.Join(r.out, r.name(t, ".tar.gz")), func(w io.Writer) error {
		z := gzip.NewWriter(w)
		return cmp.Or(tarred(z, entries, r.made), z.Close())
	})
}

// create writes a file, wholly or with an error.
func create(path string, fill func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // for everybody to read
	if err != nil {
		return err
	}
	b := bufio.NewWriter(f)
	return cmp.Or(fill(b), b.Flush(), f.Close())
}

// tarred writes the entries as root's, at one time.
func tarred(w io.Writer, entries []entry, made time.Time) error {
	t := tar.NewWriter(w)
	for _, e := range entries {
		text, err := os.ReadFile(e.from)
		if err != nil {
			return err
		}
		header := &tar.Header{
			Typeflag: tar.TypeReg, Name: e.name, Size: int64(len(text)), Mode: int64(e.mode), ModTime: made, Format: tar.FormatPAX,
		}
		if err := t.WriteHeader(header); err != nil {
			return err
		}
		if _, err := t.Write(text); err != nil {
			return err
		}
	}
	return t.Close()
}

func zipped(w io.Writer, entries []entry, made time.Time) error {
	z := zip.NewWriter(w)
	for _, e := range entries {
		text, err := os.ReadFile(e.from)
		if err != nil {
			return err
		}
		header := &zip.FileHeader{Name: e.name, Method: zip.Deflate, Modified: made}
		header.SetMode(e.mode)
		f, err := z.CreateHeader(header)
		if err != nil {
			return err
		}
		if _, err := f.Write(text); err != nil {
			return err
		}
	}
	return z.Close()
}
