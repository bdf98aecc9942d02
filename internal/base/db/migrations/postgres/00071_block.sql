-- +goose Up

-- Networks whose requests are refused.
CREATE TABLE block (
  network    TEXT    NOT NULL PRIMARY KEY,  -- in CIDR form
  id         TEXT    NOT NULL UNIQUE,
  reason     TEXT    NOT NULL,
  added_at   BIGINT NOT NULL,
  expires_at BIGINT,                        -- NULL: never
  removed_at BIGINT,                        -- NULL: it is in force; else the row goes once all replicas know
  n          BIGINT NOT NULL                -- install.block_n as of its last change
);
CREATE INDEX block_n ON block (n);
CREATE INDEX block_expires ON block (expires_at) WHERE removed_at IS NULL AND expires_at IS NOT NULL;
CREATE INDEX block_removed ON block (removed_at) WHERE removed_at IS NOT NULL;

-- Counts the changes of blocks: replicas look at it four times a second.
ALTER TABLE install ADD COLUMN block_n BIGINT NOT NULL DEFAULT 0;
