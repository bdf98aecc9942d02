-- +goose Up

-- What the rules over the event log found. One row at most of a rule is open.
CREATE TABLE alert (
  id          TEXT    PRIMARY KEY,
  rule        TEXT    NOT NULL,
  raised_at   BIGINT NOT NULL,
  resolved_at BIGINT,                 -- null while it is open
  n           BIGINT NOT NULL,        -- the most that was counted
  bound       BIGINT NOT NULL,        -- from how many on it is raised
  what        TEXT    NOT NULL,        -- one sentence
  look        TEXT    NOT NULL         -- a command that shows more
);
CREATE UNIQUE INDEX alert_open ON alert (rule) WHERE resolved_at IS NULL;
CREATE INDEX alert_raised ON alert (raised_at);

-- How far the rules have read, and what they keep in mind.
CREATE TABLE alert_state (
  one   SMALLINT PRIMARY KEY CHECK (one = 1),
  n     BIGINT NOT NULL,              -- the next leaf of the log
  state TEXT    NOT NULL
);

-- What is to be told, and where. A try pushes due_at on before it begins, so that
-- nobody else tries meanwhile.
CREATE TABLE alert_delivery (
  id       TEXT    PRIMARY KEY,
  alert_id TEXT    NOT NULL,
  about    TEXT    NOT NULL,           -- raised or resolved
  channel  TEXT    NOT NULL,
  due_at   BIGINT,                    -- null once sent or given up
  tries    BIGINT NOT NULL,
  error    TEXT    NOT NULL,           -- of the last try; empty once sent
  sent_at  BIGINT
);
CREATE INDEX alert_delivery_due ON alert_delivery (due_at) WHERE due_at IS NOT NULL;

-- Rules that nobody is told of for a while.
CREATE TABLE alert_silence (
  rule     TEXT    PRIMARY KEY,
  until_at BIGINT NOT NULL
);

-- Accounts that nobody has a reason to touch.
CREATE TABLE alert_canary (
  account_id TEXT    PRIMARY KEY,
  made_at    BIGINT NOT NULL
);
