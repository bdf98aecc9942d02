-- +goose Up

-- Imports of accounts from another system: how far each is, so that one that was broken off goes on.
CREATE TABLE import_run (
  file         TEXT   PRIMARY KEY,      -- the SHA-256 of the file, in hexadecimal
  options      TEXT   NOT NULL,         -- what it was begun with: JSON
  began_at     INTEGER NOT NULL,
  ended_at     INTEGER,
  done         INTEGER NOT NULL,         -- how many of its people are done
  report_bytes INTEGER NOT NULL,         -- how long the report is that tells of them
  made         INTEGER NOT NULL,
  had          INTEGER NOT NULL,         -- had an account already
  twice        INTEGER NOT NULL,         -- stand in the file more than once
  refused      INTEGER NOT NULL,
  passwordless INTEGER NOT NULL          -- of those made: have to set a password by mail
) STRICT;
