// Package breach tells whether a password is one that attackers try first: one
// of the most common, which the binary brings along, or one that has stood in a
// breach, by a filter file made of the whole Have I Been Pwned corpus or by
// that service's range API.
//
// A filter is a set of SHA-1 hashes in about two bytes each: whatever is in the
// set is found; something else is found by mistake once in 256, 65,536 or 2^32
// times, as it was built. The corpus is one of SHA-1 hashes, so SHA-1 names its
// entries here; nothing is kept or protected by it.
//
// # How it works
//
// A filter is binary fuse filters of a million hashes each, in the order of the
// hashes, each with a checksum: it is built in the memory of one, an interrupted
// build goes on behind the last whole one, and a look-up touches three places of a
// mapped file. The list in the binary is such a file. A file that is cut off while
// it is mapped is an error and no crash (guarded).
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
