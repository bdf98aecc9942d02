-- +goose Up

-- The installation: one row.
CREATE TABLE install (
  one        INTEGER PRIMARY KEY CHECK (one = 1),
  id         TEXT    NOT NULL,
  epoch      INTEGER NOT NULL,          -- raised by a restore: older refresh tokens are refused
  created_at INTEGER NOT NULL,
  admin_at   INTEGER                    -- when the first administrator was made; closes /setup for good
) STRICT;

-- Secrets of the installation, each sealed under a key derived from JWT_SECRET_KEY.
CREATE TABLE ring_key (
  id         TEXT    PRIMARY KEY,
  purpose    TEXT    NOT NULL,
  n          INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  UNIQUE (purpose, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE ring_wrap (
  key_id TEXT NOT NULL REFERENCES ring_key (id),
  kek    TEXT NOT NULL,                 -- which key it is sealed under
  sealed BLOB NOT NULL,
  PRIMARY KEY (key_id, kek)
) STRICT, WITHOUT ROWID;

CREATE TABLE account (
  id           TEXT    PRIMARY KEY,
  email        TEXT    NOT NULL,        -- as typed
  email_key    TEXT    NOT NULL UNIQUE, -- as compared
  name         TEXT    NOT NULL,
  locale       TEXT    NOT NULL,
  roles        TEXT    NOT NULL,        -- a JSON list
  hash         TEXT    NOT NULL,
  created_at   INTEGER NOT NULL,
  verified_at  INTEGER,
  disabled_at  INTEGER,
  signed_in_at INTEGER
) STRICT;

-- A session and its rotating refresh token. roles mirrors the account's.
CREATE TABLE session (
  id         TEXT    PRIMARY KEY,
  account_id TEXT    NOT NULL REFERENCES account (id),
  roles      TEXT    NOT NULL,
  amr        TEXT    NOT NULL,          -- a JSON list
  user_agent TEXT    NOT NULL,
  address    TEXT    NOT NULL,
  auth_at    INTEGER NOT NULL,
  max_at     INTEGER NOT NULL,          -- the absolute end
  idle_at    INTEGER NOT NULL,          -- the end if unused
  gen        INTEGER NOT NULL,
  cur        BLOB    NOT NULL,          -- hash of the current token
  prev       BLOB,                      -- hash of the one before
  salt       BLOB    NOT NULL,          -- the current one is derived from it
  minted_at  INTEGER NOT NULL,          -- when the current token was made
  rotated_at INTEGER NOT NULL,          -- when its predecessor was retired
  ended_at   INTEGER,
  ended_why  TEXT
) STRICT;
CREATE INDEX session_account ON session (account_id);

-- One-time links for the first administrator.
CREATE TABLE setup_link (
  hash       BLOB    PRIMARY KEY,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What happened; nothing in it points at a person. tx orders by commit for the
-- sealing: on SQLite, with one writer, a counter does.
CREATE TABLE event (
  tx      INTEGER PRIMARY KEY AUTOINCREMENT,
  id      TEXT    NOT NULL UNIQUE,
  time    INTEGER NOT NULL,
  kind    TEXT    NOT NULL,
  outcome TEXT    NOT NULL,
  hash    BLOB    NOT NULL
) STRICT;

-- Everything in an event that points at a person. The event's hash commits to it.
CREATE TABLE event_personal (
  event_id TEXT NOT NULL,               -- no foreign key: it would cost each refresh a look-up
  person   TEXT NOT NULL,               -- an account's id, or empty
  salt     BLOB NOT NULL,
  data     TEXT NOT NULL,
  PRIMARY KEY (event_id, person)
) STRICT, WITHOUT ROWID;
CREATE INDEX event_personal_person ON event_personal (person, event_id);

-- +goose StatementBegin
CREATE TRIGGER event_no_update BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER event_no_delete BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER event_personal_no_update BEFORE UPDATE ON event_personal BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
-- +goose StatementEnd

-- Background jobs: who may run each, and when it is due.
CREATE TABLE job (
  name        TEXT    PRIMARY KEY,
  holder      TEXT    NOT NULL,
  leased_to   INTEGER NOT NULL,
  due_at      INTEGER NOT NULL,
  started_at  INTEGER,
  finished_at INTEGER,
  error       TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
