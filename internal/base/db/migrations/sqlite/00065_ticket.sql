-- +goose Up

-- Links and codes in mails: each is used once, for one purpose. There is no
-- foreign key: its lock on the account would be taken after the rows here,
-- and whoever changes a password takes them the other way round.
CREATE TABLE ticket (
  id          TEXT   PRIMARY KEY,
  account_id  TEXT   NOT NULL,
  purpose     TEXT   NOT NULL,
  address     TEXT   NOT NULL,          -- as typed: where the mail went, or what an undo goes back to
  address_key TEXT   NOT NULL,          -- as compared
  password_n  INTEGER NOT NULL,         -- the account's when it was made
  hash        BLOB   NOT NULL UNIQUE,   -- SHA-256 of the link's token
  code        BLOB,                     -- a keyed hash; null if there is none, or a later one
  code_until  INTEGER NOT NULL,
  tries       INTEGER NOT NULL,         -- at the code
  old_hash    TEXT   NOT NULL,          -- of an undo: the stored password hash in force before
  expires_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX ticket_account ON ticket (account_id);
CREATE INDEX ticket_address ON ticket (address_key);
CREATE INDEX ticket_expires ON ticket (expires_at);

-- How many codes were tried at an address within a day.
CREATE TABLE code_try (
  k        TEXT   PRIMARY KEY,          -- a keyed hash of the address
  n        INTEGER NOT NULL,
  since    INTEGER NOT NULL
) STRICT;
CREATE INDEX code_try_since ON code_try (since);

-- How often the password was replaced: a ticket from before is void.
ALTER TABLE account ADD COLUMN password_n INTEGER NOT NULL DEFAULT 0;
-- Since when nobody can sign in before the password was reset.
ALTER TABLE account ADD COLUMN reset_at INTEGER;
