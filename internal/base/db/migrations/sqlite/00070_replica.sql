-- +goose Up

-- Replicas that share a Redis: each counts its own row up while it lives.
CREATE TABLE replica (
  id      TEXT    PRIMARY KEY,
  n       INTEGER NOT NULL,
  seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX replica_seen ON replica (seen_at);
