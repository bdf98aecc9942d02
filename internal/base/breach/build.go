package breach

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/FastFilter/xorfilter"
)

const (
	// shardEntries is how many hashes a shard has: building one takes some 26
	// bytes each.
	shardEntries = 1 << 20
	// rangeMost is the most hashes of one range. The corpus has some 2,000; a
	// million would take the same passwords over and over, or other hashes.
	rangeMost = 1 << 20
)

// Builder writes a filter from hashes that come in order, in the memory of one
// shard.
type Builder struct {
	out     *bufio.Writer
	bits    int
	limit   int // entries of a shard
	fuse    xorfilter.BinaryFuseBuilder
	keys    []uint64
	first   uint32 // the range that the shard begins with
	last    Hash
	shards  uint32
	entries uint64
	crcs    []byte
	buffer  []byte
	any     bool
	inRange int // how many of keys are of last's range
}

// NewBuilder returns a Builder that writes to out. bits is the size of a
// fingerprint: 8, 16 or 32.
func NewBuilder(out io.Writer, bits int) (*Builder, error) {
	b, err := newBuilder(out, bits)
	if err != nil {
		return nil, err
	}
	header := make([]byte, headerSize)
	copy(header, magic)
	binary.LittleEndian.PutUint32(header[16:], version)
	binary.LittleEndian.PutUint32(header[20:], uint32(bits)) //nolint:gosec // 8, 16 or 32
	_, err = b.out.Write(header)
	return b, err
}

func newBuilder(out io.Writer, bits int) (*Builder, error) {
	if bits != 8 && bits != 16 && bits != 32 {
		return nil, fmt.Errorf("a filter's fingerprints have 8, 16 or 32 bits, not %d", bits)
	}
	// Room for a shard and the rest of its last range.
	keys := make([]uint64, 0, shardEntries+1<<14)
	return &Builder{out: bufio.NewWriterSize(out, 1<<20), bits: bits, limit: shardEntries, keys: keys}, nil
}

// ErrUnsorted is for hashes that don't come in order.
var ErrUnsorted = errors.New("the hashes are not in order: sort them first, with `LC_ALL=C sort`, or use the download that is ordered by hash")

// Add adds a hash. It must not be smaller than the one before; the same one
// again is left out.
func (b *Builder) Add(h Hash) error {
	r := h.rangeOf()
	if b.any {
		switch compare(h, b.last) {
		case 0:
			return nil
		case -1:
			return ErrUnsorted
		}
		if r != b.last.rangeOf() {
			if len(b.keys) >= b.limit {
				if err := b.flush(); err != nil {
					return err
				}
			}
			b.inRange = 0
		}
	}
	if len(b.keys) == 0 {
		b.first = r
	}
	if b.inRange++; b.inRange > rangeMost {
		return fmt.Errorf("over %d hashes begin with %05X: this is no corpus of SHA-1 hashes", rangeMost, r)
	}
	b.keys, b.last, b.any = append(b.keys, h.key()), h, true
	return nil
}

func compare(a, b Hash) int {
	x, y := binary.BigEndian.Uint64(a[:8]), binary.BigEndian.Uint64(b[:8])
	if x == y {
		x, y = binary.BigEndian.Uint64(a[8:16]), binary.BigEndian.Uint64(b[8:16])
		if x == y {
			x, y = uint64(binary.BigEndian.Uint32(a[16:])), uint64(binary.BigEndian.Uint32(b[16:]))
		}
	}
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// flush writes the shard of the hashes since the last one.
func (b *Builder) flush() error {
	head := shardHead{first: b.first, last: b.last.rangeOf(), entries: uint32(len(b.keys))} //nolint:gosec // within limit + rangeMost
	var err error
	switch b.bits {
	case 8:
		b.buffer, err = buildShard[uint8](b, &head)
	case 16:
		b.buffer, err = buildShard[uint16](b, &head)
	default:
		b.buffer, err = buildShard[uint32](b, &head)
	}
	if err != nil {
		return err
	}
	h, le := make([]byte, shardHeader), binary.LittleEndian
	copy(h, "shrd")
	le.PutUint32(h[4:], head.first)
	le.PutUint32(h[8:], head.last)
	le.PutUint32(h[12:], head.entries)
	le.PutUint64(h[16:], head.seed)
	le.PutUint32(h[24:], head.segmentLength)
	le.PutUint32(h[28:], head.segments)
	le.PutUint64(h[32:], head.bytes)
	le.PutUint32(h[crcAt:], crc32.Update(crc32.Checksum(h[:crcAt], castagnoli), castagnoli, b.buffer))
	b.took(head, h[crcAt:crcAt+4])
	b.keys = b.keys[:0]
	if _, err := b.out.Write(h); err != nil {
		return err
	}
	if _, err := b.out.Write(b.buffer); err != nil {
		return err
	}
	return b.out.Flush() // so that an interrupted build has whole shards
}

// took counts a shard that is written.
func (b *Builder) took(h shardHead, crc []byte) {
	b.shards++
	b.entries += uint64(h.entries)
	b.crcs = append(b.crcs, crc...)
}

func buildShard[T xorfilter.Unsigned](b *Builder, head *shardHead) ([]byte, error) {
	f, err := xorfilter.BuildBinaryFuse[T](&b.fuse, b.keys)
	if err != nil {
		return nil, fmt.Errorf("building a filter of %d hashes: %w", len(b.keys), err)
	}
	head.seed, head.segmentLength, head.segments = f.Seed, f.SegmentLength, f.SegmentCount
	out := b.buffer[:0]
	for _, n := range f.Fingerprints {
		for j := 0; j < b.bits; j += 8 {
			out = append(out, byte(uint32(n)>>j)) //nolint:gosec // its lowest byte
		}
	}
	head.bytes = padded(uint64(len(out)))
	return append(out, make([]byte, head.bytes-uint64(len(out)))...), nil
}

// Finish writes the end. It fails if there was no hash.
func (b *Builder) Finish() error {
	if len(b.keys) > 0 {
		if err := b.flush(); err != nil {
			return err
		}
	}
	if b.shards == 0 {
		return errors.New("there are no hashes in the input")
	}
	t := make([]byte, trailerSize)
	copy(t, "done")
	binary.LittleEndian.PutUint32(t[4:], b.shards)
	binary.LittleEndian.PutUint64(t[8:], b.entries)
	binary.LittleEndian.PutUint32(t[16:], crc32.Checksum(b.crcs, castagnoli))
	if _, err := b.out.Write(t); err != nil {
		return err
	}
	return b.out.Flush()
}

// Entries is how many hashes the filter has so far.
func (b *Builder) Entries() uint64 { return b.entries + uint64(len(b.keys)) }

// resume returns a Builder that goes on behind the whole shards of an
// interrupted build, of which in must hold the header, and the offset behind
// them. next is the range from which on the hashes are still wanted.
func resume(in io.ReaderAt, size int64, out io.Writer, bits int) (b *Builder, at int64, next uint32, err error) {
	header := make([]byte, headerSize)
	if _, err := in.ReadAt(header, 0); err != nil {
		return nil, 0, 0, damaged("it is cut off")
	}
	had, err := parseHeader(header)
	if err != nil {
		return nil, 0, 0, err
	}
	if had != bits {
		return nil, 0, 0, fmt.Errorf("the interrupted build has fingerprints of %d bits, not %d", had, bits)
	}
	if b, err = newBuilder(out, bits); err != nil {
		return nil, 0, 0, err
	}
	at = headerSize
	for {
		head := make([]byte, shardHeader)
		if _, err := in.ReadAt(head, at); err != nil || string(head[:4]) != "shrd" {
			return b, at, next, nil
		}
		n := binary.LittleEndian.Uint64(head[32:])
		if n > uint64(size) { //nolint:gosec // a file's size
			return b, at, next, nil
		}
		whole := append(head, make([]byte, n)...)
		if _, err := in.ReadAt(whole[shardHeader:], at+shardHeader); err != nil {
			return b, at, next, nil
		}
		h, body, err := parseShard(whole, bits)
		if err != nil || h.first < next {
			return b, at, next, nil //nolint:nilerr // what is not whole is built again
		}
		b.took(h, whole[crcAt:crcAt+4])
		at += int64(shardHeader + len(body))
		next = h.last + 1
	}
}
