package breach_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/breach"
	"github.com/gatehouse-auth/gatehouse/internal/base/breach/corpus"
)

// PW-3: a generated corpus in the form of the download, of ten million hashes
// with GATEHOUSE_SOAK=1: every one of them is found, hardly anything else is, an
// entry takes little, and the building no more memory than a few shards do.
func TestPW3_ABigCorpus(t *testing.T) {
	n := 300_000
	if os.Getenv("GATEHOUSE_SOAK") == "1" {
		n = 10_000_000
	}
	all := corpus.Corpus{N: n, Seed: 1}
	in, out := io.Pipe()
	go func() { _ = out.CloseWithError(all.Write(out)) }()
	var most atomic.Uint64
	done := make(chan struct{})
	go watchMemory(done, &most)
	path := filepath.Join(t.TempDir(), "filter")
	built, err := breach.Build(context.Background(), breach.Plan{Corpus: breach.Corpus{In: in}, Path: path, Bits: 16})
	close(done)
	if err != nil {
		t.Fatal(err)
	}
	f, err := breach.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if built != uint64(n) || f.Entries() != uint64(n) {
		t.Errorf("%d built, %d in the filter, of %d", built, f.Entries(), n)
	}
	if each := float64(f.Size()) / float64(n); each > 2.6 {
		t.Errorf("%.2f bytes an entry", each)
	}
	if mb := most.Load() >> 20; mb > 160 {
		t.Errorf("%d MB of memory", mb)
	}
	if err := all.Each(func(h breach.Hash) error {
		if !f.Contains(h) {
			t.Fatalf("%x is missing", h)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	wrong, other := 0, corpus.Corpus{N: n, Seed: 2}
	if err := other.Each(func(h breach.Hash) error {
		if f.Contains(h) {
			wrong++
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if expect := n >> 16; wrong > 2*expect+12 {
		t.Errorf("%d of %d found by mistake, and 1 in 2^16 is %d", wrong, n, expect)
	}
}

// watchMemory keeps the most that the heap has held.
func watchMemory(done chan struct{}, most *atomic.Uint64) {
	for {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		most.Store(max(most.Load(), m.HeapInuse))
		select {
		case <-done:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// BenchmarkContains looks up what is there and what is not, in turns.
func BenchmarkContains(b *testing.B) {
	all := corpus.Corpus{N: 1 << 20, Seed: 1}
	in, out := io.Pipe()
	go func() { _ = out.CloseWithError(all.Write(out)) }()
	path := filepath.Join(b.TempDir(), "filter")
	if _, err := breach.Build(b.Context(), breach.Plan{Corpus: breach.Corpus{In: in}, Path: path, Bits: 16}); err != nil {
		b.Fatal(err)
	}
	f, err := breach.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	var list []breach.Hash
	for seed := range uint64(2) {
		_ = corpus.Corpus{N: 4096, Seed: seed + 1}.Each(func(h breach.Hash) error { list = append(list, h); return nil })
	}
	i := 0
	for b.Loop() {
		f.Contains(list[i%len(list)])
		i++
	}
}
