package proctest

import (
	"os"
	"path/filepath"
	"sync"
)

// File returns the path of a file of the repository, such as docs/metrics.md,
// from whichever package's folder the tests run in.
func File(path string) string { return filepath.Join(root(), path) }

var root = sync.OnceValue(func() string {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	for {
		// tools/ has modules too, but no tests.
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if filepath.Dir(dir) == dir {
			panic("proctest: not inside the repository")
		}
		dir = filepath.Dir(dir)
	}
})
