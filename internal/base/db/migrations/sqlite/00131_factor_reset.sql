-- +goose Up

-- Second factors that an operator takes away from an account, once the wait is over: whoever signs in with
-- a factor or a recovery code meanwhile stops it.
CREATE TABLE factor_reset (
  account_id TEXT   PRIMARY KEY,
  asked_at   INTEGER NOT NULL,
  due_at     INTEGER NOT NULL,
  asked_by   TEXT   NOT NULL,
  reason     TEXT   NOT NULL
) STRICT;
CREATE INDEX factor_reset_due ON factor_reset (due_at);
