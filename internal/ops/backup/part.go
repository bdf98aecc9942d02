package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
)

const (
	// partSize is from how many bytes on of rows a part is closed, behind a row.
	partSize = 32 << 20
	// window is zstd's when a backup is made, mostWindow the largest that is read.
	window, mostWindow = 1 << 20, 8 << 20
	// mostRow bounds a row when it is read. The longest that is written by a server is
	// the state of the alerts, of some hundred KiB.
	mostRow = 4 << 20
	// mostPart bounds a part as it is stored.
	mostPart = 64 << 20
)

// Part is a file of a backup: some rows of one table, as the manifest has it.
type Part struct {
	Name  string `json:"name"`
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
	// Plain is the size of the rows, Size that of the file.
	Plain int64 `json:"plain"`
	Size  int64 `json:"size"`
	// SHA256 is of the file, PlainSHA256 of the rows; in hex.
	SHA256      string `json:"sha256"`
	PlainSHA256 string `json:"plain_sha256"`
}

var partName = regexp.MustCompile(`^[a-z_]{1,40}-[0-9]{5}\.zst\.age$`)

// nameOf names a table's n-th part, from 1 on. Nothing is ever read or written under a
// name that came from a store.
func nameOf(table string, n int) string { return fmt.Sprintf("%s-%05d.zst.age", table, n) }

// cutter takes a table's rows and closes a part behind the row that fills it. Only the
// part at hand is in memory.
type cutter struct {
	table      string
	recipients []age.Recipient
	full       func(Part, []byte) error

	n     int
	at    *making
	total int64 // rows of all parts
}

// making is a part that is not full yet.
type making struct {
	part    Part
	out     bytes.Buffer
	sealing io.WriteCloser
	packing *zstd.Encoder
	plain   hash
}

// Write takes whole rows or pieces of them.
func (c *cutter) Write(b []byte) (int, error) {
	written := len(b)
	for len(b) > 0 {
		if c.at == nil {
			if err := c.begin(); err != nil {
				return 0, err
			}
		}
		piece := b
		over := c.at.part.Plain + int64(len(b)) - partSize
		if over >= 0 {
			// The first row's end that is behind the part's size.
			from := max(0, len(b)-int(over)-1)
			if i := bytes.IndexByte(b[from:], '\n'); i >= 0 {
				piece = b[:from+i+1]
			}
		}
		c.at.part.Plain += int64(len(piece))
		c.at.part.Rows += int64(bytes.Count(piece, []byte{'\n'}))
		c.at.plain.write(piece)
		if _, err := c.at.packing.Write(piece); err != nil {
			return 0, err
		}
		b = b[len(piece):]
		if c.at.part.Plain >= partSize && piece[len(piece)-1] == '\n' {
			if err := c.end(); err != nil {
				return 0, err
			}
		}
	}
	return written, nil
}

func (c *cutter) begin() error {
	m := &making{plain: newHash()}
	var err error
	if m.sealing, err = age.Encrypt(&m.out, c.recipients...); err != nil {
		return fmt.Errorf("encrypting: %w", err)
	}
	m.packing, err = zstd.NewWriter(m.sealing, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(window),
		zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
	c.at = m
	return err
}

// end closes the part at hand, if there is one.
func (c *cutter) end() error {
	m := c.at
	if m == nil {
		return nil
	}
	if err := errors.Join(m.packing.Close(), m.sealing.Close()); err != nil {
		return err
	}
	c.n++
	p := m.part
	p.Name, p.Table, p.Size, p.PlainSHA256 = nameOf(c.table, c.n), c.table, int64(m.out.Len()), m.plain.hex()
	p.SHA256 = hexHash(m.out.Bytes())
	c.total += p.Rows
	c.at = nil
	return c.full(p, m.out.Bytes())
}

// intact holds a stored part against the manifest, before anything is done with it.
func (p Part) intact(file []byte) error {
	if int64(len(file)) != p.Size {
		return fmt.Errorf("it has %d bytes and should have %d", len(file), p.Size)
	}
	if hexHash(file) != p.SHA256 {
		return errors.New("its SHA-256 is another")
	}
	return nil
}

// open decrypts a part that is intact, and returns its rows as text. What unpacks to more
// than the manifest says stops there. The reader's end checks size, hash and rows.
func (p Part) open(file []byte, identities []age.Identity) (io.ReadCloser, error) {
	r, err := age.Decrypt(bytes.NewReader(file), identities...)
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return nil, errNoIdentity
	}
	if err != nil {
		return nil, fmt.Errorf("decrypting: %w", err)
	}
	z, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(mostWindow), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, fmt.Errorf("unpacking: %w", err)
	}
	return &opened{part: p, unpacked: z, plain: newHash()}, nil
}

// errNoIdentity is for a part that none of the identities opens.
var errNoIdentity = errors.New("none of the identities opens it")

// opened reads a part's rows.
type opened struct {
	part     Part
	unpacked *zstd.Decoder
	plain    hash
	size     int64
	rows     int64
	line     int64 // how long the row at hand is by now
}

func (o *opened) Read(b []byte) (int, error) {
	left := o.part.Plain - o.size
	if left < int64(len(b)) {
		b = b[:left+1] // one more, to see whether there is more
	}
	n, err := o.unpacked.Read(b)
	o.size += int64(n)
	if o.size > o.part.Plain {
		return 0, fmt.Errorf("it unpacks to more than the %d bytes that it should have", o.part.Plain)
	}
	o.plain.write(b[:n])
	for rest := b[:n]; len(rest) > 0; {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			o.line += int64(len(rest))
			break
		}
		o.rows, o.line, rest = o.rows+1, 0, rest[i+1:]
	}
	if o.line > mostRow {
		return 0, fmt.Errorf("a row has more than %d bytes", mostRow)
	}
	switch {
	case err == nil:
		return n, nil
	case !errors.Is(err, io.EOF):
		return n, fmt.Errorf("unpacking: %w", err)
	case o.size != o.part.Plain || o.rows != o.part.Rows || o.line != 0 || o.plain.hex() != o.part.PlainSHA256:
		return n, errors.New("what it unpacks to is not what the manifest says")
	}
	return n, io.EOF
}

func (o *opened) Close() error {
	o.unpacked.Close()
	return nil
}

func hexHash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
