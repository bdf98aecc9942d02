package main

import (
	"os"
	"path/filepath"
	"regexp"
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

// Every command of every runbook does what it says, in its order, as it is written (IR-1 to IR-4).
func TestTheRunbooksWork(t *testing.T) {
	pages, err := filepath.Glob("../../docs/runbooks/*.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ran := 0
	for _, page := range pages {
		text, err := os.ReadFile(page) //nolint:gosec // a page of ours
		if err != nil {
			t.Fatal(err)
		}
		var script strings.Builder
		for _, m := range shell.FindAllStringSubmatch(string(text), -1) {
			script.WriteString(m[1])
		}
		if script.Len() == 0 {
			continue // the table of contents
		}
		ran++
		name := filepath.Join(dir, strings.TrimSuffix(filepath.Base(page), ".md")+".txtar")
		if err := os.WriteFile(name, []byte(before+script.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if ran < 7 {
		t.Errorf("only %d runbooks were found", ran)
	}
	testscript.Run(t, params(filepath.Join(dir, "*.txtar"), ""))
}
