//go:build unix

package backup

import (
	"os"
	"syscall"
)

// SameDevice reports whether two paths lie on one disk, and whether that is known.
func SameDevice(one, other string) (same, known bool) {
	a, err := os.Stat(one)
	if err != nil {
		return false, false
	}
	b, err := os.Stat(other)
	if err != nil {
		return false, false
	}
	x, ok := a.Sys().(*syscall.Stat_t)
	y, also := b.Sys().(*syscall.Stat_t)
	return ok && also && x.Dev == y.Dev, ok && also
}
