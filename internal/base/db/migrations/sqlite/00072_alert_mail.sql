-- +goose Up

-- When an alert of a rule was last mailed: one that comes and goes is mailed once an hour.
CREATE TABLE alert_mail (
  rule      TEXT    NOT NULL PRIMARY KEY,
  mailed_at INTEGER NOT NULL
) STRICT;

-- Since when checkpoints can't be sent to EVENT_ANCHOR; no row: they can.
CREATE TABLE event_anchor (
  one           INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
  failing_since INTEGER  NOT NULL
) STRICT;
