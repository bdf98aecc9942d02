package main

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb" // the format deb
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm" // the format rpm
)

// packages writes a target's Debian and RPM packages. What they install, and what their
// scripts do, is in deploy/package.
func (r *release) packages(t target) error {
	contents, err := r.contents(t)
	if err != nil {
		return err
	}
	scripts := func(name string) string { return filepath.Join(r.root, "deploy", "package", name) }
	for format, depends := range map[string][]string{"deb": {"passwd"}, "rpm": {"shadow-utils"}} {
		info := nfpm.WithDefaults(&nfpm.Info{
			Name: "gatehouse", Arch: t.arch, Platform: "linux", Version: r.version, Section: "net", Priority: "optional", MTime: r.made,
			Maintainer: "The Gatehouse authors <gatehouse@localhost>", License: "Apache-2.0", Homepage: "https://github.com/gatehouse-auth/gatehouse",
			Description: "authentication server that is safe by default\nAccounts, passwords, second factors, sessions and tokens in one binary.",
			Overridables: nfpm.Overridables{
				Depends: depends, Recommends: []string{"systemd"}, Contents: copies(contents), Umask: 0o022,
				Scripts: nfpm.Scripts{
					PostInstall: scripts("postinstall.sh"), PreRemove: scripts("preremove.sh"), PostRemove: scripts("postremove.sh"),
				},
				Deb: nfpm.Deb{Compression: "gzip"},
				RPM: nfpm.RPM{Compression: "gzip", BuildHost: "localhost", Summary: "Authentication server that is safe by default"},
			},
		})
		if err := nfpm.PrepareForPackager(info, format); err != nil {
			return fmt.Errorf("%s: %w", format, err)
		}
		p, err := nfpm.Get(format)
		if err != nil {
			return err
		}
		if err := create(filepath.Join(r.out, r.name(t, "."+format)), func(w io.Writer) error { return p.Package(info, w) }); err != nil {
			return fmt.Errorf("%s: %w", format, err)
		}
	}
	return nil
}

// copies are contents of a package's own: preparing it changes them.
func copies(all files.Contents) files.Contents {
	var out files.Contents
	for _, c := range all {
		own, info := *c, *c.FileInfo
		own.FileInfo = &info
		out = append(out, &own)
	}
	return out
}

// contents are the files of a package.
func (r *release) contents(t target) (files.Contents, error) {
	var all files.Contents
	add := func(kind, from, to string, mode os.FileMode) {
		all = append(all, &files.Content{Source: from, Destination: to, Type: kind,
			FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: mode, MTime: r.made}})
	}
	add(files.TypeFile, r.path(t.String(), "gatehouse"), "/usr/bin/gatehouse", 0o755)
	add(files.TypeFile, filepath.Join(r.root, "deploy", "systemd", "gatehouse.service"), "/usr/lib/systemd/system/gatehouse.service", 0o644)
	add(files.TypeDir, "", "/etc/gatehouse", 0o750)
	add(files.TypeConfigNoReplace, filepath.Join(r.root, "deploy", "package", "gatehouse.env"), "/etc/gatehouse/gatehouse.env", 0o640)
	add(files.TypeFile, r.path("completions", "gatehouse.bash"), "/usr/share/bash-completion/completions/gatehouse", 0o644)
	add(files.TypeFile, r.path("completions", "gatehouse.zsh"), "/usr/share/zsh/vendor-completions/_gatehouse", 0o644)
	add(files.TypeFile, r.path("completions", "gatehouse.fish"), "/usr/share/fish/vendor_completions.d/gatehouse.fish", 0o644)
	add(files.TypeFile, filepath.Join(r.root, "LICENSE"), "/usr/share/doc/gatehouse/copyright", 0o644)
	add(files.TypeFile, filepath.Join(r.root, "NOTICE"), "/usr/share/doc/gatehouse/NOTICE", 0o644)
	add(files.TypeFile, r.path("LICENCES"), "/usr/share/doc/gatehouse/LICENCES", 0o644)
	add(files.TypeFile, r.path(t.String(), "gatehouse.cdx.json"), "/usr/share/doc/gatehouse/gatehouse.cdx.json", 0o644)
	pages, err := filepath.Glob(r.path("man", "*.1"))
	if err != nil {
		return nil, err
	}
	for _, page := range pages {
		if err := gzipped(page); err != nil {
			return nil, err
		}
		add(files.TypeFile, page+".gz", "/usr/share/man/man1/"+filepath.Base(page)+".gz", 0o644)
	}
	return all, nil
}

// gzipped writes a file's compressed copy beside it, as man pages are installed.
func gzipped(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var b strings.Builder
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(text); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return write(path+".gz", []byte(b.String()))
}
