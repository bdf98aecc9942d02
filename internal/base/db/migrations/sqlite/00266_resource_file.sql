-- +goose Up

-- 'file' for a resource that a file of the operator's describes: it is changed there. One that the file does not have any more is
-- disabled: no tokens are made for it.
ALTER TABLE resource ADD COLUMN source TEXT NOT NULL DEFAULT '';
ALTER TABLE resource ADD COLUMN disabled_at INTEGER;
