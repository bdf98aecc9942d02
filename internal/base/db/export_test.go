package db

import "time"

// GrantedRights is what the serving role may do with each table.
func GrantedRights() map[string][]string {
	rights := map[string][]string{}
	for _, g := range grants {
		rights[g.table] = g.rights
	}
	return rights
}

// Functions are the schema's functions.
func Functions() []string { return functions }

// Queued is how many writes wait for SQLite's writer.
func (d *DB) Queued() int { return len(d.engine.(*sqliteEngine).writer.queue) }

// Gather makes groups of writes end only where nobody else waits. It is for
// before the first write.
func (d *DB) Gather(t time.Duration) { d.engine.(*sqliteEngine).writer.groupTime = t }

// Leaders returns how many groups of those who share are under way on PostgreSQL.
func (d *DB) Leaders() (n int) {
	p := d.engine.(*postgres)
	for _, g := range []*gathering{&p.writes, &p.reads} {
		g.mu.Lock()
		n += g.leaders
		g.mu.Unlock()
	}
	return n
}
