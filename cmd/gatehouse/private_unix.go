//go:build unix

package main

import "syscall"

// makePrivate keeps whatever this process makes from other users of the
// machine, lock files of libraries included.
func makePrivate() { syscall.Umask(0o077) }
