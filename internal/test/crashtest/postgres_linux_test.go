package crashtest_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// TestNothingAcknowledgedIsLostWhenPostgreSQLIsKilled kills PostgreSQL and all
// its children with SIGKILL under a server that lives on. The server finds it
// again by itself. Without a grace every lost answer is repeated by the retry
// rule.
func TestNothingAcknowledgedIsLostWhenPostgreSQLIsKilled(t *testing.T) {
	cluster := dbtest.NewCluster(t)
	ctx := context.Background()
	c, err := pgx.Connect(ctx, cluster.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(ctx, `CREATE DATABASE gatehouse`); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(ctx); err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, build(t, ""), cluster.URL("gatehouse"))
	h.start(0)
	s := newStorm(h)
	var longest time.Duration
	for range soak(2, 20) {
		s.rage()
		cluster.Kill()
		cluster.Start()
		began := time.Now()
		s.everybodyIsAnswered(1)
		longest = max(longest, time.Since(began))
	}
	s.calm()
	t.Logf("at the latest all clients were answered %s after PostgreSQL was back", longest.Round(time.Millisecond))
}
