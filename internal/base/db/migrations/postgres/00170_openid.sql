-- +goose Up

-- Applications that people sign in to: what kind of program one is, and what it may do.
ALTER TABLE client ADD COLUMN type TEXT NOT NULL DEFAULT 'service';  -- service, web, spa, native
ALTER TABLE client ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';   -- a JSON object: see client.Settings
ALTER TABLE client ADD COLUMN disabled_at BIGINT;

-- What applications call a session, where that is not its id: that of the one before, in whose place the same person signed in again.
ALTER TABLE session ADD COLUMN sid TEXT NOT NULL DEFAULT '';

-- What one sign-in at one application gave it. A row that has not started is a code.
CREATE TABLE client_grant (
  id           TEXT   PRIMARY KEY,   -- the sid of its access tokens
  client_id    TEXT   NOT NULL,
  account_id   TEXT   NOT NULL,
  sid          TEXT   NOT NULL,      -- the session's, that of ID tokens
  offline      BIGINT NOT NULL,      -- 1: it outlives the session
  scope        TEXT   NOT NULL,
  resource     TEXT   NOT NULL,
  roles        TEXT   NOT NULL,
  amr          TEXT   NOT NULL,
  auth_at      BIGINT NOT NULL,
  nonce        TEXT   NOT NULL,
  code         BYTEA  NOT NULL,      -- the SHA-256 of its secret
  code_until   BIGINT NOT NULL,
  redirect_uri TEXT   NOT NULL,
  challenge    TEXT   NOT NULL,      -- empty without PKCE
  created_at   BIGINT NOT NULL,
  started_at   BIGINT,
  gen          BIGINT NOT NULL,
  cur          BYTEA,
  prev         BYTEA,
  salt         BYTEA,
  minted_at    BIGINT NOT NULL,
  rotated_at   BIGINT NOT NULL,
  idle_at      BIGINT NOT NULL,
  max_at       BIGINT NOT NULL,
  ended_at     BIGINT,
  ended_why    TEXT
);
CREATE INDEX client_grant_sid ON client_grant (sid);
CREATE INDEX client_grant_account ON client_grant (account_id, client_id);
CREATE INDEX client_grant_client ON client_grant (client_id);

-- Who has said yes to which application, and to what.
CREATE TABLE client_consent (
  account_id TEXT   NOT NULL,
  client_id  TEXT   NOT NULL,
  scope      TEXT   NOT NULL,
  given_at   BIGINT NOT NULL,
  PRIMARY KEY (account_id, client_id)
);
CREATE INDEX client_consent_client ON client_consent (client_id);

-- What applications have asked for ahead of the browser (RFC 9126).
CREATE TABLE pushed_request (
  hash       BYTEA  PRIMARY KEY,   -- the SHA-256 of what the browser brings
  client_id  TEXT   NOT NULL,
  sealed     TEXT   NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at    BIGINT                -- when a code was given for it
);
CREATE INDEX pushed_request_expires ON pushed_request (expires_at);
