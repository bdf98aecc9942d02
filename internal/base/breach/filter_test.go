package breach

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// hashes returns n hashes in order, the same for a seed.
func hashes(seed uint64, n int) []Hash {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]Hash, n)
	for i := range out {
		binary.BigEndian.PutUint64(out[i][:], r.Uint64())
		binary.BigEndian.PutUint64(out[i][8:], r.Uint64())
		binary.BigEndian.PutUint32(out[i][16:], r.Uint32())
	}
	slices.SortFunc(out, func(a, b Hash) int { return bytes.Compare(a[:], b[:]) })
	return out
}

var regexpCounts = regexp.MustCompile(`:[0-9]+`)

// text is the corpus of the hashes, in the form of its download.
func text(list []Hash) string {
	var b strings.Builder
	for i, h := range list {
		fmt.Fprintf(&b, "%X:%d\r\n", h, i%7+1)
	}
	return b.String()
}

// built returns a filter of the hashes, in shards of the given size.
func built(t testing.TB, list []Hash, bits, limit int) []byte {
	t.Helper()
	var out bytes.Buffer
	b, err := NewBuilder(&out, bits)
	if err != nil {
		t.Fatal(err)
	}
	b.limit = limit
	for _, h := range list {
		if err := b.Add(h); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Finish(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func parsed(t testing.TB, data []byte) *Filter {
	t.Helper()
	f, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// PW-3: whatever was put in is found, and something else no oftener than the
// fingerprints promise.
func TestPW3_FindsAllAndHardlyMore(t *testing.T) {
	for _, bits := range []int{8, 16, 32} {
		for _, n := range []int{1, 2, 3, 10, 1000, 50_000} {
			list := hashes(uint64(n), n)
			data := built(t, list, bits, 10_000)
			f := parsed(t, data)
			if f.Entries() != uint64(n) || f.Bits() != bits || f.Size() != len(data) {
				t.Errorf("%d of %d bits: says %d of %d", n, bits, f.Entries(), f.Bits())
			}
			for _, h := range list {
				if !f.Contains(h) {
					t.Fatalf("%d of %d bits: %x is missing", n, bits, h)
				}
			}
			const tries = 150_000
			wrong := 0
			for _, h := range hashes(uint64(n)+99, tries) {
				if f.Contains(h) {
					wrong++
				}
			}
			if most := 3*tries>>bits + 10; wrong > most {
				t.Errorf("%d of %d bits: %d of %d found by mistake, want %d at most", n, bits, wrong, tries, most)
			}
		}
	}
}

// The same password again is one entry; a shard ends at the end of a range.
func TestBuilderTakesDuplicatesAndRanges(t *testing.T) {
	list := hashes(1, 500)
	for i := range list { // four ranges, far over the limit of a shard each
		list[i][0], list[i][1], list[i][2] = byte(i/125), 0, 0
	}
	slices.SortFunc(list, func(a, b Hash) int { return bytes.Compare(a[:], b[:]) })
	twice := slices.Sorted(func(yield func(string) bool) {
		for _, h := range list {
			for range 2 {
				if !yield(string(h[:])) {
					return
				}
			}
		}
	})
	double := make([]Hash, len(twice))
	for i, s := range twice {
		copy(double[i][:], s)
	}
	f := parsed(t, built(t, double, 16, 10))
	if f.Entries() != 500 || f.Shards() != 4 {
		t.Errorf("%d entries in %d shards, want 500 in 4", f.Entries(), f.Shards())
	}
	for _, h := range list {
		if !f.Contains(h) {
			t.Fatalf("%x is missing", h)
		}
	}
}

func TestBuilderRefuses(t *testing.T) {
	list := hashes(2, 10)
	b, err := NewBuilder(&bytes.Buffer{}, 16)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.Add(list[3]), b.Add(list[4])); err != nil {
		t.Fatal(err)
	}
	if err := b.Add(list[2]); !errors.Is(err, ErrUnsorted) {
		t.Errorf("out of order: %v", err)
	}
	if empty, _ := NewBuilder(&bytes.Buffer{}, 16); empty.Finish() == nil {
		t.Error("an empty filter")
	}
	for _, bits := range []int{0, 12, 64, -8} {
		if _, err := NewBuilder(&bytes.Buffer{}, bits); err == nil {
			t.Errorf("%d bits", bits)
		}
	}
}

// A file of which any byte is another, or any part is missing, is refused, with
// what to do.
func TestDamageIsFound(t *testing.T) {
	data := built(t, hashes(3, 2000), 16, 500)
	if _, err := Parse(data); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, data []byte) {
		if f, err := Parse(data); err == nil || f != nil || !strings.Contains(err.Error(), "gatehouse breach build") {
			t.Errorf("%s: %v", what, err)
		}
	}
	for i := range data {
		changed := bytes.Clone(data)
		changed[i] ^= 0x10
		refused(fmt.Sprintf("byte %d changed", i), changed)
	}
	for n := 0; n < len(data); n += 7 {
		refused(fmt.Sprintf("cut at %d", n), data[:n])
	}
	refused("something behind it", append(bytes.Clone(data), 0))
	whole := shardHeader + int(binary.LittleEndian.Uint64(data[headerSize+32:]))
	refused("a shard missing", append(bytes.Clone(data[:headerSize]), data[headerSize+whole:]...))
	refused("a shard twice", append(bytes.Clone(data[:headerSize+whole]), data[headerSize:]...))
}

// Whatever is in a file, reading it never panics, and neither do lookups in
// what it accepts.
func FuzzParse(f *testing.F) {
	f.Add(built(f, hashes(4, 40), 8, 10))
	f.Add(built(f, hashes(4, 40), 32, 100))
	f.Add([]byte(magic))
	f.Fuzz(func(_ *testing.T, data []byte) {
		set, err := Parse(data)
		if err != nil {
			return
		}
		for _, h := range hashes(5, 100) {
			set.Contains(h)
		}
	})
}

// The embedded list: PW-3, issue 5 ("at least 3,000 entries of at least 15
// characters, plus the 100,000 most common of any length").
func TestPW3_EmbeddedList(t *testing.T) {
	f := parsed(t, commonList)
	if f.Entries() < 103_000 || f.Bits() != 16 {
		t.Errorf("%d entries of %d bits", f.Entries(), f.Bits())
	}
	for _, known := range []string{"123456", "password", "Password", "mailcreated5240", "123456789987654321", "momsanaladventure"} {
		if !Common(known) {
			t.Errorf("%q is missing", known)
		}
	}
	wrong := 0
	for i := range 200_000 {
		if Common(fmt.Sprintf("no such password %d", i)) {
			wrong++
		}
	}
	if wrong > 20 {
		t.Errorf("%d of 200,000 found by mistake", wrong)
	}
}

func write(t testing.TB, path, content string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func plan(t testing.TB, c Corpus) Plan {
	t.Helper()
	return Plan{Corpus: c, Path: filepath.Join(t.TempDir(), "filter"), Bits: 16}
}

func mustBuild(t testing.TB, p Plan) *Filter {
	t.Helper()
	n, err := Build(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Open(p.Path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if f.Entries() != n {
		t.Errorf("built %d, has %d", n, f.Entries())
	}
	if _, err := os.Stat(p.Path + ".part"); err == nil {
		t.Error("the .part is still there")
	}
	return f
}

// Every form of the download gives the same file: from standard input, in one
// file, in several, and in a file for each range.
func TestPW3_EveryFormOfTheCorpus(t *testing.T) {
	list := hashes(6, 5000)
	all := text(list)
	folder, parts := t.TempDir(), t.TempDir()
	byRange := map[string]*strings.Builder{}
	for i, h := range list {
		digits := fmt.Sprintf("%X", h)
		if byRange[digits[:5]] == nil {
			byRange[digits[:5]] = &strings.Builder{}
		}
		fmt.Fprintf(byRange[digits[:5]], "%s:%d\n", digits[5:], i+1)
	}
	for prefix, lines := range byRange {
		write(t, filepath.Join(folder, prefix+".txt"), lines.String()+strings.Repeat("0", 35)+":0\n")
	}
	write(t, filepath.Join(folder, "README"), "not a range")
	lines := strings.SplitAfter(all, "\n")
	one, two := write(t, filepath.Join(parts, "1"), strings.Join(lines[:1700], "")), write(t, filepath.Join(parts, "2"), strings.Join(lines[1700:], ""))
	var want []byte
	for name, c := range map[string]Corpus{
		"standard input":   {In: strings.NewReader(all)},
		"small letters":    {In: strings.NewReader(strings.ToLower(all))},
		"without counts":   {In: strings.NewReader(regexpCounts.ReplaceAllString(all, ""))},
		"no end of line":   {In: strings.NewReader(strings.TrimSpace(all))},
		"one file":         {Names: []string{write(t, filepath.Join(parts, "all"), all)}},
		"several":          {Names: []string{one, two}},
		"a file per range": {Names: []string{folder}},
	} {
		p := plan(t, c)
		f := mustBuild(t, p)
		for _, h := range list {
			if !f.Contains(h) {
				t.Fatalf("%s: %x is missing", name, h)
			}
		}
		got, err := os.ReadFile(p.Path)
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = got
		} else if !bytes.Equal(got, want) {
			t.Errorf("%s: another file", name)
		}
	}
}

func TestPW3_WhatIsNoCorpus(t *testing.T) {
	list := hashes(7, 5)
	good := text(list)
	for name, bad := range map[string]string{
		"empty":          "",
		"words":          "password\n123456\n",
		"short":          good + "ABC:1\n",
		"no number":      good[:40] + ":\n",
		"a word as one":  good[:40] + ":many\n",
		"a sign":         good[:40] + ":-1\n",
		"no hexadecimal": "Z" + good[1:],
		"by count":       text([]Hash{list[1], list[0]}),
		"one long line":  strings.Repeat("A", 1<<20),
		"padding alone":  good[:40] + ":0\n",
	} {
		p := plan(t, Corpus{In: strings.NewReader(bad)})
		if _, err := Build(t.Context(), p); err == nil {
			t.Errorf("%s: built", name)
		}
		if _, err := os.Stat(p.Path); err == nil {
			t.Errorf("%s: there is a file", name)
		}
	}
}

// A build that is interrupted goes on where it was, from every form, and ends
// with the same file.
func TestPW3_BuildResumes(t *testing.T) {
	const shard = 30_000
	list := hashes(8, 2*shard)
	all := text(list)
	file := write(t, filepath.Join(t.TempDir(), "corpus.txt"), all)
	whole := plan(t, Corpus{Names: []string{file}})
	whole.shard = shard
	mustBuild(t, whole)
	want, err := os.ReadFile(whole.Path)
	if err != nil {
		t.Fatal(err)
	}
	for name, corpus := range map[string]func() Corpus{
		"a file":         func() Corpus { return Corpus{Names: []string{file}} },
		"standard input": func() Corpus { return Corpus{In: strings.NewReader(all)} },
	} {
		p := plan(t, corpus())
		p.shard = shard
		ctx, cancel := context.WithCancel(t.Context())
		p.Progress = func(n uint64, done float64) {
			if done < 0 || done > 1 {
				t.Errorf("done %v", done)
			}
			if n > shard+shard/4 {
				cancel()
			}
		}
		if _, err := Build(ctx, p); !errors.Is(err, context.Canceled) {
			t.Fatalf("%s: %v", name, err)
		}
		part, err := os.OpenFile(p.Path+".part", os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		// A shard of which only a part reached the disk.
		if _, err := part.WriteString("shrd half a shard"); err != nil {
			t.Fatal(err)
		}
		if err := part.Close(); err != nil {
			t.Fatal(err)
		}
		first := uint64(0)
		p.Corpus, p.Progress = corpus(), func(n uint64, _ float64) {
			if first == 0 {
				first = n
			}
		}
		mustBuild(t, p)
		if first < shard {
			t.Errorf("%s: began again at %d", name, first)
		}
		got, err := os.ReadFile(p.Path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: another file", name)
		}
	}
	p := plan(t, Corpus{Names: []string{file}})
	write(t, p.Path+".part", "something else that is long enough to be a header")
	if _, err := Build(t.Context(), p); err == nil || !strings.Contains(err.Error(), "--fresh") {
		t.Errorf("behind something else: %v", err)
	}
	p.Fresh = true
	mustBuild(t, p)
}
