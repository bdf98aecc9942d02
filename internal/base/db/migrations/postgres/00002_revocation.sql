-- +goose Up

-- What ends access tokens before their time. Every replica holds the living
-- rows in memory, and reads on from the last transaction before which all are
-- over: a counter or a clock would lose those that commit late.
CREATE TABLE revocation (
  tx         BIGINT  NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
  kind       TEXT    NOT NULL,          -- session or roles
  subject    TEXT    NOT NULL,          -- a session's id, or an account's
  roles      TEXT    NOT NULL,          -- kind roles: the only ones that are good now, a JSON list
  n          BIGINT  NOT NULL,          -- kind roles: the highest of an account counts
  expires_at BIGINT  NOT NULL           -- when no token that it ends can be alive
);
CREATE INDEX revocation_tx ON revocation (tx);
CREATE INDEX revocation_subject ON revocation (kind, subject);
CREATE INDEX revocation_expires ON revocation (expires_at);

-- Counts the changes of an account's roles, so that replicas agree on the last.
ALTER TABLE account ADD COLUMN roles_n BIGINT NOT NULL DEFAULT 0;
