package consent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/base/locale"
)

// mostDocument is the longest file, in bytes.
const mostDocument = 256 << 10

// ReadFile reads the texts of a document: the file, and beside it those in other languages, as terms.de.txt stands
// beside terms.txt.
func ReadFile(name string) (texts map[string]string, err error) {
	texts = map[string]string{}
	ext := filepath.Ext(name)
	for i, l := range append([]*locale.Language{nil}, locale.All()...) {
		tag, path := "", name
		if i > 0 {
			tag, path = l.Tag, strings.TrimSuffix(name, ext)+"."+l.Tag+ext
		}
		b, err := os.ReadFile(path) //nolint:gosec // the operator's setting
		switch {
		case i > 0 && errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return nil, err
		case len(b) > mostDocument || !utf8.Valid(b) || strings.ContainsRune(string(b), 0):
			return nil, fmt.Errorf("%s: it is over %d bytes, or is not UTF-8", path, mostDocument)
		case strings.TrimSpace(string(b)) == "":
			return nil, fmt.Errorf("%s: it is empty", path)
		}
		texts[tag] = string(b)
	}
	return texts, nil
}
