-- +goose Up

-- Replicas that share a Redis: each counts its own row up while it lives.
CREATE TABLE replica (
  id      TEXT   PRIMARY KEY,
  n       BIGINT NOT NULL,
  seen_at BIGINT NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX replica_seen ON replica (seen_at);
