-- +goose Up
-- Which backups were made, tried, restored and deleted, and what failed.
CREATE TABLE backup_run (
  id          TEXT    PRIMARY KEY,
  kind        TEXT    NOT NULL,          -- create, drill, prove, restore or prune
  backup      TEXT    NOT NULL,          -- the backup's id; empty if there is none
  manifest    TEXT    NOT NULL,          -- SHA-256 of its manifest, in hex
  snapshot_at BIGINT  NOT NULL,          -- of which moment it is; 0 if there is none
  began_at    BIGINT  NOT NULL,
  ended_at    BIGINT  NOT NULL,
  bytes       BIGINT  NOT NULL,          -- as stored
  error       TEXT    NOT NULL           -- why it failed; empty if it did not
);
CREATE INDEX backup_run_ended ON backup_run (ended_at);
