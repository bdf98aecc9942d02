package importing

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

const (
	// mostRecord is how long one person may be, in bytes of the file; a longer one is refused.
	mostRecord = 64 << 10
	// mostRead is how much is read for one, at most: beyond that the file is no list of people.
	mostRead = 64 * mostRecord
	// mostDepth is how deep an export may be nested around its people.
	mostDepth = 100
)

// record is one entry of the file: JSON, or why it can't be one.
type record struct {
	raw  json.RawMessage
	code string
	at   int64 // how far the file is read
}

// budget reads a file, and no more for one record than it may take.
type budget struct {
	r    io.Reader
	left int
}

var errRecord = fault.New(fault.Invalid, "not_people", fmt.Sprintf("an entry is longer than %d MiB: this is no list of people", mostRead>>20))

func (b *budget) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errRecord
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

var errNoRows = fault.New(fault.Invalid, "not_people", "The file is no JSON, as this system exports it. If it is a CSV file of yours: --from csv.")

// each calls fn with the entries of a file, in order. The errors of what is no such file are faults that say where.
func (s system) each(file io.Reader, fn func(record) error) error {
	c := &clip{r: file}
	return s.entries(&budget{r: c, left: mostRead}, func() int64 { return c.read }, fn)
}

// entries is each behind what bounds it; at says how far the file is read.
func (s system) entries(b *budget, at func() int64, fn func(record) error) error {
	in := bufio.NewReaderSize(b, 4096)
	if head, err := in.Peek(3); err == nil && string(head) == "\xef\xbb\xbf" {
		_, _ = in.Discard(3)
	}
	for {
		c, err := in.ReadByte()
		switch {
		case errors.Is(err, io.EOF):
			return fault.New(fault.Invalid, "not_people", "The file is empty.")
		case err != nil:
			return err
		case strings.ContainsRune(" \t\r\n", rune(c)):
			continue
		}
		if err := in.UnreadByte(); err != nil {
			return err
		}
		n := 0
		counted := func(r record) error {
			n++
			b.left, r.at = mostRead, at()
			return fn(r)
		}
		if c == '{' || c == '[' {
			err = (&jsonFile{system: s, d: json.NewDecoder(in), budget: b, fn: counted}).all(c == '[')
		} else if err = errNoRows; s.rows {
			err = eachRow(in, counted)
		}
		return where(err, n)
	}
}

// where says behind which entry a file is broken.
func where(err error, n int) error {
	var syntax *json.SyntaxError
	var row *csv.ParseError
	switch {
	case errors.Is(err, errRecord):
		return fault.New(fault.Invalid, "not_people", fmt.Sprintf("Behind entry %d of the file %s.", n, errRecord.Message))
	case errors.As(err, &syntax), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fault.New(fault.Invalid, "broken_file", fmt.Sprintf("Behind entry %d the file is no JSON, or it ends too early: %v.", n, err))
	case errors.As(err, &row):
		return fault.New(fault.Invalid, "broken_file", fmt.Sprintf("The file is no CSV: %v.", row))
	}
	return err
}

// eachRow reads CSV whose first line names the columns, and makes objects of its rows.
func eachRow(in io.Reader, fn func(record) error) error {
	r := csv.NewReader(in)
	head, err := r.Read()
	if err != nil {
		return err
	}
	for i := range head {
		head[i] = strings.ToLower(strings.TrimSpace(head[i]))
	}
	if !slices.Contains(head, "email") {
		return fault.New(fault.Invalid, "no_header", "The first line of a CSV file must name the columns, and none of them is email.")
	}
	r.ReuseRecord = true
	for {
		row, err := r.Read()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, csv.ErrFieldCount):
			err = fn(record{code: "wrong_number_of_fields"})
		case err == nil:
			err = fn(object(head, row))
		}
		if err != nil {
			return err
		}
	}
}

func object(head, row []string) record {
	fields, size := make(map[string]string, len(head)), 0
	for i, name := range head {
		if size += len(row[i]); size > mostRecord {
			return record{code: "too_long"}
		}
		if !utf8.ValidString(row[i]) {
			return record{code: "not_utf8"}
		}
		fields[name] = row[i]
	}
	raw, err := json.Marshal(fields)
	if err != nil {
		return record{code: "malformed"}
	}
	return record{raw: raw}
}

// jsonFile reads people out of JSON: a list of them, one after the other, or lists within an object.
type jsonFile struct {
	system system
	d      *json.Decoder
	budget *budget
	fn     func(record) error
}

func (f *jsonFile) all(isList bool) error {
	for f.d.More() {
		var err error
		switch {
		case isList:
			err = f.list()
		case len(f.system.within) == 0:
			err = f.one()
		default:
			err = f.export(0)
		}
		if err != nil {
			return err
		}
	}
	if _, err := f.d.Token(); !errors.Is(err, io.EOF) {
		return fault.New(fault.Invalid, "broken_file", "There is something behind the people that is no JSON.")
	}
	return nil
}

// one reads one person.
func (f *jsonFile) one() error {
	var raw json.RawMessage
	if err := f.d.Decode(&raw); err != nil {
		return err
	}
	switch {
	case len(raw) > mostRecord:
		return f.fn(record{code: "too_long"})
	case !utf8.Valid(raw):
		return f.fn(record{code: "not_utf8"})
	case raw[0] != '{':
		return f.fn(record{code: "malformed"})
	}
	return f.fn(record{raw: raw})
}

// list reads a list of people.
func (f *jsonFile) list() error {
	if err := f.expect('['); err != nil {
		return err
	}
	for f.d.More() {
		if err := f.one(); err != nil {
			return err
		}
	}
	return f.expect(']')
}

// expect reads a bracket.
func (f *jsonFile) expect(want json.Delim) error {
	f.budget.left = mostRead
	t, err := f.d.Token()
	if err == nil && t != want {
		err = fault.New(fault.Invalid, "not_people", fmt.Sprintf("The file has %v where the export of this system has %v.", t, want))
	}
	return err
}

// export reads an object that has lists of people in it, or in what they lie in.
func (f *jsonFile) export(depth int) error {
	if depth > mostDepth {
		return fault.New(fault.Invalid, "not_people", "The file is nested too deep.")
	}
	if err := f.expect('{'); err != nil {
		return err
	}
	return f.rest(depth)
}

// rest is what an object has behind its bracket.
func (f *jsonFile) rest(depth int) error {
	for f.d.More() {
		name, err := f.d.Token()
		if err != nil {
			return err
		}
		key, _ := name.(string)
		switch {
		case slices.Contains(f.system.within, key):
			err = f.list()
		case slices.Contains(f.system.above, key):
			err = f.inside(depth + 1)
		default:
			err = f.skip()
		}
		if err != nil {
			return err
		}
	}
	return f.expect('}')
}

// inside reads an object or a list of objects that people lie in.
func (f *jsonFile) inside(depth int) error {
	t, err := f.d.Token()
	if err != nil {
		return err
	}
	switch t {
	case json.Delim('['):
		for f.d.More() {
			if err := f.export(depth); err != nil {
				return err
			}
		}
		return f.expect(']')
	case json.Delim('{'):
		return f.rest(depth)
	}
	return nil
}

// skip reads a value that is of no interest, however long it is.
func (f *jsonFile) skip() error {
	for depth := 0; ; {
		f.budget.left = mostRead
		t, err := f.d.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth > mostDepth {
			return fault.New(fault.Invalid, "not_people", "The file is nested too deep.")
		}
		if depth == 0 {
			return nil
		}
	}
}
