package backup

import (
	"crypto/sha256"
	"encoding/hex"
	stdhash "hash"
)

// hash is SHA-256 over what is written.
type hash struct{ of stdhash.Hash }

func newHash() hash { return hash{sha256.New()} }

func (h hash) write(b []byte) { _, _ = h.of.Write(b) } // never fails

func (h hash) hex() string { return hex.EncodeToString(h.of.Sum(nil)) }
