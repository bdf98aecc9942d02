-- +goose Up

-- Links in mails about a lockout: each makes one browser a known device.
CREATE TABLE unlock_link (
  hash       BLOB    PRIMARY KEY,
  account_id TEXT    NOT NULL REFERENCES account (id),
  account    TEXT    NOT NULL,          -- as in guess
  cookie     TEXT    NOT NULL,          -- the name of the device's cookie
  expires_at INTEGER NOT NULL,
  used_at    INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX unlock_link_expires ON unlock_link (expires_at);
