package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/breach"
	"github.com/gatehouse-auth/gatehouse/internal/base/breach/corpus"
)

// hashes is how many the generated corpus of Pwned Passwords has.
const hashes = 10_000_000

// breach builds a filter of a generated corpus with the command that operators
// use, and asks it.
func (r *run) breach(ctx context.Context) ([]Measure, error) {
	text := filepath.Join(r.folder, "corpus.txt")
	if err := writeCorpus(text); err != nil {
		return nil, err
	}
	path := filepath.Join(r.folder, "pwned.filter")
	var peak float64
	build, err := r.duel(ctx, Measure{
		Name: "breach", What: "hashes of the Pwned Passwords built into a filter : read and decoded, and no more", Unit: "million a second",
	}, func(ctx context.Context) (float64, error) {
		began := time.Now()
		mb, err := r.command(ctx, nil, "breach", "build", "--output", path, text)
		peak = max(peak, mb)
		return hashes / 1e6 / time.Since(began).Seconds(), err
	}, func(context.Context) (float64, error) {
		began := time.Now()
		err := scan(text)
		return hashes / 1e6 / time.Since(began).Seconds(), err
	})
	if err != nil {
		return nil, err
	}
	f, err := breach.Open(path)
	if err != nil {
		return nil, err
	}
	asked, wrong, err := r.askFilter(ctx, f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	against := func(what, unit string, ours, goal float64) Measure {
		return Measure{Name: "breach", What: what, Unit: unit, Ours: ours, Theirs: goal, Ratio: ours / goal, AtMost: 1}
	}
	return []Measure{
		build, asked,
		against("peak memory of that building (resident) : 100 MB", "MB", peak, 100),
		against("a hash in the filter : 2.4 bytes", "bytes", float64(f.Size())/hashes, 2.4),
		against(fmt.Sprintf("found by mistake, of %d others : twice 1 in 2^16", hashes), "", wrong, 2.0*hashes/65536),
	}, f.Close()
}

func writeCorpus(path string) error {
	f, err := os.Create(path) //nolint:gosec // in the run's folder
	if err != nil {
		return err
	}
	return errors.Join(corpus.Corpus{N: hashes, Seed: 1}.Write(f), f.Close())
}

// scan reads the corpus and decodes its hashes, as any user of them must.
func scan(path string) error {
	f, err := os.Open(path) //nolint:gosec // in the run's folder
	if err != nil {
		return err
	}
	defer f.Close()
	var h breach.Hash
	s := bufio.NewScanner(bufio.NewReaderSize(f, 1<<20))
	for s.Scan() {
		if _, err := hex.Decode(h[:], s.Bytes()[:2*len(h)]); err != nil {
			return err
		}
	}
	return s.Err()
}

// askFilter asks for as many hashes as are in it, none of which was put into
// it, and returns how many it found by mistake.
func (r *run) askFilter(ctx context.Context, f *breach.Filter) (Measure, float64, error) {
	var have, others []breach.Hash
	keep := func(list *[]breach.Hash) func(breach.Hash) error {
		return func(h breach.Hash) error { *list = append(*list, h); return nil }
	}
	if err := errors.Join(corpus.Corpus{N: hashes, Seed: 1}.Each(keep(&have)), corpus.Corpus{N: hashes, Seed: 2}.Each(keep(&others))); err != nil {
		return Measure{}, 0, err
	}
	// In no order, as people's passwords come.
	mixed := make([]breach.Hash, 0, 1<<20)
	for i := range cap(mixed) {
		mixed = append(mixed, others[(i*7919)%len(others)])
	}
	wrong := 0
	for _, h := range others {
		if f.Contains(h) {
			wrong++
		}
	}
	asks := func(contains func(breach.Hash) bool) side {
		return func(context.Context) (float64, error) {
			began := time.Now()
			for _, h := range mixed {
				contains(h)
			}
			return float64(len(mixed)) / 1e6 / time.Since(began).Seconds(), nil
		}
	}
	m, err := r.duel(ctx, Measure{
		Name: "breach", What: "lookups in the filter : a binary search among the hashes themselves, in memory", Unit: "million a second", AtLeast: 1,
	}, asks(f.Contains), asks(func(h breach.Hash) bool {
		_, found := slices.BinarySearchFunc(have, h, func(a, b breach.Hash) int { return slices.Compare(a[:], b[:]) })
		return found
	}))
	return m, float64(wrong), err
}
