package breach

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"unsafe"

	"github.com/FastFilter/xorfilter"
)

// A filter file is a header, then shards, then a trailer, all little-endian and
// aligned to 8 bytes:
//
//	header   magic (16) | version u32 | bits u32 | zero u64
//	shard    "shrd" | first u32 | last u32 | entries u32 | seed u64 |
//	         segment length u32 | segments u32 | bytes u64 | crc u32 | zero u32 |
//	         the fingerprints of a binary fuse filter, padded to 8 bytes
//	trailer  "done" | shards u32 | entries u64 | crc u32 | zero u32
//
// A shard holds the hashes of the ranges from first to last. Its crc (CRC-32C)
// is over its header up to there, and its fingerprints; the trailer's is over
// the crcs of all shards. So a file can be written from front to back, and one
// whose writing was interrupted shows which shards are complete.
const (
	magic       = "gatehouse breach"
	version     = 1
	headerSize  = 32
	shardHeader = 48
	trailerSize = 24
	crcAt       = 40 // in a shard's header
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrDamaged is for a filter that is not whole.
var ErrDamaged = errors.New("the breach filter is damaged")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s. Build it again with `gatehouse breach build`, or copy it again", ErrDamaged, fmt.Sprintf(format, args...))
}

// Filter is a set of hashes, read from a file or from memory. Its methods may be
// called at once by many.
type Filter struct {
	bits    int
	entries uint64
	shards  []shard
	size    int
	close   func() error
}

type shard struct {
	first, last uint32
	set         interface{ Contains(key uint64) bool }
}

// Parse reads a filter and checks every byte of it. It keeps data, which must
// not change.
func Parse(data []byte) (*Filter, error) {
	bits, err := parseHeader(data)
	if err != nil {
		return nil, err
	}
	f := &Filter{bits: bits, size: len(data), close: func() error { return nil }}
	sum := crc32.New(castagnoli)
	rest := data[headerSize:]
	for len(rest) >= 4 && string(rest[:4]) == "shrd" {
		h, body, err := parseShard(rest, bits)
		if err != nil {
			return nil, fmt.Errorf("%w (shard %d)", err, len(f.shards))
		}
		if n := len(f.shards); n > 0 && h.first <= f.shards[n-1].last {
			return nil, damaged("shard %d is out of order", n)
		}
		f.shards = append(f.shards, shard{first: h.first, last: h.last, set: h.open(body, bits)})
		f.entries += uint64(h.entries)
		sum.Write(rest[crcAt : crcAt+4])
		rest = rest[shardHeader+len(body):]
	}
	if len(rest) != trailerSize || string(rest[:4]) != "done" {
		return nil, damaged("its end is missing, or something follows it")
	}
	if binary.LittleEndian.Uint32(rest[4:]) != uint32(len(f.shards)) || //nolint:gosec // at most 2^20
		binary.LittleEndian.Uint64(rest[8:]) != f.entries ||
		binary.LittleEndian.Uint32(rest[16:]) != sum.Sum32() || binary.LittleEndian.Uint32(rest[20:]) != 0 {
		return nil, damaged("its end does not fit the rest")
	}
	return f, nil
}

func parseHeader(data []byte) (bits int, err error) {
	if len(data) < headerSize || string(data[:16]) != magic {
		return 0, damaged("it does not begin as one")
	}
	if v := binary.LittleEndian.Uint32(data[16:]); v != version {
		return 0, fmt.Errorf("the breach filter has version %d, and this program reads version %d. Build it again with `gatehouse breach build`", v, version)
	}
	bits = int(binary.LittleEndian.Uint32(data[20:]))
	if bits != 8 && bits != 16 && bits != 32 || binary.LittleEndian.Uint64(data[24:]) != 0 {
		return 0, damaged("its header makes no sense")
	}
	return bits, nil
}

// shardHead is a shard's header.
type shardHead struct {
	first, last, entries    uint32
	seed                    uint64
	segmentLength, segments uint32
	bytes                   uint64
}

// parseShard reads the shard at the front of data, and returns its header and
// its fingerprints, padding included.
func parseShard(data []byte, bits int) (h shardHead, body []byte, err error) {
	if len(data) < shardHeader || string(data[:4]) != "shrd" {
		return h, nil, damaged("a shard is cut off")
	}
	le := binary.LittleEndian
	h = shardHead{
		first: le.Uint32(data[4:]), last: le.Uint32(data[8:]), entries: le.Uint32(data[12:]), seed: le.Uint64(data[16:]),
		segmentLength: le.Uint32(data[24:]), segments: le.Uint32(data[28:]), bytes: le.Uint64(data[32:]),
	}
	if h.bytes > uint64(len(data)-shardHeader) || h.bytes%8 != 0 { //nolint:gosec // it is as long as that, at least
		return h, nil, damaged("a shard is cut off")
	}
	body = data[shardHeader : shardHeader+int(h.bytes)] //nolint:gosec // it is within data
	if crc32.Update(crc32.Checksum(data[:crcAt], castagnoli), castagnoli, body) != le.Uint32(data[crcAt:]) || le.Uint32(data[crcAt+4:]) != 0 {
		return h, nil, damaged("a shard does not fit its checksum")
	}
	// What Contains counts on, so that nothing it is given makes it look outside.
	need := (uint64(h.segments) + 2) * uint64(h.segmentLength)
	if h.first > h.last || h.last >= ranges || h.entries == 0 || h.segments == 0 || h.segmentLength == 0 ||
		h.segmentLength&(h.segmentLength-1) != 0 || need > 1<<31 || padded(need*uint64(bits)/8) != h.bytes { //nolint:gosec // 8, 16 or 32
		return h, nil, damaged("a shard makes no sense")
	}
	return h, body, nil
}

func padded(n uint64) uint64 { return (n + 7) &^ 7 }

func (h shardHead) open(body []byte, bits int) interface{ Contains(key uint64) bool } {
	switch bits {
	case 8:
		return openShard[uint8](h, body)
	case 16:
		return openShard[uint16](h, body)
	default:
		return openShard[uint32](h, body)
	}
}

func openShard[T xorfilter.Unsigned](h shardHead, body []byte) *xorfilter.BinaryFuse[T] {
	return &xorfilter.BinaryFuse[T]{
		Seed: h.seed, SegmentLength: h.segmentLength, SegmentLengthMask: h.segmentLength - 1,
		SegmentCount: h.segments, SegmentCountLength: h.segments * h.segmentLength,
		Fingerprints: numbers[T](body)[:(h.segments+2)*h.segmentLength],
	}
}

// numbers returns the little-endian numbers that the bytes are: the very bytes,
// where the machine can read them as they lie, and a copy elsewhere.
func numbers[T xorfilter.Unsigned](b []byte) []T {
	size := int(unsafe.Sizeof(T(0)))
	at := unsafe.Pointer(unsafe.SliceData(b)) //nolint:gosec // the bytes are looked at as numbers, no further than they go
	if littleEndian && uintptr(at)%uintptr(size) == 0 {
		return unsafe.Slice((*T)(at), len(b)/size) //nolint:gosec // the same
	}
	out := make([]T, len(b)/size)
	for i := range out {
		for j := range size {
			out[i] |= T(b[i*size+j]) << (8 * j)
		}
	}
	return out
}

var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// Contains reports whether the set has the hash, or the rare chance of a filter
// says so.
func (f *Filter) Contains(h Hash) bool {
	r := h.rangeOf()
	i, found := slices.BinarySearchFunc(f.shards, r, func(s shard, r uint32) int {
		switch {
		case s.last < r:
			return -1
		case s.first > r:
			return 1
		}
		return 0
	})
	return found && f.shards[i].set.Contains(h.key())
}

// Entries is how many hashes were put into the filter.
func (f *Filter) Entries() uint64 { return f.entries }

// Shards is how many parts it has.
func (f *Filter) Shards() int { return len(f.shards) }

// Bits is the size of a fingerprint: one lookup in 2^Bits finds what is not
// there.
func (f *Filter) Bits() int { return f.bits }

// Size is the size of the file in bytes.
func (f *Filter) Size() int { return f.size }

// Close frees the memory. The filter must not be used afterwards.
func (f *Filter) Close() error { return f.close() }
