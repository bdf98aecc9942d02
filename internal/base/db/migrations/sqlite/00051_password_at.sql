-- +goose Up

-- When the password was last set; null for one that is as old as the account.
ALTER TABLE account ADD COLUMN password_at INTEGER;
