-- +goose Up

-- Until when something is closed to people, because of an incident: all replicas see it within a second. 0: it is open.
ALTER TABLE install ADD COLUMN shut_registration INTEGER NOT NULL DEFAULT 0;
ALTER TABLE install ADD COLUMN shut_changes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE install ADD COLUMN shut_sign_in INTEGER NOT NULL DEFAULT 0;
