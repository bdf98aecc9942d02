-- +goose Up

-- What a pending sign-in has shown in the place of a mailed code: setup for the link that makes the first
-- administrator. It is empty where the code is asked for.
ALTER TABLE pending ADD COLUMN proof TEXT NOT NULL DEFAULT '';
