-- +goose Up

-- What people agree to, by name and version: never changed and never deleted, so that it can be shown what somebody agreed to.
CREATE TABLE document (
  name    TEXT    NOT NULL,
  version INTEGER NOT NULL,  -- 1, 2, 3, …
  hash    BLOB    NOT NULL,  -- the SHA-256 of texts
  texts   TEXT    NOT NULL,  -- a JSON object: the text by language, and by '' for all others
  made_at INTEGER NOT NULL,
  PRIMARY KEY (name, version)
) STRICT;
CREATE UNIQUE INDEX document_hash ON document (name, hash);

-- Who agreed to which, and took it back.
CREATE TABLE consent (
  id           TEXT    PRIMARY KEY,
  account_id   TEXT    NOT NULL,
  document     TEXT    NOT NULL,
  version      INTEGER NOT NULL,
  hash         BLOB    NOT NULL,
  language     TEXT    NOT NULL,  -- in which it was read
  how          TEXT    NOT NULL,  -- registration, sign_in, account
  given_at     INTEGER NOT NULL,
  withdrawn_at INTEGER
) STRICT;
CREATE INDEX consent_account ON consent (account_id);
CREATE UNIQUE INDEX consent_open ON consent (account_id, document, version) WHERE withdrawn_at IS NULL;

-- Sign-ins that wait, by whose they are.
CREATE INDEX pending_account ON pending (account_id);
