package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

// command runs a program in the repository, and returns what it prints.
func (r *release) command(env []string, name string, args ...string) ([]byte, error) {
	c := exec.Command(name, args...)
	c.Dir = r.root
	c.Env = append(os.Environ(), append([]string{"CGO_ENABLED=0"}, env...)...)
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", filepath.Base(name), strings.Join(args, " "), err)
	}
	return out, nil
}

// build links a binary. It has no path of this machine in it (-trimpath), no id of the
// build, and of git only what it is told: Go would stamp "modified" into it, or nothing,
// by how the folder came here. Nor do flags of the builder's own have a part in it.
func (r *release) build(env []string, binary string) error {
	_, err := r.command(append(env, "GOFLAGS=-mod=readonly", "GOFIPS140=off"), "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags=-s -w -buildid= -X main.release="+r.version+" -X main.commit="+r.commit+
			" -X main.built="+r.made.Format(time.RFC3339), "-o", binary, "./cmd/gatehouse")
	return err
}

// binary builds that of a target and writes its bill of materials.
func (r *release) binary(t target) error {
	binary := r.path(t.String(), program(t))
	if err := r.build([]string{"GOOS=" + t.system, "GOARCH=" + t.arch, "GOAMD64=v1", "GOARM64=v8.0"}, binary); err != nil {
		return err
	}
	bill, err := r.command(nil, "go", "-C", filepath.Join(r.root, "tools", "sbom"), "run", ".", binary, r.version)
	if err != nil {
		return err
	}
	for _, to := range []string{r.path(t.String(), "gatehouse.cdx.json"), filepath.Join(r.out, r.name(t, ".cdx.json"))} {
		if err := os.WriteFile(to, bill, 0o644); err != nil { //nolint:gosec // for everybody to read
			return err
		}
	}
	return nil
}

func program(t target) string {
	if t.system == "windows" {
		return "gatehouse.exe"
	}
	return "gatehouse"
}

// documents writes what is made from the commands, by a binary for this machine, and the
// licences of all that is linked.
func (r *release) documents() error {
	this := target{runtime.GOOS, runtime.GOARCH}
	here := r.path(this.String(), program(this))
	if !slices.Contains(r.targets, this) {
		if err := r.build(nil, here); err != nil {
			return err
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if err := r.prints(r.path("completions", "gatehouse."+shell), here, "completion", shell); err != nil {
			return err
		}
	}
	if err := r.prints(r.path("man", "gatehouse.1"), here, "man"); err != nil {
		return err
	}
	all, err := os.ReadFile(r.path("man", "gatehouse.1"))
	if err != nil {
		return err
	}
	commands := regexp.MustCompile(`(?m)^\.BR gatehouse\\-(\w+) \(1\)$`).FindAllSubmatch(all, -1)
	if len(commands) == 0 {
		return errors.New("gatehouse man names no command")
	}
	for _, c := range commands {
		if err := r.prints(r.path("man", "gatehouse-"+string(c[1])+".1"), here, "man", string(c[1])); err != nil {
			return err
		}
	}
	licences, err := r.command(nil, filepath.Join(r.root, "scripts", "licences"))
	if err != nil {
		return err
	}
	return write(r.path("LICENCES"), licences)
}

// prints writes to a file what the binary prints.
func (r *release) prints(path, binary string, args ...string) error {
	out, err := r.command([]string{"ENVIRONMENT=development"}, binary, args...)
	if err == nil && len(bytes.TrimSpace(out)) == 0 {
		err = fmt.Errorf("gatehouse %s prints nothing", strings.Join(args, " "))
	}
	if err != nil {
		return err
	}
	return write(path, out)
}

func write(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644) //nolint:gosec // for everybody to read
}
