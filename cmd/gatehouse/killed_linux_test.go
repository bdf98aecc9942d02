package main

import (
	sqldb "database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// operatorOf runs commands of an operator on one installation.
type operatorOf struct {
	*testing.T
	dir, database string
	env           []string
}

// command returns a command on a database, with the same folder and settings for all of them.
func (o operatorOf) command(args ...string) *exec.Cmd {
	c := gatehouse(o.T, o.database, args...)
	c.Dir, c.Env = o.dir, append(c.Env, o.env...)
	return c
}

// run runs a command to its end and returns what it printed.
func (o operatorOf) run(args ...string) string {
	o.Helper()
	c := o.command(args...)
	out, err := c.Output()
	if err != nil {
		var failed *exec.ExitError
		errors.As(err, &failed)
		o.Fatalf("gatehouse %s: %v\n%s%s", strings.Join(args, " "), err, out, failed.Stderr)
	}
	return string(out)
}

// killed runs a command again and again, each time a little longer, and kills it (SIGKILL), until it ends before it is. It returns how
// often it was killed.
func (o operatorOf) killed(args ...string) (times int) {
	o.Helper()
	for wait := 20 * time.Millisecond; ; wait = wait * 5 / 4 {
		c := o.command(args...)
		var out lockedBuffer
		c.Stdout, c.Stderr = &out, &out
		if err := c.Start(); err != nil {
			o.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- c.Wait() }()
		select {
		case err := <-done:
			if err != nil {
				o.Fatalf("gatehouse %s, after it was killed %d times: %v\n%s", strings.Join(args, " "), times, err, out.String())
			}
			return times
		case <-time.After(wait):
			if err := c.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
				o.Fatal(err)
			}
			if err := <-done; err == nil {
				return times
			}
			times++
		}
		o.leaseEnds()
	}
}

// query reads one number of the database.
func (o operatorOf) query(statement string) (n int) {
	o.Helper()
	d, err := sqldb.Open("sqlite", "file:"+o.database)
	if err == nil {
		err = errors.Join(d.QueryRow(statement).Scan(&n), d.Close())
	}
	if err != nil {
		o.Fatalf("%s: %v", statement, err)
	}
	return n
}

// leaseEnds is the two minutes after which another process may go on in the place of one that died.
func (o operatorOf) leaseEnds() {
	o.Helper()
	if _, err := os.Stat(o.database); err != nil {
		return
	}
	d, err := sqldb.Open("sqlite", "file:"+o.database+"?_pragma=busy_timeout(10000)")
	if err != nil {
		o.Fatal(err)
	}
	_, err = d.Exec(`UPDATE job SET leased_to = 0, holder = ''`)
	if err != nil && strings.Contains(err.Error(), "no such table") { // it was killed before there were any
		err = nil
	}
	if err := errors.Join(err, d.Close()); err != nil {
		o.Fatal(err)
	}
}

// report reads what became of each line of an import, but for the ids.
func report(t *testing.T, path string) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(path) //nolint:gosec // the test's
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		lines = append(lines, regexp.MustCompile(`"account":"[^"]*"`).ReplaceAllString(line, ""))
	}
	return lines
}

func newInstallation(t *testing.T) operatorOf {
	t.Helper()
	dir := t.TempDir()
	return operatorOf{T: t, dir: dir, database: filepath.Join(dir, "gatehouse.db"), env: []string{"ENVIRONMENT=development"}}
}

// DB-4: an import, backups, a restore and retention that are killed (SIGKILL) at any moment, and run again, end as if nothing had been.
func TestDB4_KilledAtAnyMoment(t *testing.T) {
	o := newInstallation(t)
	o.run("migrate")
	var people strings.Builder
	people.WriteString("email,name\n")
	for i := range 400 {
		fmt.Fprintf(&people, "person%d@example.org,Person %d\n", i%380, i) // 20 addresses twice, which are nobody's
	}
	file := filepath.Join(o.dir, "people.csv")
	if err := os.WriteFile(file, []byte(people.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	whole := newInstallation(t)
	whole.run("user", "import", "--from", "csv", "--yes", "--report", filepath.Join(whole.dir, "report"), file)
	times := o.killed("user", "import", "--from", "csv", "--yes", "--report", filepath.Join(o.dir, "report"), file)
	if got, want := report(t, filepath.Join(o.dir, "report")), report(t, filepath.Join(whole.dir, "report")); !slices.Equal(got, want) {
		t.Errorf("the report after %d kills has %d lines, and should have %d", times, len(got), len(want))
	}
	if n := o.query(`SELECT COUNT(*) FROM account`); n != 360 {
		t.Errorf("%d accounts after %d kills", n, times)
	}
	t.Logf("the import was killed %d times", times)
	o.killedRetention()
	o.killedBackup()
}

// killedRetention has half a year's sessions deleted.
func (o operatorOf) killedRetention() {
	o.Helper()
	d, err := sqldb.Open("sqlite", "file:"+o.database)
	if err == nil {
		_, err = d.Exec(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
			INSERT INTO session (id, account_id, roles, amr, user_agent, address, auth_at, max_at, idle_at, gen, cur, salt, minted_at, rotated_at, ended_at)
			SELECT printf('01800000-0000-7000-8000-%012d', i), (SELECT id FROM account LIMIT 1), '[]', '[]', '', '', 1, 1, 1, 1, x'01', x'01', 1, 1, 1 FROM n`)
		err = errors.Join(err, d.Close())
	}
	if err != nil {
		o.Fatal(err)
	}
	times := o.killed("retention", "run")
	var status struct {
		Deleted []struct {
			Kind  string `json:"kind"`
			Count int    `json:"count"`
		} `json:"deleted"`
	}
	if err := json.Unmarshal([]byte(o.run("retention", "status", "--json")), &status); err != nil {
		o.Fatal(err)
	}
	if n := o.query(`SELECT COUNT(*) FROM session`); n != 0 || len(status.Deleted) != 1 || status.Deleted[0].Count != 3000 {
		o.Errorf("%d sessions are left after %d kills, and it says %+v", n, times, status.Deleted)
	}
	o.Logf("retention was killed %d times", times)
}

// killedBackup makes a backup and restores it.
func (o operatorOf) killedBackup() {
	o.Helper()
	key := filepath.Join(o.dir, "key.txt")
	recipient := strings.TrimSpace(o.run("backup", "keygen", key))
	o.env = append(o.env, "BACKUP_DIR="+filepath.Join(o.dir, "backups"), "BACKUP_RECIPIENTS="+recipient, "BACKUP_EVERY_HOURS=0")
	times := o.killed("backup", "create", "--fast")
	o.run("backup", "verify", "--identity", key)
	o.run("backup", "list")
	o.Logf("the backup was killed %d times", times)
	to := o
	to.database = filepath.Join(o.dir, "restored.db")
	times = to.killed("backup", "restore", "--identity", key, "--yes")
	if n := to.query(`SELECT COUNT(*) FROM account`); n != 360 {
		o.Errorf("%d accounts are restored after %d kills", n, times)
	}
	to.run("events", "verify")
	o.Logf("the restore was killed %d times", times)
}

// A disk that is full while a backup is written: it names the file, nothing of it is left, and the next is made once there is room.
func TestDB4_ADiskThatIsFullMakesNoBackup(t *testing.T) {
	o := newInstallation(t)
	key, store := filepath.Join(o.dir, "key.txt"), filepath.Join(o.dir, "backups")
	o.env = append(o.env, "DATABASE_URL="+dbtest.EmptyPostgres(t), "BACKUP_DIR="+store, "BACKUP_EVERY_HOURS=0")
	o.env = append(o.env, "BACKUP_RECIPIENTS="+strings.TrimSpace(o.run("backup", "keygen", key)))
	o.run("migrate")
	var people strings.Builder
	people.WriteString("email\n")
	for i := range 3000 {
		fmt.Fprintf(&people, "person%d@example.org\n", i)
	}
	file := filepath.Join(o.dir, "people.csv")
	if err := os.WriteFile(file, []byte(people.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	o.run("user", "import", "--from", "csv", "--yes", "--fast", file)
	c := o.command("backup", "create", "--fast")
	// A file may have 16 KiB at most, as if there were no more: small parts fit, and that of the accounts does not.
	limited := exec.Command("bash", append([]string{"-c", `ulimit -f 16; exec "$@"`, "limited"}, c.Args...)...) //nolint:gosec // ours
	limited.Dir, limited.Env = c.Dir, c.Env
	if out, err := limited.CombinedOutput(); err == nil || !strings.Contains(string(out), "There is no room for the backup's file") {
		t.Fatalf("%v\n%s", err, out)
	}
	if found, err := filepath.Glob(filepath.Join(store, "backup", "*", "*", "*")); err != nil || len(found) > 0 {
		t.Errorf("left are %v %v", found, err)
	}
	o.run("backup", "create", "--fast")
	o.run("backup", "verify", "--identity", key)
}

// A folder that somebody else owns: it says who must own it, at once, and speaks of no database.
func TestDB4_AFolderOfSomebodyElse(t *testing.T) {
	o := newInstallation(t)
	store := filepath.Join(o.dir, "backups")
	if err := os.Mkdir(store, 0o500); err != nil {
		t.Fatal(err)
	}
	o.env = append(o.env, "BACKUP_DIR="+store, "BACKUP_EVERY_HOURS=0",
		"BACKUP_RECIPIENTS="+strings.TrimSpace(o.run("backup", "keygen", filepath.Join(o.dir, "key.txt"))))
	out, err := o.command("backup", "create", "--fast").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "must own the folder "+store) || strings.Contains(string(out), "database can't be reached") {
		t.Errorf("%v\n%s", err, out)
	}
}
