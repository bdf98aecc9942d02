package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
)

// stock is a database as large as one is whose backups are measured, and what is needed to make some.
type stock struct {
	*run
	name   string
	url    string
	tokens []string
	folder string
	key    *age.X25519Identity
	copies int // databases that it was restored into
}

// stockSizes are how many accounts with three sessions each, how many events, and how many sessions that are over there are.
func (r *run) stockSizes() (accounts int, events, over int64) {
	accounts = r.stocked
	if accounts == 0 {
		accounts = 20_000
		if os.Getenv("GATEHOUSE_SOAK") == "1" {
			accounts = 1_000_000
		}
	}
	return accounts, 5 * int64(accounts), max(int64(accounts), 60_000)
}

// safekeeping measures backups against the tools that come with each database, and what they and all that deletes cost those
// who use the server meanwhile.
func (r *run) safekeepingSQLite(ctx context.Context) ([]Measure, error) {
	return r.safekeeping(ctx, "SQLite")
}

func (r *run) safekeepingPostgres(ctx context.Context) ([]Measure, error) {
	return r.safekeeping(ctx, "PostgreSQL")
}

func (r *run) safekeeping(ctx context.Context, name string) ([]Measure, error) {
	s, err := r.stock(ctx, name)
	if err != nil {
		return nil, err
	}
	list, err := s.measure(ctx)
	return list, errors.Join(err, os.RemoveAll(s.folder)) // its files are large
}

// stock makes and fills a database.
func (r *run) stock(ctx context.Context, name string) (*stock, error) {
	began := time.Now()
	s := &stock{run: r, name: name, folder: filepath.Join(r.folder, "safekeeping-"+strings.ToLower(name))}
	if err := os.Mkdir(s.folder, 0o700); err != nil {
		return nil, err
	}
	var err error
	if s.key, err = age.GenerateX25519Identity(); err != nil {
		return nil, err
	}
	if err := os.WriteFile(s.keyFile(), []byte(s.key.String()+"\n"), 0o600); err != nil {
		return nil, err
	}
	accounts, events, over := r.stockSizes()
	if s.url, err = s.empty(ctx); err != nil {
		return nil, err
	}
	if s.tokens, err = fill(ctx, s.url, master, accounts, spare); err != nil {
		return nil, err
	}
	if err := s.addEvents(ctx, events); err != nil {
		return nil, err
	}
	if err := s.addOver(ctx, over); err != nil {
		return nil, err
	}
	fmt.Fprintf(os.Stderr, "   %s with %d accounts, %d sessions and %d events, filled in %.0f s\n", name, accounts, sessionsEach*accounts, events,
		time.Since(began).Seconds())
	return s, nil
}

func (s *stock) keyFile() string { return filepath.Join(s.folder, "key.txt") }

// empty makes an empty database beside the others.
func (s *stock) empty(ctx context.Context) (dbURL string, err error) {
	s.copies++
	if s.name == "SQLite" {
		return fmt.Sprintf("sqlite:%s/gatehouse-%d.db", s.folder, s.copies), nil
	}
	_, dbURL, err = s.database(ctx, "")
	return dbURL, err
}

// drop deletes a database that was restored into.
func (s *stock) drop(ctx context.Context, dbURL string) error {
	if path, ok := strings.CutPrefix(dbURL, "sqlite:"); ok {
		return errors.Join(os.Remove(path), os.RemoveAll(path+"-wal"), os.RemoveAll(path+"-shm"))
	}
	u, err := url.Parse(dbURL)
	if err != nil {
		return err
	}
	return s.superuser(ctx, "DROP DATABASE IF EXISTS "+strings.TrimPrefix(u.Path, "/")+" WITH (FORCE)")
}

// addEvents appends sealed events, a fiftieth of them of so long ago that they are due.
func (s *stock) addEvents(ctx context.Context, n int64) error {
	l, err := s.openLog(ctx, s.name, s.url)
	if err != nil {
		return err
	}
	ago := 200 * 24 * time.Hour
	l.log = newLog(func() time.Time { return time.Now().Add(-ago) })
	for l.sealer.State().Size < n {
		if l.sealer.State().Size >= n/50 && ago != 0 {
			ago, l.log = 0, newLog(time.Now)
		}
		if err := l.add(ctx); err != nil {
			return errors.Join(err, l.db.Close())
		}
		if _, err := l.sealer.Seal(ctx); err != nil {
			return errors.Join(err, l.db.Close())
		}
	}
	return l.db.Close()
}

// environment is what a command or a server of the stock needs.
func (s *stock) environment(more ...string) []string {
	return append([]string{
		"DATABASE_URL=" + s.url, "JWT_SECRET_KEY=" + master, "EVENT_KEY=" + eventKey, "BACKUP_DIR=" + s.backups(), "BACKUP_RECIPIENTS=" + s.key.Recipient().String(),
		"BACKUP_EVERY_HOURS=0", "BACKUP_SCRATCH_DIR=" + s.folder, "JWT_ISSUER=http://bench.localhost",
	}, more...)
}

func (s *stock) backups() string { return filepath.Join(s.folder, "backups") }

// timed runs a command of ours, and returns its seconds and its peak of memory in MB.
func (s *stock) timed(ctx context.Context, env []string, args ...string) (seconds, mb float64, err error) {
	began := time.Now()
	mb, err = s.command(ctx, env, args...)
	return time.Since(began).Seconds(), mb, err
}

// shell runs a line of others' programs, and returns its seconds. SELF in it is this program, which encrypts as age does.
func (s *stock) shell(ctx context.Context, line string) (float64, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	began := time.Now()
	c := exec.CommandContext(ctx, "bash", "-o", "pipefail", "-c", line) //nolint:gosec // ours
	c.Env = append(os.Environ(), "SELF="+self, "RECIPIENT="+s.key.Recipient().String(), "KEY="+s.keyFile(), "DB="+s.url,
		"FILE="+strings.TrimPrefix(s.url, "sqlite:"), "OUT="+s.theirs(), "COPY="+filepath.Join(s.folder, "copy.db"))
	if out, err := c.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%s: %w\n%s", line, err, out)
	}
	s.spent = spent(c)
	return time.Since(began).Seconds(), nil
}

// theirs is the file that the other tools write.
func (s *stock) theirs() string { return filepath.Join(s.folder, "theirs.age") }

// The other side: what whoever has no Gatehouse would write into a script.
const (
	dumpPostgres    = `pg_dump "$DB" | zstd -q | "$SELF" -encrypt "$RECIPIENT" >"$OUT"`
	dumpSQLite      = `rm -f "$COPY" && sqlite3 "$FILE" ".backup '$COPY'" && "$SELF" -encrypt "$RECIPIENT" <"$COPY" >"$OUT" && rm "$COPY"`
	restorePostgres = `"$SELF" -decrypt "$KEY" <"$OUT" | zstd -dq | psql -qX -v ON_ERROR_STOP=1 -o /dev/null "$TARGET"`
	restoreSQLite   = `"$SELF" -decrypt "$KEY" <"$OUT" >"$TARGET"`
)

// crypt is what `age` does: it encrypts for a recipient, or decrypts with a key's file.
func crypt(in io.Reader, out io.Writer, recipient, keyFile string) error {
	if recipient != "" {
		to, err := age.ParseX25519Recipient(recipient)
		if err != nil {
			return err
		}
		w, err := age.Encrypt(out, to)
		if err == nil {
			_, err = io.Copy(w, in)
		}
		if err == nil {
			err = w.Close()
		}
		return err
	}
	f, err := os.Open(keyFile) //nolint:gosec // the operator names it
	if err != nil {
		return err
	}
	defer f.Close()
	keys, err := age.ParseIdentities(f)
	if err != nil {
		return err
	}
	r, err := age.Decrypt(in, keys...)
	if err == nil {
		_, err = io.Copy(out, r)
	}
	return err
}

// sizeOf is the size of a file, or of all files below a folder, in MB.
func sizeOf(path string) (mb float64, err error) {
	err = filepath.WalkDir(path, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			mb += float64(info.Size()) / 1e6
		}
		return err
	})
	return mb, err
}

// machineLoad is how much waits for the machine's cores, by the kernel's average over a minute.
func machineLoad() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(text), " ")
	return one
}

// measure is all measures of one database.
func (s *stock) measure(ctx context.Context) ([]Measure, error) {
	against, err := s.against(ctx)
	if err != nil {
		return nil, err
	}
	meanwhile, err := s.meanwhile(ctx)
	return append(against, meanwhile...), err
}

// against holds each command against what the other tools take for the same.
func (s *stock) against(ctx context.Context) (out []Measure, err error) {
	dump, restore, what, most := dumpPostgres, restorePostgres, "pg_dump | zstd | age", 0.5
	if s.name == "SQLite" {
		dump, restore, what, most = dumpSQLite, restoreSQLite, "sqlite3 .backup, and age", 0
	}
	peaks := map[string]float64{}
	var ours, theirs []float64 // seconds of a core, without the database's server
	few := *s.run
	few.rounds = max(s.rounds/2, 1)
	created, err := few.duel(ctx, Measure{Name: "backup-create", What: "backup create --fast on " + s.name + " : " + what, Unit: "s", AtMost: most},
		func(ctx context.Context) (float64, error) {
			if err := os.RemoveAll(s.backups()); err != nil {
				return 0, err
			}
			seconds, mb, err := s.timed(ctx, s.environment(), "backup", "create", "--fast")
			peaks["create"] = max(peaks["create"], mb)
			ours = append(ours, s.spent)
			return seconds, err
		}, func(ctx context.Context) (float64, error) {
			seconds, err := s.shell(ctx, dump)
			theirs = append(theirs, s.spent)
			return seconds, err
		})
	if err != nil {
		return nil, err
	}
	created.Note = "load " + machineLoad()
	size, err := s.sizes(what)
	if err != nil {
		return nil, err
	}
	steps := []Measure{
		{Name: "backup-verify", What: "backup verify --identity on " + s.name + " : backup create --fast", Unit: "s", Theirs: created.Ours},
		{Name: "backup-restore", What: "backup restore on " + s.name + " : the other way round with theirs", Unit: "s"},
		{Name: "backup-drill", What: "backup drill on " + s.name + " : the other way round with theirs", Unit: "s"},
	}
	if steps[0].Ours, peaks["verify"], err = s.timed(ctx, s.environment(), "backup", "verify", "--identity", s.keyFile()); err != nil {
		return nil, err
	}
	if err := s.restored(ctx, &steps[1], peaks, restore); err != nil {
		return nil, err
	}
	if steps[2].Ours, peaks["drill"], err = s.timed(ctx, s.environment(), "backup", "drill", "--identity", s.keyFile()); err != nil {
		return nil, err
	}
	steps[2].Theirs = steps[1].Theirs
	cores := Measure{Name: "backup-create", What: "processor time of that, without the database's server", Unit: "s of a core", Ours: median(ours),
		Theirs: median(theirs), Ratio: median(ours) / median(theirs), Note: "it includes reading back"}
	out = append(out, created, cores, size)
	for _, m := range steps {
		m.Ratio, m.Note = m.Ours/m.Theirs, "load "+machineLoad()
		out = append(out, m)
	}
	for _, step := range []string{"create", "verify", "restore", "drill"} {
		out = append(out, Measure{Name: "backup-memory", What: "peak memory of backup " + step + " on " + s.name + " (resident) : 150 MB", Unit: "MB",
			Ours: peaks[step], Theirs: 150, Ratio: peaks[step] / 150, AtMost: 1})
	}
	return out, nil
}

// sizes compares what lies in the store with the other tools' file.
func (s *stock) sizes(what string) (Measure, error) {
	ours, err := sizeOf(filepath.Join(s.backups(), "backup"))
	if err != nil {
		return Measure{}, err
	}
	theirs, err := sizeOf(s.theirs())
	return Measure{Name: "backup-size", What: "size of a backup on " + s.name + " : " + what, Unit: "MB", Ours: ours, Theirs: theirs, Ratio: ours / theirs}, err
}

// restored restores both, each into a database of its own that is deleted after.
func (s *stock) restored(ctx context.Context, m *Measure, peaks map[string]float64, line string) error {
	target, err := s.empty(ctx)
	if err != nil {
		return err
	}
	m.Ours, peaks["restore"], err = s.timed(ctx, s.environment("DATABASE_URL="+target), "backup", "restore", "--identity", s.keyFile(), "--yes")
	if err := errors.Join(err, s.drop(ctx, target)); err != nil {
		return err
	}
	if target, err = s.empty(ctx); err != nil {
		return err
	}
	m.Theirs, err = s.shell(ctx, "TARGET='"+strings.TrimPrefix(target, "sqlite:")+"'; "+line)
	return errors.Join(err, s.drop(ctx, target), os.Remove(s.theirs()))
}
