-- +goose Up

-- What the doctor found last, for all replicas: what was well and is not any more raises an alert.
CREATE TABLE doctor_check (
  rule      TEXT   PRIMARY KEY,     -- ID/name
  state     TEXT   NOT NULL,        -- as of the last look that could tell: passed, failed, accepted
  severity  TEXT   NOT NULL,
  looked_at INTEGER NOT NULL,
  turned_at INTEGER                  -- since when it fails, after it had passed; null otherwise
) STRICT;
