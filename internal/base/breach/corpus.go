package breach

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// lineMost is the longest line of a corpus: a hash, a colon and a number.
const lineMost = 128

// read adds the hashes of a text in the corpus's form: a hash in hexadecimal
// digits, then perhaps a colon and how often it was seen, a line each. With a
// prefix, as in the files of the ranges and the answers of the API, the lines
// have only the 35 digits behind its five. Entries that were never seen are
// padding, and left out, as is what is in a range before from.
func read(in io.Reader, prefix string, from uint32, add func(Hash) error) error {
	s := bufio.NewScanner(in)
	s.Buffer(make([]byte, 64<<10), lineMost)
	n := 0
	for s.Scan() {
		n++
		h, seen, err := parseLine(s.Bytes(), prefix)
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if !seen || h.rangeOf() < from {
			continue
		}
		if err := add(h); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	if errors.Is(s.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("line %d: %w", n+1, errLine)
	}
	return s.Err()
}

var errLine = errors.New("this is not a line of the corpus: a SHA-1 hash in hexadecimal digits, a colon, a number")

// parseLine reads a line; seen is false for one that holds nothing.
func parseLine(line []byte, prefix string) (h Hash, seen bool, err error) {
	if len(line) == 0 {
		return h, false, nil
	}
	digits, count, counted := bytes.Cut(line, []byte(":"))
	seen = !counted
	for _, c := range count {
		if c < '0' || c > '9' {
			return h, false, errLine
		}
		seen = seen || c != '0'
	}
	if counted && len(count) == 0 || len(prefix)+len(digits) != hex.EncodedLen(len(h)) {
		return h, false, errLine
	}
	var all [2 * len(h)]byte
	copy(all[copy(all[:], prefix):], digits)
	if _, err := hex.Decode(h[:], all[:]); err != nil {
		return h, false, errLine
	}
	return h, seen, nil
}

// Corpus is the text that a filter is made of.
type Corpus struct {
	// Names are files, or one folder with a file for each range, named after its
	// five digits; without any, In is read.
	Names []string
	In    io.Reader
}

// rangeFile is the name of a range's file.
var rangeFile = regexp.MustCompile(`^[0-9A-Fa-f]{5}(\.[Tt][Xx][Tt])?$`)

// each reads the hashes from a range on, in order, and says before each file
// whose it is.
func (c Corpus) each(from uint32, add func(Hash) error) error {
	if len(c.Names) == 0 {
		return read(c.In, "", from, add)
	}
	for _, name := range c.Names {
		if err := eachOf(name, from, add); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func eachOf(name string, from uint32, add func(Hash) error) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return eachIn(name, from, add)
	}
	files, err := os.ReadDir(name)
	if err != nil {
		return err
	}
	names := make([]string, 0, len(files))
	for _, f := range files {
		if rangeFile.MatchString(f.Name()) {
			names = append(names, f.Name())
		}
	}
	if len(names) == 0 {
		return errors.New("there are no range files in this folder, such as 00000.txt")
	}
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(strings.ToUpper(a), strings.ToUpper(b)) })
	for _, f := range names {
		if err := eachIn(filepath.Join(name, f), from, add); err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
	}
	return nil
}

// eachIn reads one file. One that is named like a range may have whole hashes
// all the same: its first line shows.
func eachIn(name string, from uint32, add func(Hash) error) error {
	f, err := os.Open(name) //nolint:gosec // the operator names it
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 1<<20)
	base, prefix := filepath.Base(name), ""
	if rangeFile.MatchString(base) {
		if start, _ := in.Peek(36); len(start) < 36 || start[35] == ':' || start[35] == '\r' || start[35] == '\n' {
			prefix = base[:rangeBits/4]
		}
	}
	if prefix != "" && from > 0 {
		if h, _, err := parseLine(bytes.Repeat([]byte("0"), 35), prefix); err == nil && h.rangeOf() < from {
			return nil
		}
	} else if from > 0 {
		if err := skip(f, in, from); err != nil {
			return err
		}
	}
	return read(in, prefix, from, add)
}

// skip puts the reader near the first line of a range, by halving the file.
func skip(f *os.File, in *bufio.Reader, from uint32) error {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	low, high := int64(0), info.Size()
	for high-low > 1<<20 {
		middle := low + (high-low)/2
		if _, err := f.Seek(middle, io.SeekStart); err != nil {
			return err
		}
		in.Reset(f)
		h, at, err := nextLine(in)
		if err != nil || h.rangeOf() >= from {
			high = middle //nolint:nilerr // read complains of the line, if it comes to it
		} else {
			low = middle + at
		}
	}
	if _, err := f.Seek(low, io.SeekStart); err != nil {
		return err
	}
	in.Reset(f)
	return nil
}

// nextLine returns the hash of the next line that begins behind the reader's
// place, and how far away that is.
func nextLine(in *bufio.Reader) (h Hash, at int64, err error) {
	part, err := in.ReadSlice('\n')
	if err != nil {
		return h, 0, err
	}
	at = int64(len(part))
	line, err := in.ReadSlice('\n')
	if err != nil {
		return h, 0, err
	}
	h, _, err = parseLine(bytes.TrimRight(line, "\r\n"), "")
	return h, at, err
}
