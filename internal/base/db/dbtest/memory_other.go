//go:build !linux

package dbtest

// memory returns "": a folder in memory is Linux's.
func memory() string { return "" }
