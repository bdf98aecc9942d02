package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// release is set by the linker when a release is built.
var release string

// version is the release, or what the Go toolchain knows of this build.
func version() string {
	if release != "" {
		return release
	}
	if b, ok := debug.ReadBuildInfo(); ok && b.Main.Version != "" && b.Main.Version != "(devel)" {
		return b.Main.Version
	}
	return "devel"
}

type versionCommand struct{}

func (versionCommand) Help() string { return "Example:\n  gatehouse version" }

// Run prints the version.
func (versionCommand) Run(t *terminal) error {
	_, err := fmt.Fprintf(t.out, "gatehouse %s (%s, %s/%s)\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
