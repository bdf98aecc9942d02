package breach

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Plan is a filter file to be built.
type Plan struct {
	Corpus Corpus
	// Path is where the file is put once it is complete; until then it is next to
	// it, as PATH.part, with which an interrupted build goes on.
	Path string
	// Bits is the size of a fingerprint: 8, 16 or 32.
	Bits int
	// Fresh begins from the start even if there is a PATH.part.
	Fresh bool
	// Progress is called now and then with how many hashes there are, and which share of
	// the ranges is done, from 0 to 1. It may be nil.
	Progress func(entries uint64, done float64)

	shard int // entries of a shard, if not shardEntries
}

// progressEvery is how many hashes are read between two looks at the context.
const progressEvery = 1 << 12

// Build builds the file, in under 100 MB of memory however large the corpus is,
// and returns how many hashes it has. What a build before it left behind is
// gone on with: the corpus must be the same.
func Build(ctx context.Context, p Plan) (entries uint64, err error) {
	part := p.Path + ".part"
	flags := os.O_RDWR | os.O_CREATE
	if p.Fresh {
		flags |= os.O_TRUNC
	}
	f, err := os.OpenFile(part, flags, 0o644) //nolint:gosec // the operator names it; it holds nothing secret
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, ignoreClosed(f.Close())) }()
	b, from, err := p.begin(f)
	if err != nil {
		return 0, fmt.Errorf("%s: %w (--fresh begins again)", part, err)
	}
	if p.shard > 0 {
		b.limit = p.shard
	}
	n := 0
	err = p.Corpus.each(from, func(h Hash) error {
		if n++; n%progressEvery == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			if p.Progress != nil {
				p.Progress(b.Entries(), float64(h.rangeOf())/ranges)
			}
		}
		return b.Add(h)
	})
	if err != nil {
		return 0, err
	}
	if err := b.Finish(); err != nil {
		return 0, err
	}
	if p.Progress != nil {
		p.Progress(b.Entries(), 1)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return 0, err
	}
	if err := os.Rename(part, p.Path); err != nil {
		return 0, err
	}
	return b.Entries(), syncFolder(filepath.Dir(p.Path))
}

// begin returns the builder, new or behind what is there, and the first range
// that it wants.
func (p Plan) begin(f *os.File) (*Builder, uint32, error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, 0, err
	}
	if size < headerSize {
		if err := f.Truncate(0); err != nil {
			return nil, 0, err
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, 0, err
		}
		b, err := NewBuilder(f, p.Bits)
		return b, 0, err
	}
	b, at, next, err := resume(f, size, f, p.Bits)
	if err != nil {
		return nil, 0, err
	}
	if err := f.Truncate(at); err != nil {
		return nil, 0, err
	}
	_, err = f.Seek(at, io.SeekStart)
	return b, next, err
}

func ignoreClosed(err error) error {
	if errors.Is(err, fs.ErrClosed) {
		return nil
	}
	return err
}

// syncFolder makes the new name last. Not every system can.
func syncFolder(path string) error {
	d, err := os.Open(path) //nolint:gosec // the folder of the operator's file
	if err != nil {
		return err
	}
	_ = d.Sync()
	return d.Close()
}

// Open maps a filter file into memory, and checks every byte of it.
func Open(path string) (*Filter, error) {
	data, unmap, err := mapFile(path)
	if err != nil {
		return nil, err
	}
	f, err := guarded(func() (*Filter, error) { return Parse(data) })
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, errors.Join(err, unmap()))
	}
	f.close = unmap
	dropPages(data) // each was read; few will be asked for
	return f, nil
}
