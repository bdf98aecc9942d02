-- +goose Up

-- What ends access tokens before their time. Every replica holds the living
-- rows in memory, and reads on from the last tx it has seen whole: on SQLite,
-- with one writer, a counter is in the order of the commits.
CREATE TABLE revocation (
  tx         INTEGER PRIMARY KEY AUTOINCREMENT,
  kind       TEXT    NOT NULL,          -- session or roles
  subject    TEXT    NOT NULL,          -- a session's id, or an account's
  roles      TEXT    NOT NULL,          -- kind roles: the only ones that are good now, a JSON list
  n          INTEGER NOT NULL,          -- kind roles: the highest of an account counts
  expires_at INTEGER NOT NULL           -- when no token that it ends can be alive
) STRICT;
CREATE INDEX revocation_subject ON revocation (kind, subject);
CREATE INDEX revocation_expires ON revocation (expires_at);

-- Counts the changes of an account's roles, so that replicas agree on the last.
ALTER TABLE account ADD COLUMN roles_n INTEGER NOT NULL DEFAULT 0;
