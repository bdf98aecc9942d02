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
//
// A bucket takes each object by one conditional request, and what it keeps although it was deleted is no failure. A
// standby is read only if its event log is as long as the server's. The ledger (ledger.go, reduces.go, decisions.go,
// replay.go) is brought up to the log before each manifest, so what a backup has stands in the ledger of its own history:
// a restore reads that from the backup's leaf on and every later history whole, and only takes away. The erased are named
// by a keyed hash whose key is in every backup, before a row goes.
//
// A move (move.go) sets a fence in install that every write of every process looks at once a second; past it and the
// longest transaction, one snapshot streams into the empty target by a restore's loader, sessions included.
package backup
