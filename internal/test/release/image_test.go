package release_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

type descriptor struct {
	MediaType, Digest string
	Size              int64
	Platform          struct{ OS, Architecture string }
}

// image is the OCI archive, by the names in it.
type image map[string][]byte

func readImage(t *testing.T) image {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(made(t), "gatehouse_0.1.0_image.tar"))
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > 40<<20 {
		t.Errorf("the image has %d bytes", len(text))
	}
	all := image{}
	for r := tar.NewReader(bytes.NewReader(text)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if all[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

// blob returns what a descriptor points at, if its hash and size are right.
func (i image) blob(t *testing.T, d descriptor) []byte {
	t.Helper()
	text := i["blobs/"+strings.Replace(d.Digest, ":", "/", 1)]
	if int64(len(text)) != d.Size || fmt.Sprintf("sha256:%x", sha256.Sum256(text)) != d.Digest {
		t.Fatalf("the blob %s has %d bytes, or another hash", d.Digest, len(text))
	}
	return text
}

func into(t *testing.T, text []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatalf("%v in %.200s", err, text)
	}
}

// unpack writes the layer into a folder as the container's root.
func (i image) unpack(t *testing.T, layer descriptor) (folder string) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(i.blob(t, layer)))
	if err != nil {
		t.Fatal(err)
	}
	folder = filepath.Join(t.TempDir(), "root")
	if err := os.Mkdir(folder, 0o755); err != nil { //nolint:gosec // a root folder
		t.Fatal(err)
	}
	c := exec.Command("tar", "-x", "--same-owner", "--same-permissions", "-C", folder)
	c.Stdin = z
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return folder
}

// The container stands on nothing, runs as 65532 on a root folder that is read-only, checks
// its own health, and ends by SIGTERM. No shell is in it.
func TestTheContainer(t *testing.T) {
	i := readImage(t)
	var index, of, manifest struct {
		SchemaVersion int
		MediaType     string
		Manifests     []descriptor
		Config        descriptor
		Layers        []descriptor
	}
	into(t, i["index.json"], &index)
	into(t, i.blob(t, index.Manifests[0]), &of)
	if len(of.Manifests) != 1 || of.Manifests[0].Platform.Architecture != "amd64" || of.MediaType != "application/vnd.oci.image.index.v1+json" {
		t.Errorf("the index is %+v", of)
	}
	into(t, i.blob(t, of.Manifests[0]), &manifest)
	if len(manifest.Layers) != 1 || manifest.MediaType != "application/vnd.oci.image.manifest.v1+json" {
		t.Fatalf("the manifest is %+v", manifest)
	}
	var config struct {
		Config struct {
			User, WorkingDir     string
			Entrypoint, Cmd, Env []string
			Healthcheck          struct{ Test []string }
		}
	}
	into(t, i.blob(t, manifest.Config), &config)
	c := config.Config
	if c.User != "65532:65532" || !slices.Equal(c.Healthcheck.Test, []string{"CMD", "/usr/bin/gatehouse", "health"}) {
		t.Errorf("the configuration is %+v", c)
	}
	root := i.unpack(t, manifest.Layers[0])
	if others := run(t, "find", root, "-type", "f", "-perm", "/111", "-not", "-name", "gatehouse"); others != "" {
		t.Errorf("there are other programs in it: %s", others)
	}
	if writable := run(t, "find", root, "-perm", "/022", "-not", "-name", "tmp"); writable != "" {
		t.Errorf("these can be written to: %s", writable)
	}
	// A folder for what is kept, as a volume is mounted; all else is read-only, there is no /proc and no /dev.
	script := `mount --bind "$1" "$1" && mount -t tmpfs -o mode=700,uid=65532,gid=65532 tmpfs "$1/data" && mount -o remount,bind,ro "$1"
		root=$1; shift; exec env -i "$@" $(command -v chroot) --userspec=65532:65532 "$root" ` + strings.Join(append(c.Entrypoint, c.Cmd...), " ")
	address, admin := freeAddress(t), freeAddress(t)
	settings := append(slices.Clone(c.Env), "LISTEN_ADDR="+address, "ADMIN_LISTEN_ADDR="+admin)
	server := exec.Command("unshare", append([]string{"--mount", "--propagation", "private", "sh", "-euc", script, "sh", root}, settings...)...)
	var log strings.Builder
	server.Stdout, server.Stderr = &log, &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ask := func() *exec.Cmd {
		health := exec.Command("chroot", append([]string{"--userspec=65532:65532", root}, c.Healthcheck.Test[1:]...)...)
		health.Env = settings
		return health
	}
	ready(t, &log, ask)
	if status := run(t, "grep", "-E", "^(Uid|Gid|Groups):", fmt.Sprintf("/proc/%d/status", server.Process.Pid)); strings.Contains(status, "\t0") {
		t.Errorf("it runs as %s", status)
	}
	stops(t, server, &log)
	if strings.Contains(log.String(), `"level":"ERROR"`) {
		t.Errorf("it complains: %s", &log)
	}
	if err := ask().Run(); err == nil {
		t.Error("it is healthy though it does not run")
	}
}
