-- +goose Up
-- While an installation is moved to another database, this one takes no changes: since when, or 0. Then it says where to.
ALTER TABLE install ADD COLUMN fenced_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE install ADD COLUMN moved_to TEXT NOT NULL DEFAULT '';
