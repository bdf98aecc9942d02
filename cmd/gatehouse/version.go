package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
)

// release, commit and built, the time of the commit, are set by the linker when a release is built.
var release, commit, built string

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

type versionCommand struct {
	JSON bool `name:"json" help:"Print JSON, one object."`
}

func (versionCommand) Help() string { return "Example:\n  gatehouse version" }

// Run prints the version.
func (v versionCommand) Run(t *terminal.Terminal) error {
	if v.JSON {
		return t.JSON(struct {
			Version string `json:"version"`
			Commit  string `json:"commit,omitempty"`
			Go      string `json:"go"`
			OS      string `json:"os"`
			Arch    string `json:"arch"`
		}{version(), commit, runtime.Version(), runtime.GOOS, runtime.GOARCH})
	}
	of := runtime.Version()
	if commit != "" {
		of = "commit " + commit[:min(12, len(commit))] + ", " + of
	}
	_, err := fmt.Fprintf(t.Out, "gatehouse %s (%s, %s/%s)\n", version(), of, runtime.GOOS, runtime.GOARCH)
	return err
}
