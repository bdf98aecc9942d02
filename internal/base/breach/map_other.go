//go:build !unix

package breach

import "os"

// mapFile reads the file, where it can't be mapped.
func mapFile(path string) (data []byte, unmap func() error, err error) {
	data, err = os.ReadFile(path)
	return data, func() error { return nil }, err
}

func guarded[T any](do func() (T, error)) (T, error) { return do() }

func dropPages([]byte) {}
