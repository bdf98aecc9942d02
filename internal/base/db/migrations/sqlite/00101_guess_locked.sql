-- +goose Up

-- On which day (UTC, counted from 1970) the owner was last told that the address is
-- locked: a try that was given back lets the last one come twice.
ALTER TABLE guess ADD COLUMN locked_day INTEGER NOT NULL DEFAULT 0;
