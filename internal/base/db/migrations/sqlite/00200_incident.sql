-- +goose Up

-- Incidents: a number, when it began, was opened, contained, recovered from and closed. The 72-hour clock runs from aware_at.
CREATE TABLE incident (
  id           TEXT    PRIMARY KEY,
  n            INTEGER NOT NULL UNIQUE,   -- INC-n
  title        TEXT    NOT NULL,
  alert        TEXT    NOT NULL,          -- the rule whose alert it was opened from, or empty
  began_at     INTEGER,                   -- when the attack began, as far as that is known
  aware_at     INTEGER NOT NULL,          -- when those who run the service came to know of it
  opened_at    INTEGER NOT NULL,
  contained_at INTEGER,
  recovered_at INTEGER,
  closed_at    INTEGER,
  lessons      TEXT    NOT NULL
) STRICT;

-- What was done to contain one: what it is, how far it is, and what it touched.
CREATE TABLE incident_action (
  id          TEXT    PRIMARY KEY,
  incident_id TEXT    NOT NULL REFERENCES incident (id),
  action      TEXT    NOT NULL,
  wants       TEXT    NOT NULL,           -- what it was told: JSON, without people
  why         TEXT    NOT NULL,
  actor       TEXT    NOT NULL,           -- an administrator's account, or the operator's system user and machine
  state       TEXT    NOT NULL,           -- finding, running, done, undone, or stopped
  place       TEXT    NOT NULL,           -- how far it is: whoever goes on names the place that it has read
  touched     TEXT    NOT NULL,           -- what it has touched: JSON, counts by kind
  began_at    INTEGER NOT NULL,
  ended_at    INTEGER
) STRICT;
CREATE INDEX incident_action_incident ON incident_action (incident_id, id);
CREATE INDEX incident_action_running ON incident_action (id) WHERE ended_at IS NULL;

-- The timeline.
CREATE TABLE incident_entry (
  id          TEXT    PRIMARY KEY,
  incident_id TEXT    NOT NULL REFERENCES incident (id),
  time        INTEGER NOT NULL,
  kind        TEXT    NOT NULL,
  actor       TEXT    NOT NULL,
  action_id   TEXT    NOT NULL,           -- or empty
  text        TEXT    NOT NULL
) STRICT;
CREATE INDEX incident_entry_incident ON incident_entry (incident_id, id);

-- People whom an incident touches: named by an action, or found by a scope (action_id is empty).
CREATE TABLE incident_person (
  incident_id TEXT    NOT NULL REFERENCES incident (id),
  action_id   TEXT    NOT NULL,
  account_id  TEXT    NOT NULL,           -- no foreign key: an erasure need not wait
  added_at    INTEGER NOT NULL,
  done_at     INTEGER,                    -- when the action was done to them, or they were notified
  PRIMARY KEY (incident_id, action_id, account_id)
) STRICT;
CREATE INDEX incident_person_account ON incident_person (account_id);
CREATE INDEX incident_person_people ON incident_person (incident_id, account_id);

-- Steps of the checklist that are done.
CREATE TABLE incident_step (
  incident_id TEXT    NOT NULL REFERENCES incident (id),
  step        TEXT    NOT NULL,
  done_at     INTEGER NOT NULL,
  actor       TEXT    NOT NULL,
  PRIMARY KEY (incident_id, step)
) STRICT;

-- How many incidents there were.
ALTER TABLE install ADD COLUMN incident_n INTEGER NOT NULL DEFAULT 0;
