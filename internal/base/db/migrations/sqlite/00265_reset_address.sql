-- +goose Up

-- An operator's reset may give the account another address as well: for whoever has lost the mailbox too. Empty for most.
ALTER TABLE factor_reset ADD COLUMN address TEXT NOT NULL DEFAULT '';
ALTER TABLE factor_reset ADD COLUMN address_key TEXT NOT NULL DEFAULT '';
