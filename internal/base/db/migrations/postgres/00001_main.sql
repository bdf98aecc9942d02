-- +goose Up

-- The installation: one row.
CREATE TABLE install (
  one        BIGINT  PRIMARY KEY CHECK (one = 1),
  id         TEXT    NOT NULL,
  epoch      BIGINT  NOT NULL,          -- raised by a restore: older refresh tokens are refused
  created_at BIGINT  NOT NULL,
  admin_at   BIGINT                     -- when the first administrator was made; closes /setup for good
);

-- Secrets of the installation, each sealed under a key derived from JWT_SECRET_KEY.
CREATE TABLE ring_key (
  id         TEXT    PRIMARY KEY,
  purpose    TEXT    NOT NULL,
  n          BIGINT  NOT NULL,
  created_at BIGINT  NOT NULL,
  UNIQUE (purpose, n)
);

CREATE TABLE ring_wrap (
  key_id TEXT NOT NULL REFERENCES ring_key (id),
  kek    TEXT NOT NULL,                 -- which key it is sealed under
  sealed BYTEA NOT NULL,
  PRIMARY KEY (key_id, kek)
);

CREATE TABLE account (
  id           TEXT    PRIMARY KEY,
  email        TEXT    NOT NULL,        -- as typed
  email_key    TEXT    NOT NULL UNIQUE, -- as compared
  name         TEXT    NOT NULL,
  locale       TEXT    NOT NULL,
  roles        TEXT    NOT NULL,        -- a JSON list
  hash         TEXT    NOT NULL,
  created_at   BIGINT  NOT NULL,
  verified_at  BIGINT,
  disabled_at  BIGINT,
  signed_in_at BIGINT
) WITH (fillfactor = 90);

-- A session and its rotating refresh token. roles mirrors the account's.
CREATE TABLE session (
  id         TEXT    PRIMARY KEY,
  account_id TEXT    NOT NULL REFERENCES account (id),
  roles      TEXT    NOT NULL,
  amr        TEXT    NOT NULL,          -- a JSON list
  user_agent TEXT    NOT NULL,
  address    TEXT    NOT NULL,
  auth_at    BIGINT  NOT NULL,
  max_at     BIGINT  NOT NULL,          -- the absolute end
  idle_at    BIGINT  NOT NULL,          -- the end if unused
  gen        BIGINT  NOT NULL,
  cur        BYTEA   NOT NULL,          -- hash of the current token
  prev       BYTEA,                     -- hash of the one before
  salt       BYTEA   NOT NULL,          -- the current one is derived from it
  minted_at  BIGINT  NOT NULL,          -- when the current token was made
  rotated_at BIGINT  NOT NULL,          -- when its predecessor was retired
  ended_at   BIGINT,
  ended_why  TEXT
) WITH (fillfactor = 70);               -- room for the next rotation on the same page
CREATE INDEX session_account ON session (account_id);

-- One-time links for the first administrator.
CREATE TABLE setup_link (
  hash       BYTEA   PRIMARY KEY,
  created_at BIGINT  NOT NULL,
  expires_at BIGINT  NOT NULL
);

-- What happened; nothing in it points at a person. tx orders by commit for the
-- sealing: a counter or a clock would not, where many commit at once.
CREATE TABLE event (
  tx      BIGINT  NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
  id      TEXT    PRIMARY KEY,
  time    BIGINT  NOT NULL,
  kind    TEXT    NOT NULL,
  outcome TEXT    NOT NULL,
  hash    BYTEA   NOT NULL
);
CREATE INDEX event_tx ON event (tx, id);

-- Everything in an event that points at a person. The event's hash commits to it.
CREATE TABLE event_personal (
  event_id TEXT NOT NULL,               -- no foreign key: it would cost each refresh a look-up
  person   TEXT NOT NULL,               -- an account's id, or empty
  salt     BYTEA NOT NULL,
  data     TEXT NOT NULL,
  PRIMARY KEY (event_id, person)
);
CREATE INDEX event_personal_person ON event_personal (person, event_id);

-- +goose StatementBegin
CREATE FUNCTION event_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'events are append-only'; END $$;
-- +goose StatementEnd
CREATE TRIGGER event_append_only BEFORE UPDATE OR DELETE ON event FOR EACH ROW EXECUTE FUNCTION event_append_only();
CREATE TRIGGER event_personal_append_only BEFORE UPDATE ON event_personal FOR EACH ROW EXECUTE FUNCTION event_append_only();

-- Background jobs: who may run each, and when it is due.
CREATE TABLE job (
  name        TEXT    PRIMARY KEY,
  holder      TEXT    NOT NULL,
  leased_to   BIGINT  NOT NULL,
  due_at      BIGINT  NOT NULL,
  started_at  BIGINT,
  finished_at BIGINT,
  error       TEXT    NOT NULL
);
