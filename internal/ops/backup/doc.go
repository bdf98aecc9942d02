// Package backup makes encrypted backups of an installation, proves that they restore, and
// restores them.
//
// A backup is our own schema, table by table, from one snapshot, in a form that both
// databases load: so one of SQLite can be restored into PostgreSQL, and back. Each part
// is rows of one table as PostgreSQL's COPY writes them, packed by zstd and encrypted by
// age; `age -d PART | zstd -d | psql -c '\copy …'` reads it without Gatehouse. The
// manifest, a signed note, is put last: a backup exists when it does.
//
// # How it works
//
// Making (create.go) reads a [db.Snapshot] into parts, each in memory until the stores have it,
// and reads them back from the stores with a recipient that lives for this one backup:
// what is called verified are stored bytes that open. Verifying (verify.go) needs no
// database, and looks at hashes before age and zstd see a byte. Restoring (restore.go) loads
// into an empty database, under a marker that every other command refuses, and ends in
// one transaction (aftercare.go) that makes everybody sign in again. A drill (drill.go)
// is a restore into a scratch file.
//
// What a restore does with a table stands in package schema.
package backup
