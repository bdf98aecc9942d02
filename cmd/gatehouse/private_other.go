//go:build !unix

package main

// makePrivate is for systems where a folder's access list decides.
func makePrivate() {}
