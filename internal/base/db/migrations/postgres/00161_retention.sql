-- +goose Up

-- A hold: until a time, nothing is deleted for its age and nobody is erased. One row at most.
CREATE TABLE hold (
  one      BIGINT PRIMARY KEY CHECK (one = 1),
  set_at   BIGINT NOT NULL,
  until_at BIGINT NOT NULL,
  reason   TEXT   NOT NULL,
  set_by   TEXT   NOT NULL            -- the operator's system user and machine, or an administrator's account
);

-- How retention stands: one row at most.
CREATE TABLE retention (
  one           BIGINT PRIMARY KEY CHECK (one = 1),
  began_at      BIGINT NOT NULL,      -- of the run at hand, or that was broken off; 0 if there is none
  deleting      TEXT   NOT NULL,      -- what that run has deleted so far: JSON
  ran_at        BIGINT NOT NULL,      -- when the last whole run ended; 0 if there was none
  deleted       TEXT   NOT NULL,      -- what that run deleted: JSON
  looked_at     BIGINT NOT NULL,      -- when a run last looked at the clock; 0 if none did
  wait_until    BIGINT NOT NULL,      -- nothing is deleted before: the clock has leapt
  failures      BIGINT NOT NULL,      -- how many runs in a row have failed
  error         TEXT   NOT NULL       -- why the last one did
);

-- What is deleted in large numbers is taken away by vacuum soon, not when a fifth of the table is dead.
ALTER TABLE session SET (autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE event SET (autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE event_personal SET (autovacuum_vacuum_scale_factor = 0.02);
