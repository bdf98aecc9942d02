package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/outbound"
)

// Backups says where backups lie, for whom they are encrypted, how often they are made and
// how many are kept.
type Backups struct {
	// Dirs are folders and buckets; none: there are no backups.
	Dirs []string
	// Keys and Secrets are the credentials of the buckets, in the order of Dirs; one is for all.
	Keys, Secrets Secret
	// Recipients are public keys of age, as they were written.
	Recipients string
	// Every is how often one is made; zero for never.
	Every time.Duration
	// Keep is how many days, weeks and months have one that stays.
	Keep Keep
	// Most is how long the database may be read for one.
	Most time.Duration
	// Database is the PostgreSQL server that backups are read from; none: that of DATABASE_URL.
	Database Database
	// Spool is where parts wait for a slow store; empty: the database waits.
	Spool string
	// Scratch is where drills load backups; empty for the system's folder of temporary
	// files.
	Scratch string
}

// Keep is of how many days, weeks and months the newest backup is kept.
type Keep struct{ Days, Weeks, Months int }

func (k Keep) String() string { return fmt.Sprintf("%dd,%dw,%dm", k.Days, k.Weeks, k.Months) }

func readDirs(r *reading) {
	if !r.printable() {
		return
	}
	var list []string
	for word := range strings.SplitSeq(r.value, ",") {
		word = strings.TrimSpace(word)
		switch {
		case word == "":
			r.refuse("There is nothing between two commas.", "Write folders with commas between them, such as /mnt/backup.")
			return
		case IsBucket(word):
			if _, err := outbound.ParseBucket(word); err != nil {
				r.refuse("It names a bucket that can't be: "+err.Error()+".", "Write s3://BUCKET/PREFIX?endpoint=https://HOST&region=REGION.")
				return
			}
		case strings.Contains(word, "://"):
			r.refuse("It is a URL of another kind than s3://.", "Write s3://BUCKET/PREFIX?endpoint=https://HOST&region=REGION, or a folder such as /mnt/backup.")
			return
		}
		list = append(list, word)
	}
	r.c.Backups.Dirs = list
}

// IsBucket says whether a place for backups is a bucket, and not a folder.
func IsBucket(place string) bool { return strings.HasPrefix(place, "s3://") }

// buckets counts the places that are buckets.
func (b Backups) buckets() (n int) {
	for _, place := range b.Dirs {
		if IsBucket(place) {
			n++
		}
	}
	return n
}

// BucketKey returns the credentials of the n-th bucket, from 0 on; empty ones if there are none.
func (b Backups) BucketKey(n int) (key, secret string) {
	of := func(s Secret) string {
		list := strings.Split(s.Reveal(), ",")
		if len(list) == 1 {
			return list[0]
		}
		if n < len(list) {
			return list[n]
		}
		return ""
	}
	return of(b.Keys), of(b.Secrets)
}

// bucketKey is a field with one word for all buckets, or one for each.
func bucketKey(at func(*Backups) *Secret) field {
	return field{
		read: func(r *reading) {
			for word := range strings.SplitSeq(r.value, ",") {
				if word == "" || strings.ContainsFunc(word, func(c rune) bool { return c <= ' ' || c > '~' }) {
					r.refuse("It is not one word, or words with commas between them.", "Write what the store has given you, for each bucket of BACKUP_DIR in their "+
						"order, or one for all.")
					return
				}
			}
			*at(&r.c.Backups) = Secret(r.value)
		},
		show: func(c *Config) string { return at(&c.Backups).Reveal() },
	}
}

// checkBucketKeys asks for credentials where there are buckets, and for as many.
func checkBucketKeys(at func(*Backups) *Secret) func(r *reading) {
	return func(r *reading) {
		n, value := r.c.Backups.buckets(), at(&r.c.Backups).Reveal()
		switch have := strings.Count(value, ",") + 1; {
		case n == 0:
		case value == "":
			r.refuse("It is not set, and BACKUP_DIR names a bucket.", "Set it, or put it into a file and name that in "+r.setting.name+"_FILE.")
		case have > 1 && have != n:
			r.refuse(fmt.Sprintf("It has %d words, and BACKUP_DIR %d buckets.", have, n), "Write one for all, or one for each in their order.")
		}
	}
}

func checkBackupDatabase(r *reading) {
	if r.c.Standby() && r.c.Database.Kind != "" && (r.c.Database.Kind != PostgreSQL || r.c.Backups.Database.Kind != PostgreSQL) {
		r.refuse("Only a PostgreSQL database has a second server.", "Remove it, or name a standby of the database of DATABASE_URL.")
	}
}

// Standby says whether backups are read from another server.
func (c *Config) Standby() bool {
	return c.Backups.Database.URL != "" && c.Backups.Database.URL != c.Database.URL
}

func bucketKeys(b *Backups) *Secret    { return &b.Keys }
func bucketSecrets(b *Backups) *Secret { return &b.Secrets }

// readRecipients looks at the form alone; package backup reads the keys. A secret key that
// was put here by mistake is refused without being repeated.
func readRecipients(r *reading) {
	for word := range strings.FieldsFuncSeq(r.value, func(c rune) bool { return c == ',' || c == '\n' || c == '\r' }) {
		word = strings.TrimSpace(word)
		switch {
		case word == "", strings.HasPrefix(word, "#"), strings.HasPrefix(word, "age1"), strings.HasPrefix(word, "ssh-ed25519 "):
		case strings.HasPrefix(strings.ToUpper(word), "AGE-SECRET-KEY"):
			r.refuse("It is a secret key, which must not be on this machine: it opens every backup.", "Write the public key, which begins with age1, and keep the "+
				"secret key elsewhere.")
			return
		default:
			r.refuse("It holds something that is no public key of age.", "Write age1…, age1pq1… or ssh-ed25519 …, with commas between them. `gatehouse backup "+
				"keygen` makes a key.")
			return
		}
	}
	r.c.Backups.Recipients = r.value
}

func checkRecipients(r *reading) {
	if len(r.c.Backups.Dirs) > 0 && r.c.Backups.Recipients == "" {
		r.warn("It is not set, and BACKUP_DIR is: no backup is made. `gatehouse backup keygen` makes a key.")
	}
}

var keepForm = regexp.MustCompile(`^([0-9]{1,3})d,([0-9]{1,3})w,([0-9]{1,3})m$`)

func readKeep(r *reading) {
	m := keepForm.FindStringSubmatch(strings.ReplaceAll(r.value, " ", ""))
	if m == nil {
		r.refuse("It does not say how many days, weeks and months.", "Write it like 7d,4w,3m.")
		return
	}
	var n [3]int
	for i := range n {
		n[i], _ = strconv.Atoi(m[i+1]) // three digits at most
	}
	r.c.Backups.Keep = Keep{n[0], n[1], n[2]}
}

// backupSettings are the rows of the table about backups.
var backupSettings = []setting{
	{
		name: "BACKUP_DIR", unset: "none",
		meaning: "The folder that backups are put into, best one that is not on this machine's disk, or a bucket, " +
			"`s3://BUCKET/PREFIX?endpoint=https://HOST&region=REGION`; several with commas between them. See [guides/backups.md](guides/backups.md).",
		field: field{read: readDirs, show: func(c *Config) string { return strings.Join(c.Backups.Dirs, ",") }},
	},
	{
		name: "BACKUP_S3_ACCESS_KEY_ID", unset: "none", cover: covered,
		meaning: "The name of the key for the buckets of BACKUP_DIR; if there are several with keys of their own, in their order with commas between them.",
		field:   bucketKey(bucketKeys), check: checkBucketKeys(bucketKeys),
	},
	{
		name: "BACKUP_S3_SECRET_ACCESS_KEY", unset: "none", cover: covered,
		meaning: "The key itself, in the same order. Best in a file that BACKUP_S3_SECRET_ACCESS_KEY_FILE names.",
		field:   bucketKey(bucketSecrets), check: checkBucketKeys(bucketSecrets),
	},
	{
		name: "BACKUP_RECIPIENTS", unset: "none", inFile: true,
		meaning: "Whose keys open a backup: public keys of [age](https://age-encryption.org), with commas between them, or one a line in " +
			"BACKUP_RECIPIENTS_FILE. Nothing on this machine opens it. `gatehouse backup keygen` makes a key.",
		production: "without it no backup is made",
		field:      field{read: readRecipients, show: func(c *Config) string { return c.Backups.Recipients }},
		check:      checkRecipients,
	},
	{
		name: "BACKUP_EVERY_HOURS", initial: "24",
		meaning: "How often the server makes a backup: 1 to 168 hours, or 0 (never: `gatehouse backup create` does).",
		field:   span(0, 168, time.Hour, func(c *Config) *time.Duration { return &c.Backups.Every }),
	},
	{
		name: "BACKUP_KEEP", initial: "7d,4w,3m",
		meaning: "Which backups stay: the newest of each of so many days, weeks and months. The two newest and the one that was drilled last stay in any case.",
		field:   field{read: readKeep, show: func(c *Config) string { return c.Backups.Keep.String() }},
	},
	{
		name: "BACKUP_MAX_MINUTES", initial: "60",
		meaning: "For how long the database may be read for one backup, before it is given up: 1 to 1440 minutes.",
		field:   span(1, 1440, time.Minute, func(c *Config) *time.Duration { return &c.Backups.Most }),
	},
	{
		name: "BACKUP_DATABASE_URL", initial: "DATABASE_URL", cover: passwordCovered,
		derive:     func(c *Config) string { return c.Database.URL.Reveal() },
		meaning:    "Another server of the same PostgreSQL database, such as a standby, for backups to be read from.",
		production: "as DATABASE_URL",
		field:      database(func(c *Config) *Database { return &c.Backups.Database }),
		check:      checkBackupDatabase,
		safe: func(r *reading) {
			if r.source != FromDefault {
				safeDatabase(r)
			}
		},
	},
	{
		name: "BACKUP_SPOOL_DIR", unset: "none",
		meaning: "Where a backup's parts wait, encrypted, for a place of BACKUP_DIR that is slower than the database. Without it the database waits, which keeps " +
			"PostgreSQL from tidying up.",
		field: pathField(func(c *Config) *string { return &c.Backups.Spool }),
	},
	{
		name: "BACKUP_SCRATCH_DIR", initial: "the system's", derive: func(*Config) string { return "" },
		meaning: "Where drills load a backup for a while, unencrypted: a folder with room for the database.",
		field:   pathField(func(c *Config) *string { return &c.Backups.Scratch }),
	},
}
