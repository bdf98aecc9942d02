package respond

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"filippo.io/age"
	"golang.org/x/mod/sumdb/note"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

// BundleReport is what was found in an evidence bundle.
type BundleReport struct {
	Manifest
	// Hash is the SHA-256 of the bundle as it lies there: the incident's timeline has the same.
	Hash string `json:"sha256"`
	// Log is what the verification of the sealed log found.
	Log event.Report `json:"log"`
	// Findings are what is not as it was made; there are none in a bundle that is.
	Findings []string `json:"findings"`
}

// mostManifest is how large a manifest may be, in bytes.
const mostManifest = 1 << 20

// errNoBundle is for a file that is none.
var errNoBundle = fault.New(fault.Invalid, "no_bundle", "This is no evidence bundle that the key opens.")

// VerifyBundle opens an evidence bundle and checks it, on any machine and without a database: the signature by the public key
// (what gatehouse incident freeze prints), every file's hash, and the sealed log. logKey is the public key of the log; empty
// takes the one that the manifest names. kept are checkpoints that were kept elsewhere (see [event.VerifyExport]). scratch is a file
// to decrypt into, which the caller removes.
func VerifyBundle(in io.Reader, identities []age.Identity, verifier, logKey string, kept []string, scratch *os.File) (r BundleReport, err error) {
	sum := sha256.New()
	tee := io.TeeReader(in, sum)
	plain, err := age.Decrypt(tee, identities...)
	if err != nil {
		return r, errNoBundle.Because(err)
	}
	size, err := io.Copy(scratch, plain)
	if err != nil {
		return r, errNoBundle.Because(err)
	}
	if _, err := io.Copy(io.Discard, tee); err != nil {
		return r, err
	}
	r.Hash = hex.EncodeToString(sum.Sum(nil))
	z, err := zip.NewReader(scratch, size)
	if err != nil {
		return r, errNoBundle.Because(err)
	}
	if r.Manifest, err = readManifest(z, verifier); err != nil {
		return r, err
	}
	r.Findings = compare(z, r.Files)
	r.Log, err = verifyLog(z, logKey, r.LogKey, kept)
	if err != nil {
		r.Findings = append(r.Findings, "events.jsonl: "+err.Error())
		return r, nil
	}
	for _, f := range r.Log.Findings {
		r.Findings = append(r.Findings, "events.jsonl: "+f.What+": "+f.Text)
	}
	return r, nil
}

// readManifest reads the manifest, which must be signed by the key.
func readManifest(z *zip.Reader, verifier string) (m Manifest, err error) {
	f, err := z.Open(manifestFile)
	if err != nil {
		return m, errNoBundle.Because(err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, mostManifest))
	if err != nil {
		return m, errNoBundle.Because(err)
	}
	v, err := note.NewVerifier(verifier)
	if err != nil {
		return m, fault.New(fault.Invalid, "key_malformed", "That is not a public key of evidence, which looks like NAME+HEX+BASE64.").Because(err)
	}
	n, err := note.Open(raw, note.VerifierList(v))
	if err != nil {
		return m, fault.New(fault.Invalid, "bundle_unsigned", "The manifest is not signed by this key, or was changed since.").Because(err)
	}
	d := json.NewDecoder(bytes.NewReader([]byte(n.Text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil || m.Format != bundleFormat {
		return m, fault.New(fault.Invalid, "bundle_newer", "This bundle is of another version of Gatehouse.").Because(err)
	}
	return m, nil
}

// compare says which files are not those of the manifest.
func compare(z *zip.Reader, files []Sum) (findings []string) {
	findings = []string{}
	known := map[string]Sum{}
	for _, f := range files {
		known[f.Name] = f
	}
	for _, f := range z.File {
		want, ok := known[f.Name]
		delete(known, f.Name)
		switch {
		case f.Name == manifestFile:
		case !ok:
			findings = append(findings, fmt.Sprintf("%q: the manifest does not know it", f.Name))
		default:
			if err := hashes(f, want); err != nil {
				findings = append(findings, f.Name+": "+err.Error())
			}
		}
	}
	for name := range known {
		findings = append(findings, fmt.Sprintf("%q: it is missing", name))
	}
	return findings
}

func hashes(f *zip.File, want Sum) error {
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, io.LimitReader(r, want.Size+1))
	switch {
	case err != nil:
		return err
	case n != want.Size || hex.EncodeToString(sum.Sum(nil)) != want.SHA256:
		return errors.New("it was changed since it was frozen")
	}
	return nil
}

func verifyLog(z *zip.Reader, logKey, named string, kept []string) (event.Report, error) {
	f, err := z.Open("events.jsonl")
	if err != nil {
		return event.Report{}, err
	}
	defer f.Close()
	if logKey == "" {
		logKey = named
	}
	return event.VerifyExport(f, logKey, kept...)
}
