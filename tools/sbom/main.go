// Command sbom writes a CycloneDX bill of materials (ECMA-424) of a Go binary, from what the
// linker put into it: sbom BINARY [VERSION] prints it. It says what is in that binary, and no
// more than that: not what go.mod asks for. The version is the binary's own, which Go knows
// only of what it installed from a module.
package main

import (
	"debug/buildinfo"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"
)

func main() {
	if len(os.Args) != 2 && len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: sbom BINARY [VERSION]")
		os.Exit(64)
	}
	if err := write(os.Stdout, os.Args[1], os.Args[2:]...); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func write(w io.Writer, binary string, version ...string) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return err
	}
	if len(version) > 0 {
		info.Main.Version = version[0]
	}
	e := cyclonedx.NewBOMEncoder(w, cyclonedx.BOMFileFormatJSON)
	return e.SetPretty(true).Encode(bill(info))
}

// bill has a component for each module that is linked, and one for Go's own library. All
// the modules stand under the binary: which of them needs which is not in the binary.
func bill(info *debug.BuildInfo) *cyclonedx.BOM {
	b := cyclonedx.NewBOM()
	self := component(&info.Main, cyclonedx.ComponentTypeApplication)
	parts := []cyclonedx.Component{{
		BOMRef: "pkg:golang/std@" + version(info.GoVersion), Type: cyclonedx.ComponentTypeLibrary, Name: "std", Version: version(info.GoVersion),
		PackageURL: "pkg:golang/std@" + version(info.GoVersion),
	}}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		parts = append(parts, component(m, cyclonedx.ComponentTypeLibrary))
	}
	var refs []string
	for _, p := range parts {
		refs = append(refs, p.BOMRef)
	}
	b.Metadata = &cyclonedx.Metadata{Component: &self, Properties: settings(info)}
	b.Components = &parts
	b.Dependencies = &[]cyclonedx.Dependency{{Ref: self.BOMRef, Dependencies: &refs}}
	return b
}

// component is a module, named by its package URL. Its sum is that of go.sum, a hash of its
// files' hashes, which CycloneDX has no name for.
func component(m *debug.Module, kind cyclonedx.ComponentType) cyclonedx.Component {
	url := "pkg:golang/" + m.Path + "@" + m.Version
	c := cyclonedx.Component{BOMRef: url, Type: kind, Name: m.Path, Version: m.Version, PackageURL: url}
	if m.Sum != "" {
		c.Properties = &[]cyclonedx.Property{{Name: "go:sum", Value: m.Sum}}
	}
	return c
}

// version is Go's as package URLs have it: 1.26.0 rather than "go1.26.0".
func version(v string) string { return strings.TrimPrefix(strings.Fields(v + " ")[0], "go") }

// settings are those that the binary was built with.
func settings(info *debug.BuildInfo) *[]cyclonedx.Property {
	var out []cyclonedx.Property
	for _, s := range info.Settings {
		switch s.Key {
		case "CGO_ENABLED", "GOARCH", "GOOS", "-trimpath", "-tags", "vcs.revision", "vcs.modified", "vcs.time":
			out = append(out, cyclonedx.Property{Name: "go:build:" + s.Key, Value: s.Value})
		}
	}
	return &out
}
