// Package internal_test holds the shape of the house.
package internal_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/gatehouse-auth/gatehouse/"

// floors are the folders of the house, from the bottom: imports go down only. A
// package stands on the floor of the longest of these that its path begins with,
// so a new room needs no line here.
var floors = map[string]int{
	"verify":            0, // public: applications import it, and it nothing of ours
	"docs":              1, // the pages, as they lie there
	"internal/base":     1,
	"internal/feature":  2,
	"internal/flow":     3,
	"internal/ops":      4,
	"internal/door/web": 4, // what the doors share
	"internal/door/ui":  4, // what their pages are made of
	"internal/door":     5,
	"internal/app":      6,
	"internal/bench":    6,
	"cmd":               7, // main over a folder for each noun that has several files, over terminal
	"examples":          7,
	"bench":             8,

	// Programs that make what is embedded, or what is measured.
	"internal/base/breach/common": 8,
	"internal/base/breach/corpus": 6,
}

// sideways are the floors whose rooms may import one another.
var sideways = map[int]bool{1: true, 7: true}

// floorOf returns the floor on which a package stands.
func floorOf(path string) (floor int, known bool) {
	for at := path; at != "."; at = filepath.Dir(at) {
		if floor, known = floors[at]; known {
			return floor, true
		}
	}
	return 0, false
}

// forTests reports whether a package is for tests alone.
func forTests(path string) bool {
	return path == "internal" || strings.HasSuffix(path, "test") || strings.HasPrefix(path, "internal/test/")
}

// readsConfig may import config; all others take a small struct of their own.
func readsConfig(path string) bool {
	return path == "internal/app" || strings.HasPrefix(path, "cmd/")
}

// seesHTTP may import net/http.
func seesHTTP(path string) bool {
	return strings.HasPrefix(path, "internal/door/") || slices.Contains([]string{
		"internal/app", "internal/bench", "bench", "internal/base/outbound", "verify", "examples/go",
	}, path)
}

type goPackage struct {
	ImportPath string
	Doc        string
	Imports    []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Doc,Imports", "../...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []goPackage
	d := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		p.ImportPath = strings.TrimPrefix(p.ImportPath, module)
		list = append(list, p)
	}
}

func TestImportsGoDown(t *testing.T) {
	for _, p := range packages(t) {
		if forTests(p.ImportPath) {
			continue
		}
		floor, known := floorOf(p.ImportPath)
		if !known {
			t.Errorf("%s stands on no floor: move it into one of the folders that DESIGN.md lists", p.ImportPath)
		}
		if p.Doc == "" {
			t.Errorf("%s has no doc comment", p.ImportPath)
		}
		for _, path := range p.Imports {
			other, ours := strings.CutPrefix(path, module)
			below, _ := floorOf(other)
			switch {
			case path == "net/http" && !seesHTTP(p.ImportPath):
				t.Errorf("%s imports net/http, which stops at web and the doors", p.ImportPath)
			case !ours:
			case other == "internal/base/config" && !readsConfig(p.ImportPath):
				t.Errorf("%s imports config: let app hand it a struct of its own", p.ImportPath)
			case forTests(other):
				t.Errorf("%s imports %s, which is for tests", p.ImportPath, other)
			case p.ImportPath == "verify":
				t.Errorf("verify imports %s, which applications would drag in", other)
			case below == floor && strings.HasPrefix(p.ImportPath, other+"/"): // a room within that one
			case below > floor, below == floor && !sideways[floor]:
				t.Errorf("%s (floor %d) imports %s (floor %d)", p.ImportPath, floor, other, below)
			}
		}
	}
	for path := range floors {
		if _, err := os.Stat(filepath.Join("..", path)); err != nil {
			t.Errorf("%s has a floor and does not exist", path)
		}
	}
}
