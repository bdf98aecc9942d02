package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// nobody is who the container runs as: a number that belongs to nobody on any distribution.
const nobody = 65532

// image writes the container of all Linux targets as one OCI archive. No daemon and no
// registry has a part in it: it stands on nothing (FROM scratch).
func (r *release) image() error {
	var index v1.ImageIndex = mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, t := range r.targets {
		if t.system != "linux" {
			continue
		}
		img, err := r.imageOf(t)
		if err != nil {
			return err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: t.arch}},
		})
	}
	folder := r.path("image")
	path, err := layout.Write(folder, empty.Index)
	if err != nil {
		return err
	}
	number := strings.TrimPrefix(r.version, "v")
	if err := path.AppendIndex(index, layout.WithAnnotations(map[string]string{
		"org.opencontainers.image.ref.name": number, "io.containerd.image.name": "gatehouse:" + number,
	})); err != nil {
		return err
	}
	var entries []entry
	err = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(folder, path)
			entries = append(entries, entry{filepath.ToSlash(name), path, 0o644})
		}
		return err
	})
	if err != nil {
		return err
	}
	return create(filepath.Join(r.out, "gatehouse_"+number+"_image.tar"), func(w io.Writer) error { return tarred(w, entries, r.made) })
}

func (r *release) imageOf(t target) (v1.Image, error) {
	files, err := r.imageFiles(t)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files)), nil },
		tarball.WithCompressedCaching, tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.DefaultCompression))
	if err != nil {
		return nil, err
	}
	img, err := mutate.Append(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), mutate.Addendum{
		Layer: layer, MediaType: types.OCILayer, History: v1.History{Created: v1.Time{Time: r.made}, CreatedBy: "tools/release"},
	})
	if err != nil {
		return nil, err
	}
	return mutate.ConfigFile(img, r.imageConfig(t, img))
}

// imageConfig says how the image is run. OCI has no health check; Docker's, which is kept
// here beside the rest, is read by Docker and Podman, and Kubernetes has probes.
func (r *release) imageConfig(t target, img v1.Image) *v1.ConfigFile {
	c, err := img.ConfigFile()
	if err != nil {
		c = &v1.ConfigFile{}
	}
	c = c.DeepCopy()
	c.OS, c.Architecture, c.Created, c.Author = "linux", t.arch, v1.Time{Time: r.made}, "The Gatehouse authors"
	c.Config = v1.Config{
		User: "65532:65532", WorkingDir: "/", Entrypoint: []string{"/usr/bin/gatehouse"}, Cmd: []string{"serve"},
		Env:          []string{"PATH=/usr/bin"},
		ExposedPorts: map[string]struct{}{"8000/tcp": {}}, Volumes: map[string]struct{}{"/data": {}},
		StopSignal: "SIGTERM",
		Healthcheck: &v1.HealthConfig{
			Test: []string{"CMD", "/usr/bin/gatehouse", "health"}, Interval: 10 * time.Second, Timeout: 5 * time.Second, StartPeriod: 30 * time.Second, Retries: 3,
		},
		Labels: map[string]string{
			"org.opencontainers.image.title": "gatehouse", "org.opencontainers.image.version": strings.TrimPrefix(r.version, "v"),
			"org.opencontainers.image.revision": r.commit, "org.opencontainers.image.licenses": "Apache-2.0",
			"org.opencontainers.image.source":      "https://github.com/gatehouse-auth/gatehouse",
			"org.opencontainers.image.description": "An authentication server that is safe by default.",
			"org.opencontainers.image.created":     r.made.Format(time.RFC3339),
		},
	}
	return c
}

// imageFiles is the file tree as tar: the binary, whom it runs as, the authorities that it
// trusts, the licences, and the one folder that is written to.
func (r *release) imageFiles(t target) ([]byte, error) {
	binary, err := os.ReadFile(r.path(t.String(), "gatehouse"))
	if err != nil {
		return nil, err
	}
	licences, err := os.ReadFile(r.path("LICENCES"))
	if err != nil {
		return nil, err
	}
	roots, err := authorities()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range []struct {
		name string
		mode int64
		user int
		text []byte
	}{
		{"data/", 0o700, nobody, nil},
		{"etc/", 0o755, 0, nil},
		{"etc/group", 0o644, 0, []byte("root:x:0:\ngatehouse:x:65532:\n")},
		{"etc/passwd", 0o644, 0, []byte("root:x:0:0:root:/:/sbin/nologin\ngatehouse:x:65532:65532:gatehouse:/data:/sbin/nologin\n")},
		{"etc/ssl/", 0o755, 0, nil},
		{"etc/ssl/certs/", 0o755, 0, nil},
		{"etc/ssl/certs/ca-certificates.crt", 0o644, 0, roots},
		{"tmp/", 0o1777, 0, nil},
		{"usr/", 0o755, 0, nil},
		{"usr/bin/", 0o755, 0, nil},
		{"usr/bin/gatehouse", 0o755, 0, binary},
		{"usr/share/", 0o755, 0, nil},
		{"usr/share/doc/", 0o755, 0, nil},
		{"usr/share/doc/gatehouse/", 0o755, 0, nil},
		{"usr/share/doc/gatehouse/LICENCES", 0o644, 0, licences},
	} {
		h := &tar.Header{
			Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: int64(len(f.text)), ModTime: r.made, Format: tar.FormatUSTAR, Uid: f.user, Gid: f.user,
		}
		if strings.HasSuffix(f.name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.text); err != nil {
			return nil, err
		}
	}
	err = w.Close()
	return b.Bytes(), err
}

// authorities are Mozilla's, in PEM. Those with conditions that a file can't state, such as
// the day up to which they are believed, are left out.
func authorities() ([]byte, error) {
	var b bytes.Buffer
	n := 0
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, err
		}
		n++
	}
	if n < 50 {
		return nil, errors.New("the list of authorities is too short to be true")
	}
	return b.Bytes(), nil
}
