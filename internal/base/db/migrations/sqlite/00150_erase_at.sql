-- +goose Up

-- When an account is to be erased, and why: who asked for it. A sign-in clears the time; the
-- reason then says that it did, until the next one.
ALTER TABLE account ADD COLUMN erase_at INTEGER;
ALTER TABLE account ADD COLUMN erase_why TEXT NOT NULL DEFAULT '';
CREATE INDEX account_erase ON account (erase_at, id) WHERE erase_at IS NOT NULL;
