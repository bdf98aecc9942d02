-- +goose Up

-- The WebAuthn user handle: 32 random bytes, made when a passkey is first asked for.
ALTER TABLE account ADD COLUMN handle BLOB;
CREATE UNIQUE INDEX account_handle ON account (handle) WHERE handle IS NOT NULL;

-- A passkey: a public key whose private one an authenticator of its owner holds.
CREATE TABLE passkey (
  id           TEXT    PRIMARY KEY,
  account_id   TEXT    NOT NULL,
  rp_id        TEXT    NOT NULL,         -- the host that it was made for; only for that one it opens anything
  credential   BLOB    NOT NULL UNIQUE,  -- its id, which the authenticator chose: one account's, ever
  public_key   BLOB    NOT NULL,         -- COSE
  mac          BLOB    NOT NULL,         -- over account, handle, rp_id, credential and public_key, under the ring's key for factors
  counter      INTEGER NOT NULL,         -- of the latest signature
  eligible     INTEGER NOT NULL,         -- it may be copied to other devices of its owner
  backed_up    INTEGER NOT NULL,         -- it is
  verifies     INTEGER NOT NULL,         -- it verified the person when it was made
  discoverable INTEGER NOT NULL,         -- it is found without a name
  aaguid       TEXT    NOT NULL,
  transports   TEXT    NOT NULL,         -- a JSON list
  name         TEXT    NOT NULL,
  suspect_at   INTEGER,                  -- there may be a copy of it: it counts, and opens nothing
  made_at      INTEGER NOT NULL,
  used_at      INTEGER
) STRICT;
CREATE INDEX passkey_account ON passkey (account_id);

-- Challenges that have made a session. All others are not stored: their MAC tells that they are ours.
CREATE TABLE challenge_spent (
  hash  BLOB    PRIMARY KEY,
  until INTEGER NOT NULL                  -- when it is refused for its age
) STRICT;
CREATE INDEX challenge_spent_until ON challenge_spent (until);
