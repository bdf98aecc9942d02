// Package internal_test holds the shape of the house.
package internal_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/gatehouse-auth/gatehouse/"

// floors is the house of DESIGN.md: imports go down, and sideways only where the
// floor says so. A package that stands here must exist, and one that exists must
// stand here.
var floors = map[string]int{
	"bench": 9, "internal/breach/common": 9, "internal/breach/corpus": 7,
	"cmd/gatehouse": 8, "examples/go": 8,
	"internal/app":     7,
	"internal/bench":   7,
	"internal/api":     6,
	"internal/page":    6,
	"internal/web":     4,
	"internal/alert":   4,
	"internal/flow":    3,
	"internal/account": 2, "internal/session": 2, "internal/token": 2, "internal/event": 2, "internal/job": 2, "internal/client": 2,
	"internal/lockout": 2, "internal/acme": 2, "internal/block": 2,
	"internal/notice": 2, "internal/ticket": 2,
	"internal/limit":    1,
	"internal/password": 1, "internal/breach": 1, "internal/db": 1, "internal/keyring": 1,
	"internal/outbound": 0, "internal/trace": 0, "internal/mail": 0,
	"internal/config": 0, "internal/secret": 0, "internal/fault": 0,
	"verify": 0, // public: applications import it, and it nothing of ours
}

// sideways are the floors whose rooms may import one another.
var sideways = map[int]bool{0: true, 1: true}

// readsConfig may import config; all others take a small struct of their own.
var readsConfig = map[string]bool{"cmd/gatehouse": true, "internal/app": true}

// seesHTTP may import net/http.
var seesHTTP = map[string]bool{"internal/app": true, "internal/api": true, "internal/page": true, "internal/web": true, "internal/bench": true, "bench": true, "internal/outbound": true, "verify": true, "examples/go": true}

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
	seen := map[string]bool{}
	for _, p := range packages(t) {
		if strings.HasSuffix(p.ImportPath, "test") || p.ImportPath == "internal" {
			continue // for tests only, or tests alone
		}
		floor, known := floors[p.ImportPath]
		if !known {
			t.Errorf("%s has no floor: give it one here and in DESIGN.md", p.ImportPath)
		}
		seen[p.ImportPath] = true
		if p.Doc == "" {
			t.Errorf("%s has no doc comment", p.ImportPath)
		}
		for _, path := range p.Imports {
			other, ours := strings.CutPrefix(path, module)
			switch {
			case path == "net/http" && !seesHTTP[p.ImportPath]:
				t.Errorf("%s imports net/http, which stops at web and the doors", p.ImportPath)
			case !ours:
			case other == "internal/config" && !readsConfig[p.ImportPath]:
				t.Errorf("%s imports config: let app hand it a struct of its own", p.ImportPath)
			case strings.HasSuffix(other, "test"):
				t.Errorf("%s imports %s, which is for tests", p.ImportPath, other)
			case p.ImportPath == "verify":
				t.Errorf("verify imports %s, which applications would drag in", other)
			case floors[other] > floor, floors[other] == floor && !sideways[floor]:
				t.Errorf("%s (floor %d) imports %s (floor %d)", p.ImportPath, floor, other, floors[other])
			}
		}
	}
	for path := range floors {
		if !seen[path] {
			t.Errorf("%s has a floor and does not exist", path)
		}
	}
}
