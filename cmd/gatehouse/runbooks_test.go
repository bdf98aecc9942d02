package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// shell finds the blocks of a page that are for a shell.
var shell = regexp.MustCompile("(?s)```sh\n(.*?)```")

// before is what stands before a runbook begins: people, an administrator, an application, and a backup.
const before = `gatehouse user create --password-file password ada@example.org
gatehouse user create --password-file password bob@example.org
gatehouse user create --password-file password --role admin mallory@example.org
gatehouse user create --password-file password --role admin root@example.org
gatehouse client create shop
gatehouse backup keygen backup-key.txt
exec sh -c 'sed -n "s/# public key: //p" backup-key.txt >recipients'
env BACKUP_DIR=$WORK/backups
env BACKUP_RECIPIENTS_FILE=recipients
gatehouse backup create
exec sh -eux runbook.sh
stderr 'incident_closed'

-- password --
correct horse battery staple
-- runbook.sh --
`

// runbooks are the bad days that have a page.
var runbooks = []string{
	"credential-stuffing", "leaked-database", "leaked-jwt-secret-key", "lost-mail-domain", "rogue-administrator", "stolen-laptop", "stolen-signing-key",
}

// inline finds the commands that a page names in a sentence: these are asked for their help, so none is named that there is not.
var inline = regexp.MustCompile("`gatehouse ((?:[a-z]+[a-z-]* ?)+)")

// Every command of every runbook does what it says, in its order, as it is written (IR-1 to IR-4).
func TestTheRunbooksWork(t *testing.T) {
	pages, err := filepath.Glob("../../docs/runbooks/*.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var ran []string
	for _, page := range pages {
		text, err := os.ReadFile(page) //nolint:gosec // a page of ours
		if err != nil {
			t.Fatal(err)
		}
		var script strings.Builder
		for _, m := range inline.FindAllStringSubmatch(shell.ReplaceAllString(string(text), ""), -1) {
			script.WriteString("gatehouse " + strings.TrimSpace(m[1]) + " --help >/dev/null\n")
		}
		if n := strings.Count(string(text), "```"); n != 2*strings.Count(string(text), "```sh\n") {
			t.Errorf("%s has a block that no shell runs, so no test does", page)
		}
		for _, m := range shell.FindAllStringSubmatch(string(text), -1) {
			script.WriteString(m[1])
		}
		name := strings.TrimSuffix(filepath.Base(page), ".md")
		if name == "README" {
			continue // the table of contents
		}
		ran = append(ran, name)
		if err := os.WriteFile(filepath.Join(dir, name+".txtar"), []byte(before+script.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(ran, runbooks) {
		t.Errorf("the runbooks are %v, and not %v", ran, runbooks)
	}
	testscript.Run(t, params(filepath.Join(dir, "*.txtar"), ""))
}
