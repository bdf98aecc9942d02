package db

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
)

// TestAMigrationThatFailsLeavesNothing puts a migration behind ours whose
// second statement fails.
func TestAMigrationThatFailsLeavesNothing(t *testing.T) {
	broken := fstest.MapFS{}
	for _, dialect := range []Dialect{SQLite, Postgres} {
		name := "migrations/" + string(dialect) + "/00001_main.sql"
		first, err := embedded.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		broken[name] = &fstest.MapFile{Data: first}
		broken["migrations/"+string(dialect)+"/00002_broken.sql"] = &fstest.MapFile{Data: []byte(
			"-- +goose Up\nCREATE TABLE half (a TEXT);\nINSERT INTO no_such_table VALUES (1);\n")}
	}
	migrations = broken
	t.Cleanup(func() { migrations = embedded })

	for name, dbURL := range map[string]string{"sqlite": "sqlite:" + filepath.Join(t.TempDir(), "g.db"), "postgres": emptyPostgres(t)} {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			d, err := Open(ctx, Config{URL: dbURL})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			for range 2 {
				if _, err := d.Migrate(ctx); err == nil {
					t.Fatal("the broken migration was applied")
				}
				s, err := d.Schema(ctx)
				if err != nil || s.Current != 1 {
					t.Errorf("the schema is at %+v (error %v), want 1", s, err)
				}
				err = d.Read(ctx, func(tx *Tx) error {
					var n int64
					return tx.QueryRow(`SELECT COUNT(*) FROM half`).Scan(&n)
				})
				if err == nil {
					t.Error("half of the migration was applied")
				}
			}
		})
	}
}

// emptyPostgres makes a database; dbtest would import this package in a circle.
func emptyPostgres(t *testing.T) string {
	t.Helper()
	server := os.Getenv("GATEHOUSE_TEST_POSTGRES")
	c, err := pgx.ParseConfig(server)
	if server == "" || err != nil {
		t.Fatal("GATEHOUSE_TEST_POSTGRES names no server: run `make test`")
	}
	ctx := context.Background()
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	const name = "gh_half_applied"
	for _, q := range []string{`DROP DATABASE IF EXISTS ` + name, `CREATE DATABASE ` + name} {
		if _, err := conn.Exec(ctx, q); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if _, err := conn.Exec(ctx, `DROP DATABASE `+name+` WITH (FORCE)`); err != nil {
			t.Error(err)
		}
		conn.Close(ctx)
	})
	return "postgres://" + c.User + ":" + c.Password + "@" + hostPort(c) + "/" + name + "?sslmode=disable"
}

func hostPort(c *pgx.ConnConfig) string { return fmt.Sprintf("%s:%d", c.Host, c.Port) }
