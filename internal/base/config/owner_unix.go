//go:build unix

package config

import (
	"io/fs"
	"syscall"
)

const hasOwners = true

// ownerOf returns the id of the user who owns the file.
func ownerOf(info fs.FileInfo) int {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid)
	}
	return 0
}
