package notice

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"text/template"

	"golang.org/x/text/language"
)

//go:embed texts
var embedded embed.FS

// fallback is the language for people with none that there are texts for.
const fallback = "en"

const (
	commonText = "common"
	layoutFile = "layout.html"
	// mostText is the longest file, so that a mistaken folder is reported and not read.
	mostText = 64 << 10
)

// Texts is what mails say, in every language that there is.
//
// A language is a folder. In it, common.txt defines pieces, and each kind has a
// file: a line with the subject, an empty one, and paragraphs (text/template).
// The HTML part is made of the same paragraphs by layout.html, so the two never
// differ; a kind may have an .html of its own (html/template) next to its .txt.
type Texts struct {
	site, home string
	// color is that of the main button, onColor of what is written on it.
	color, onColor string
	languages      map[string]*speech
	matcher        language.Matcher
	tags           []string // as the matcher counts them
}

// speech is one language.
type speech struct {
	text map[Kind]*template.Template
	html map[Kind]*htmltemplate.Template // where it is not the layout
	page *htmltemplate.Template
	foot *template.Template
}

// NewTexts returns the texts for the site at the URL (PUBLIC_URL), with those in the
// folder in the place of the program's own; an empty folder is none. The error
// reports all that is wrong with the folder: every text is tried with every mail
// that it can be used for.
func NewTexts(url, folder string) (*Texts, error) {
	t := &Texts{home: url, languages: map[string]*speech{}, color: "#0a6a65", onColor: "#ffffff"}
	_, t.site, _ = strings.Cut(url, "://")
	own, err := fs.Sub(embedded, "texts")
	if err != nil {
		return nil, err
	}
	layers := []fs.FS{own}
	if folder != "" {
		if err := checkFolder(os.DirFS(folder)); err != nil {
			return nil, err
		}
		layers = append(layers, os.DirFS(folder))
	}
	var faults []error
	for _, name := range languagesOf(layers) {
		s, errs := load(layers, name)
		t.languages[name] = s
		faults = append(faults, errs...)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	t.match()
	if folder == "" {
		return t, nil // the tests have tried them all
	}
	for name, s := range t.languages {
		for _, k := range Kinds() {
			faults = append(faults, t.try(s, name, k)...)
		}
	}
	return t, errors.Join(faults...)
}

// Named has the texts call the service by this name (SERVICE_NAME), and not by the
// host of its URL.
func (t *Texts) Named(name string) { t.site = name }

// Colored gives the main button its colours: #rrggbb each.
func (t *Texts) Colored(color, on string) { t.color, t.onColor = color, on }

func (t *Texts) match() {
	t.tags = []string{fallback}
	for name := range t.languages {
		if name != fallback {
			t.tags = append(t.tags, name)
		}
	}
	slices.Sort(t.tags[1:])
	tags := make([]language.Tag, len(t.tags))
	for i, name := range t.tags {
		tags[i] = language.Make(name)
	}
	t.matcher = language.NewMatcher(tags)
}

// languageFor returns the best language that there is for a locale.
func (t *Texts) languageFor(locale string) string {
	tag, err := language.Parse(locale)
	if err != nil {
		return fallback
	}
	_, i, sure := t.matcher.Match(tag)
	if sure == language.No {
		return fallback
	}
	return t.tags[i]
}

// checkFolder reports every file that has no meaning: one whose name is misspelt
// would have no effect, and nobody would notice.
func checkFolder(folder fs.FS) error {
	var faults []error
	err := fs.WalkDir(folder, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		dir, file := path.Split(name)
		dir = strings.TrimSuffix(dir, "/")
		switch {
		case strings.HasPrefix(file, ".") && name != ".":
			if d.IsDir() {
				return fs.SkipDir
			}
		case d.IsDir():
			if _, err := language.Parse(name); name != "." && err != nil {
				faults = append(faults, fmt.Errorf("%s: no language has this name", name))
				return fs.SkipDir
			}
		case !meant(dir, file):
			faults = append(faults, fmt.Errorf("%s: no mail is made of a file with this name", name))
		}
		return nil
	})
	return errors.Join(append(faults, err)...)
}

func meant(dir, file string) bool {
	base, ext, _ := strings.Cut(file, ".")
	_, kind := Facts[Kind(base)]
	switch {
	case dir == "":
		return file == layoutFile
	case ext == "txt":
		return kind || base == commonText
	default:
		return ext == "html" && kind
	}
}

func languagesOf(layers []fs.FS) []string {
	var list []string
	for _, l := range layers {
		entries, err := fs.ReadDir(l, ".")
		if err != nil {
			continue // checkFolder has reported it
		}
		for _, e := range entries {
			if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && !slices.Contains(list, e.Name()) {
				list = append(list, e.Name())
			}
		}
	}
	return list
}

// readTop returns the file of the uppermost layer that has it.
func readTop(layers []fs.FS, name string) (string, error) {
	for _, l := range slices.Backward(layers) {
		b, err := fs.ReadFile(l, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return "", err
		case len(b) > mostText:
			return "", fmt.Errorf("%s: it is over %d bytes", name, mostText)
		}
		return strings.ReplaceAll(string(b), "\r\n", "\n"), nil
	}
	return "", fs.ErrNotExist
}

// load reads one language.
func load(layers []fs.FS, name string) (*speech, []error) {
	s := &speech{text: map[Kind]*template.Template{}, html: map[Kind]*htmltemplate.Template{}}
	var faults []error
	add := func(file string, err error) {
		if errors.Is(err, fs.ErrNotExist) {
			err = errors.New("it is missing; a language needs a text for every mail")
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", file, err))
		}
	}
	common := template.New(commonText).Funcs(template.FuncMap{"button": button, "code": code}).Option("missingkey=error")
	text, err := readTop(layers, name+"/"+commonText+".txt")
	if err == nil {
		_, err = common.Parse(text)
	}
	if s.foot = common.Lookup("foot"); err == nil && s.foot == nil {
		err = errors.New(`it defines no "foot"`)
	}
	add(name+"/"+commonText+".txt", err)
	text, err = readTop(layers, layoutFile)
	if err == nil {
		s.page, err = htmltemplate.New(layoutFile).Parse(text)
	}
	add(layoutFile, err)
	for _, k := range Kinds() {
		file := name + "/" + string(k)
		text, err := readTop(layers, file+".txt")
		if err == nil {
			s.text[k], err = template.Must(common.Clone()).New(string(k)).Parse(text)
		}
		add(file+".txt", err)
		text, err = readTop(layers, file+".html")
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			s.html[k], err = htmltemplate.New(string(k)).Parse(text)
		}
		add(file+".html", err)
	}
	return s, faults
}

// try renders the kind with all that it can contain and with the least, and returns
// what is wrong with its texts.
func (t *Texts) try(s *speech, name string, k Kind) (faults []error) {
	for _, m := range []Mail{specimen(k, true), specimen(k, false)} {
		r, err := t.render(s, name, m)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s/%s: %w", name, k, err))
			continue
		}
		if strings.ContainsAny(r.Text, markButton+markCode) {
			faults = append(faults, fmt.Errorf("%s/%s: a button or a code does not stand in a paragraph of its own, with empty lines around it", name, k))
		}
		for fact, secret := range map[Fact]string{Link: m.Link, Code: m.Code, Undo: m.Undo} {
			if secret != "" && slices.Contains(Facts[k].Must, fact) && (!strings.Contains(r.Text, secret) ||
				!bytes.Contains([]byte(htmlUnescape(r.HTML)), []byte(secret))) {
				faults = append(faults, fmt.Errorf("%s/%s: it does not show the %s, without which the mail is of no use", name, k, fact))
			}
		}
	}
	return faults
}
