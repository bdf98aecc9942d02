// Package corpus makes corpora in the form of the Pwned Passwords, of any
// size, for tests and benchmarks.
package corpus

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/gatehouse-auth/gatehouse/internal/base/breach"
)

// Corpus is a corpus of N hashes, always the same for one seed. Its hashes are
// as evenly spread as those of SHA-1.
type Corpus struct {
	N    int
	Seed uint64
}

// chunks is how many parts a corpus is made in, one after another and in order.
const chunks = 1 << 12

// Each calls add with the hashes in order, in little memory.
func (c Corpus) Each(add func(breach.Hash) error) error {
	var list []breach.Hash
	for chunk := range chunks {
		r := rand.New(rand.NewPCG(c.Seed, uint64(chunk))) //nolint:gosec // nothing secret
		list = list[:0]
		for range (chunk+1)*c.N/chunks - chunk*c.N/chunks {
			var h breach.Hash
			binary.BigEndian.PutUint64(h[:], uint64(chunk)<<52|r.Uint64()>>12)
			binary.BigEndian.PutUint64(h[8:], r.Uint64())
			binary.BigEndian.PutUint32(h[16:], r.Uint32())
			list = append(list, h)
		}
		slices.SortFunc(list, func(a, b breach.Hash) int {
			x, y := binary.BigEndian.Uint64(a[:]), binary.BigEndian.Uint64(b[:])
			if x < y {
				return -1
			}
			return 1
		})
		for _, h := range list {
			if err := add(h); err != nil {
				return err
			}
		}
	}
	return nil
}

// Write writes the corpus as its download has it.
func (c Corpus) Write(out io.Writer) error {
	w := bufio.NewWriterSize(out, 1<<20)
	var line []byte
	n := 0
	err := c.Each(func(h breach.Hash) error {
		n++
		line = hex.AppendEncode(line[:0], h[:])
		for i, b := range line {
			if b >= 'a' {
				line[i] = b - 'a' + 'A'
			}
		}
		line = strconv.AppendInt(append(line, ':'), int64(n%1000+1), 10)
		_, err := w.Write(append(line, '\r', '\n'))
		return err
	})
	if err != nil {
		return err
	}
	return w.Flush()
}
