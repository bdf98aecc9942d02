package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// client writes the JavaScript client as npm installs it, with this release's version.
func (r *release) client() error {
	from := filepath.Join(r.root, "clients", "js")
	manifest, err := os.ReadFile(filepath.Join(from, "package.json"))
	if err != nil {
		return err
	}
	const none = `"version": "0.0.0"`
	number := strings.TrimPrefix(r.version, "v")
	if !bytes.Contains(manifest, []byte(none)) {
		return errors.New("clients/js/package.json has no " + none + " to put the version in its place")
	}
	manifest = bytes.Replace(manifest, []byte(none), []byte(`"version": "`+number+`"`), 1)
	if err := write(r.path("npm", "package.json"), manifest); err != nil {
		return err
	}
	entries := []entry{
		{"package/LICENSE", filepath.Join(r.root, "LICENSE"), 0o644},
		{"package/README.md", filepath.Join(from, "README.md"), 0o644},
		{"package/gatehouse.d.ts", filepath.Join(from, "gatehouse.d.ts"), 0o644},
		{"package/gatehouse.js", filepath.Join(from, "gatehouse.js"), 0o644},
		{"package/package.json", r.path("npm", "package.json"), 0o644},
	}
	return create(filepath.Join(r.out, "gatehouse-auth-client-"+number+".tgz"), func(w io.Writer) error {
		z := gzip.NewWriter(w)
		return cmp.Or(tarred(z, entries, r.made), z.Close())
	})
}
