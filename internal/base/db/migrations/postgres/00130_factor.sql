-- +goose Up

-- How many second factors an account has, how often they have changed (recovery codes too),
-- and when its owner was last told that somebody else has the password.
ALTER TABLE account ADD COLUMN factors BIGINT NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN factor_n BIGINT NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN password_told_at BIGINT NOT NULL DEFAULT 0;

-- A sign-in that has shown its password and no factor yet. There is no foreign key, as in ticket.
CREATE TABLE pending (
  id         TEXT   PRIMARY KEY,
  account_id TEXT   NOT NULL,
  hash       BYTEA  NOT NULL UNIQUE,   -- SHA-256 of its token
  want       TEXT   NOT NULL,          -- step or enrol
  amr        TEXT   NOT NULL,          -- a JSON list: what it has shown
  password_n BIGINT NOT NULL,          -- the account's when it was made
  factor_n   BIGINT NOT NULL,
  device     TEXT   NOT NULL,          -- the known device that it came from, or empty
  network    TEXT   NOT NULL,
  tries      BIGINT NOT NULL,
  made_at    BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX pending_expires ON pending (expires_at);

-- An app that shows codes (RFC 6238): one an account.
CREATE TABLE totp (
  account_id TEXT   PRIMARY KEY,
  id         TEXT   NOT NULL,
  sealed     BYTEA  NOT NULL,          -- the secret
  last_step  BIGINT NOT NULL,          -- of the latest code that was used; it only rises
  made_at    BIGINT NOT NULL,
  used_at    BIGINT
);

-- A secret that nobody has confirmed: it is no factor.
CREATE TABLE totp_offer (
  account_id TEXT   PRIMARY KEY,
  id         TEXT   NOT NULL,
  holder     TEXT   NOT NULL,          -- the session or the pending sign-in that asked
  sealed     BYTEA  NOT NULL,
  tries      BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX totp_offer_expires ON totp_offer (expires_at);

CREATE TABLE recovery_code (
  account_id TEXT   NOT NULL,
  hash       BYTEA  NOT NULL,
  made_at    BIGINT NOT NULL,
  used_at    BIGINT,
  PRIMARY KEY (account_id, hash)
);
