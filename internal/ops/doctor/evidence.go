package doctor

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/notary"
)

// Evidence is what a bundle for an auditor has beside the report.
type Evidence struct {
	// Install is the installation's name, and EventKey what the signing key is made from.
	Install, EventKey string
	// Binary is the SHA-256 of the program's file.
	Binary string
	// Settings are those in force, with secrets covered.
	Settings any
	// Baseline is the file of accepted risks, as it was given; empty if there was none.
	Baseline []byte
}

const (
	statementFile = "STATEMENT.note"
	evidenceForm  = "gatehouse doctor evidence 1"
)

func evidenceSigner(key, install string) (*notary.Signer, error) {
	return notary.New(key, "gatehouse/"+install+"/doctor", "gatehouse/doctor/1")
}

// WriteEvidence writes a bundle into a new folder of a folder: the report in every form, the settings, the accepted risks, and a
// signed statement of when it was and of what the files are. It returns that folder, and the public key that checks the signature.
// A folder that is whole has its own name; one that was broken off has not.
func (r Report) WriteEvidence(dir string, e Evidence) (folder, verifier string, err error) {
	signer, err := evidenceSigner(e.EventKey, e.Install)
	if err != nil {
		return "", "", err
	}
	folder = filepath.Join(dir, "gatehouse-doctor-"+r.At.UTC().Format("20060102T150405Z"))
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		return "", "", fault.New(fault.Conflict, "evidence_exists", folder+" is there already.")
	}
	partial := folder + ".partial"
	if err := os.Mkdir(partial, 0o700); err != nil {
		return "", "", err
	}
	lines := []string{
		evidenceForm, "installation: " + e.Install, "service: " + plainLine(r.Service), "looked at: " + r.At.UTC().Format(time.RFC3339),
		"version: " + plainLine(r.Version), "program: sha256 " + e.Binary, "found: " + r.Summary(), "",
	}
	for _, file := range r.evidenceFiles(e) {
		sum, err := writeSummed(filepath.Join(partial, file.name), file.write)
		if err != nil {
			return "", "", err
		}
		lines = append(lines, sum+"  "+file.name)
	}
	signed, err := signer.Sign(strings.Join(lines, "\n") + "\n")
	if err != nil {
		return "", "", err
	}
	if err := os.WriteFile(filepath.Join(partial, statementFile), signed, 0o600); err != nil {
		return "", "", err
	}
	return folder, signer.Verifier, os.Rename(partial, folder)
}

type evidenceFile struct {
	name  string
	write func(w io.Writer) error
}

func (r Report) evidenceFiles(e Evidence) []evidenceFile {
	in := func(f Format) func(io.Writer) error { return func(w io.Writer) error { return r.Write(w, f) } }
	list := []evidenceFile{
		{"report.txt", in(Text)}, {"report.html", in(HTML)}, {"report.md", in(Markdown)}, {"report.json", in(JSON)}, {"report.sarif", in(SARIF)},
		{"settings.json", func(w io.Writer) error { return indented(w, e.Settings) }},
	}
	if len(e.Baseline) > 0 {
		list = append(list, evidenceFile{"accepted.json", func(w io.Writer) error { _, err := w.Write(e.Baseline); return err }})
	}
	return list
}

// plainLine is text that can't begin another line.
func plainLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// writeSummed writes a file, and returns its SHA-256.
func writeSummed(path string, write func(io.Writer) error) (sum string, err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // in a folder that was made for it
	if err != nil {
		return "", err
	}
	h := sha256.New()
	err = write(io.MultiWriter(f, h))
	return hex.EncodeToString(h.Sum(nil)), errors.Join(err, f.Sync(), f.Close())
}

// mostStatement is how large a statement may be, and mostEvidence a file, in bytes.
const (
	mostStatement = 1 << 20
	mostEvidence  = 64 << 20
)

// VerifyEvidence checks a bundle on any machine: the signature by the public key, and every file. It returns what the statement says,
// and what is not as it was written.
func VerifyEvidence(folder, verifier string) (statement string, findings []string, err error) {
	v, err := note.NewVerifier(verifier)
	if err != nil {
		return "", nil, fault.New(fault.Invalid, "key_malformed", "That is not a public key of evidence, which looks like NAME+HEX+BASE64.").Because(err)
	}
	raw, err := readUpTo(filepath.Join(folder, statementFile), mostStatement)
	if err != nil {
		return "", nil, fault.New(fault.Invalid, "no_evidence", "There is no statement of the doctor's in that folder.").Because(err)
	}
	n, err := note.Open(raw, note.VerifierList(v))
	if err != nil {
		return "", nil, fault.New(fault.Invalid, "evidence_unsigned", "The statement is not signed by this key, or was changed since.").Because(err)
	}
	head, files, found := strings.Cut(n.Text, "\n\n")
	if !found || !strings.HasPrefix(head, evidenceForm+"\n") {
		return "", nil, fault.New(fault.Invalid, "evidence_newer", "This evidence is of another version of Gatehouse.")
	}
	known := []string{statementFile}
	for line := range strings.Lines(files) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		known = append(known, name)
		b, err := readUpTo(filepath.Join(folder, filepath.Base(name)), mostEvidence)
		switch is := sha256.Sum256(b); {
		case errors.Is(err, fs.ErrNotExist):
			findings = append(findings, name+": it is missing")
		case err != nil:
			findings = append(findings, name+": "+err.Error())
		case hex.EncodeToString(is[:]) != sum:
			findings = append(findings, name+": it was changed")
		}
	}
	entries, err := os.ReadDir(folder)
	for _, e := range entries {
		if !slices.Contains(known, e.Name()) {
			findings = append(findings, fmt.Sprintf("%q: the statement does not know it", e.Name()))
		}
	}
	return head, findings, err
}

func readUpTo(path string, most int64) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // whoever verifies names it
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most))
}
