package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/gatehouse-auth/gatehouse/internal/test/proctest"
)

// nobody runs PostgreSQL here, which wants its user to have a name; in its image that is 999.
const nobody = "65534"

// PostgreSQL 18 with the command line and the hba file of compose.yaml: the container `roles`
// makes the two roles, `migrate` the schema, and the serving role serves. Without TLS nobody
// comes in, and the serving role is kept from what is not its own.
func TestPostgres(t *testing.T) {
	h := newHouse(t)
	binary, err := gatehouse()
	if err != nil {
		t.Fatal(err)
	}
	var project struct {
		Services map[string]struct {
			Command     []string
			Environment map[string]string
		}
	}
	if err := yaml.Unmarshal([]byte(h.read("compose.yaml")), &project); err != nil {
		t.Fatal(err)
	}
	programs := strings.TrimSpace(run(t, proctest.File("scripts/postgres18")))
	tree := filepath.Join(h.compose, "programs")
	run(t, "cp", "-a", filepath.Dir(programs), tree)
	data := filepath.Join(h.compose, "data")
	run(t, "install", "-d", "-m", "0700", "-o", nobody, "-g", nobody, data)
	for _, name := range []string{"postgres.pem", "postgres.key", "admin_password"} {
		run(t, "chown", nobody+":"+nobody, filepath.Join(h.compose, "made", name))
	}
	run(t, "setpriv", "--reuid="+nobody, "--regid="+nobody, "--clear-groups", "--", filepath.Join(tree, "bin", "initdb"), "-D", data,
		"-U", "postgres", "--pwfile="+filepath.Join(h.compose, "made/admin_password"), "--auth=scram-sha-256", "--encoding=UTF8",
		"--locale=C.UTF-8", "--no-sync")
	port := freePort(t)
	args := []string{filepath.Join(tree, "bin", "postgres"), "-D", data, "-p", port, "-clisten_addresses=127.0.0.1", "-cunix_socket_directories=" + data}
	for _, a := range project.Services["postgres"].Command[1:] {
		args = append(args, strings.Replace(a, "/etc/postgresql/pg_hba.conf", filepath.Join(h.compose, "pg_hba.conf"), 1))
	}
	h.starts(nobody, args...)

	// The containers reach it by the name that the certificate has; here it is an address, whose name is not looked at.
	url := func(name string) string {
		return strings.Replace(h.read("made/"+name), "@postgres/gatehouse?", "@127.0.0.1:"+port+"/gatehouse?sslmode=verify-ca&", 1)
	}
	authority := "PGSSLROOTCERT=" + filepath.Join(h.compose, "made/authority.pem")
	psql := func(mode, name, statement string) ([]byte, error) {
		c := exec.Command("psql", "-XAtc", statement, strings.Split(url(name), "?")[0])
		c.Env = append(os.Environ(), authority, "PGSSLMODE="+mode)
		return c.CombinedOutput()
	}
	// In the image the entry point makes the database, before anybody is let in by this hba file.
	admin := []string{"env", "PGPASSWORD=" + h.read("made/admin_password"), "psql", "-h", data, "-p", port, "-U", "postgres", "-XAtc"}
	h.soon(append(admin, "CREATE DATABASE gatehouse", "postgres")...)
	for _, name := range []string{"database_url", "owner_database_url", "admin_database_url"} {
		h.writes("made/"+name, url(name)) // which stays its reader's own
	}
	gate := func(service string, args ...string) string {
		t.Helper()
		c := exec.Command(binary, args...)
		c.Dir, c.Env = t.TempDir(), []string{"PATH=/usr/bin"}
		for name, value := range project.Services[service].Environment {
			c.Env = append(c.Env, name+"="+strings.Replace(value, "${GATEHOUSE_HOST:?run ./setup first}", "auth.gatehouse.test", 1))
		}
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("gatehouse %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	for range 2 { // it runs at each start
		gate("roles", project.Services["roles"].Command...)
	}
	gate("migrate", project.Services["migrate"].Command...)
	if said := gate("gatehouse", "migrate", "--status"); !strings.Contains(said, "The schema is at version") {
		t.Errorf("migrate --status says %s", said)
	}
	if out, err := psql("verify-ca", "database_url", "SELECT COUNT(*) FROM account"); err != nil || strings.TrimSpace(string(out)) != "0" {
		t.Errorf("the serving role: %v %s", err, out)
	}
	for _, statement := range []string{"DROP TABLE account", "DELETE FROM event", "CREATE TABLE mine ()"} {
		if out, err := psql("verify-ca", "database_url", statement); err == nil {
			t.Errorf("the serving role may %s: %s", statement, out)
		}
	}
	if out, err := psql("disable", "database_url", "SELECT 1"); err == nil || !strings.Contains(string(out), "no encryption") {
		t.Errorf("without TLS: %v %s", err, out)
	}
}
