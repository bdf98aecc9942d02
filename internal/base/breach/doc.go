// Package breach reports whether a password is one that attackers try first: one
// of the most common, which are built into the binary, or one that was in a
// breach, according to a filter file built from the whole Have I Been Pwned corpus or
// to that service's range API.
//
// A filter is a set of SHA-1 hashes in about two bytes each: whatever is in the
// set is found; false positives are one in 256, 65,536 or 2^32, depending on how it
// was built. The corpus consists of SHA-1 hashes, so SHA-1 identifies its
// entries here; it does not store or protect anything.
//
// # How it works
//
// A filter is a sequence of binary fuse filters of a million hashes each, in the order
// of the hashes, each with a checksum: building it takes the memory of one, an
// interrupted build continues after the last complete one, and a lookup touches three
// places of a mapped file. The list in the binary is such a file. A file that is
// truncated while it is mapped causes an error and not a crash (guarded).
package breach

import (
	"crypto/sha1" //nolint:gosec // the name of an entry in the corpus, which protects nothing
	"encoding/binary"
)

// Hash is the SHA-1 hash of a password, by which the corpus names it.
type Hash [sha1.Size]byte

// HashOf returns the hash of a password, in UTF-8.
func HashOf(password string) Hash { return sha1.Sum([]byte(password)) } //nolint:gosec // see above

// rangeBits is the size of a prefix by which the corpus is cut into ranges: the
// five hexadecimal digits of its files and of its API.
const (
	rangeBits = 20
	ranges    = 1 << rangeBits
)

// rangeOf returns the number of the range that the hash is in.
func (h Hash) rangeOf() uint32 { return binary.BigEndian.Uint32(h[:4]) >> (32 - rangeBits) }

// key is what of a hash goes into a filter: 64 bits behind the range's.
func (h Hash) key() uint64 { return binary.BigEndian.Uint64(h[3:11]) }
