package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// ours is a command of ours on a line of a block: behind settings, a prompt or a path.
var ours = regexp.MustCompile(`(?:^|[\s(;|&])(?:bin/)?gatehouse ((?:[a-z]|--)[^|>)#;&\n]*)`)

// named is a user, a unit or a namespace of our name, for another program.
var named = regexp.MustCompile(`(?:-u|-n|--unit|--name) gatehouse\b`)

// F9: every command in every guide is one that this program has, with those flags. The
// settings in them are loaded by a test of internal/base/config.
func TestCaseF9_TheCommandsInEveryGuide(t *testing.T) {
	seen := 0
	for _, pattern := range []string{"../../docs/guides/*.md", "../../docs/*.md", "../../README.md"} {
		pages, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, page := range pages {
			text, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			for _, command := range commandsIn(string(text)) {
				seen++
				parser := newParser(&commands{}, kong.Exit(func(int) { t.Errorf("%s: gatehouse %s: it ends", page, command) }))
				if _, err := parser.Parse(words(command)); err != nil {
					t.Errorf("%s: gatehouse %s: %v", filepath.Base(page), command, err)
				}
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d commands were found", seen)
	}
}

// commandsIn finds the commands in the blocks of a page.
func commandsIn(page string) []string {
	var list []string
	within := false
	for line := range strings.Lines(strings.ReplaceAll(page, "\\\n", " ")) {
		if strings.HasPrefix(line, "```") {
			within = !within
			continue
		}
		if line = strings.TrimSpace(line); !within || strings.HasPrefix(line, "#") {
			continue
		}
		for _, m := range ours.FindAllStringSubmatch(named.ReplaceAllString(line, ""), -1) {
			// Not in a list, as JSON and YAML write them, and no user of Redis's ACL.
			if !strings.Contains(m[1], "{") && !strings.HasPrefix(m[1], "on ") {
				list = append(list, strings.TrimSpace(m[1]))
			}
		}
	}
	return list
}

// words splits a command as a shell does where there are but quotation marks.
func words(command string) []string {
	var list []string
	for _, m := range regexp.MustCompile(`'[^']*'|"[^"]*"|\S+`).FindAllString(command, -1) {
		list = append(list, strings.Trim(m, `'"`))
	}
	return list
}
