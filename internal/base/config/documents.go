package config

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// The names of the documents that have settings of their own.
const (
	privacyDocument = "privacy"
	termsDocument   = "terms"
)

var documentName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// Documents are the files of all documents, by the names that they are called by.
func (c *Config) Documents() map[string]string {
	all := maps.Clone(c.DocumentFiles)
	if all == nil {
		all = map[string]string{}
	}
	for name, path := range map[string]string{privacyDocument: c.PrivacyFile, termsDocument: c.TermsFile} {
		if path != "" {
			all[name] = path
		}
	}
	return all
}

// readDocumentFiles takes pairs of a name and a path.
func readDocumentFiles(r *reading) {
	if !r.printable() {
		return
	}
	files := map[string]string{}
	for item := range strings.SplitSeq(r.value, ",") {
		name, path, ok := strings.Cut(strings.TrimSpace(item), "=")
		switch {
		case !ok || path == "" || !documentName.MatchString(name):
			r.refuse("It is not a list of names and files.",
				"Write newsletter=/etc/gatehouse/newsletter.txt, with commas between several; a name has up to 32 of a to z, 0 to 9 and hyphens.")
			return
		case name == privacyDocument || name == termsDocument:
			r.refuse("It names the privacy policy or the terms, which have settings of their own.", "Write their files into PRIVACY_FILE and TERMS_FILE.")
			return
		case files[name] != "":
			r.refuse("It has two files for one name.", "Write each name once; versions in other languages stand beside the file.")
			return
		}
		files[name] = path
	}
	r.c.DocumentFiles = files
}

func showDocumentFiles(c *Config) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(c.DocumentFiles)) {
		list = append(list, name+"="+c.DocumentFiles[name])
	}
	return strings.Join(list, ",")
}

// readDocumentsRequired takes names.
func readDocumentsRequired(r *reading) {
	var names []string
	for item := range strings.SplitSeq(r.value, ",") {
		if name := strings.TrimSpace(item); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	r.c.DocumentsRequired = names
}

// checkDocumentsRequired refuses to ask for what there is no text of.
func checkDocumentsRequired(r *reading) {
	all := r.c.Documents()
	for _, name := range r.c.DocumentsRequired {
		if all[name] == "" {
			r.refuse("It names a document that has no file: there is nothing to agree to.",
				"Write terms or privacy and set TERMS_FILE or PRIVACY_FILE, or a name that DOCUMENT_FILES has.")
			return
		}
	}
}

// documentSettings are the rows about what people agree to.
var documentSettings = []setting{
	{
		name: "DOCUMENT_FILES", unset: "none",
		meaning: "Further documents that people may agree to, by name: `newsletter=/etc/gatehouse/newsletter.txt`; several are comma-separated. The format " +
			"is that of PRIVACY_FILE, and the first heading is the document's title. `/terms/newsletter` shows it. See [guides/documents.md](guides/documents.md).",
		field: field{read: readDocumentFiles, show: showDocumentFiles},
	},
	{
		name: "DOCUMENTS_REQUIRED", unset: "none",
		meaning: "Documents that everybody must agree to before they are signed in, by name, such as `terms,privacy`. Each new version asks again, at the " +
			"next sign-in. People may agree to the others in their account.",
		field: field{read: readDocumentsRequired, show: func(c *Config) string { return strings.Join(c.DocumentsRequired, ",") }},
		check: checkDocumentsRequired,
	},
}
