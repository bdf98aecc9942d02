-- +goose Up

-- Up to which day (UTC, counted from 1970) the tries of strangers have faded: one is
-- forgotten a day.
ALTER TABLE guess ADD COLUMN day BIGINT NOT NULL DEFAULT 0;
UPDATE guess SET day = seen_at / 86400000000;
