-- +goose Up

-- Imports of accounts from another system: how far each is, so that one that was broken off goes on.
CREATE TABLE import_run (
  file         TEXT   PRIMARY KEY,      -- the SHA-256 of the file, in hexadecimal
  options      TEXT   NOT NULL,         -- what it was begun with: JSON
  began_at     BIGINT NOT NULL,
  ended_at     BIGINT,
  done         BIGINT NOT NULL,         -- how many of its people are done
  report_bytes BIGINT NOT NULL,         -- how long the report is that tells of them
  made         BIGINT NOT NULL,
  had          BIGINT NOT NULL,         -- had an account already
  twice        BIGINT NOT NULL,         -- stand in the file more than once
  refused      BIGINT NOT NULL,
  passwordless BIGINT NOT NULL          -- of those made: have to set a password by mail
);
