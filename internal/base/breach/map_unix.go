//go:build unix

package breach

import (
	"fmt"
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// mapFile maps a file into memory, so that it is read as it is needed, and its
// pages are shared and can be dropped.
func mapFile(path string) (data []byte, unmap func() error, err error) {
	f, err := os.Open(path) //nolint:gosec // the operator names it
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	size := info.Size()
	if !info.Mode().IsRegular() || size == 0 || int64(int(size)) != size {
		return nil, nil, fmt.Errorf("%s: %w", path, damaged("it is empty, or no file"))
	}
	data, err = unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, fmt.Errorf("%s can't be mapped into memory: %w", path, err)
	}
	return data, func() error { return unix.Munmap(data) }, nil
}

// guarded does what reads a mapped file. If that was cut off meanwhile, it is an
// error and not the end of the process.
func guarded[T any](do func() (T, error)) (out T, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			if fault, ok := r.(interface{ Addr() uintptr }); !ok || fault.Addr() == 0 {
				panic(r)
			}
			err = damaged("it was cut off while it was in use: replace it by renaming a new one over it")
		}
	}()
	return do()
}

// dropPages takes a mapped file's pages out of this process's memory. They come
// back as they are needed.
func dropPages(data []byte) { _ = unix.Madvise(data, unix.MADV_DONTNEED) }
