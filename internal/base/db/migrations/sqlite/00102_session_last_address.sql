-- +goose Up

-- Where the session was last used from, to a minute or two; empty if that was never elsewhere
-- than at the sign-in (address).
ALTER TABLE session ADD COLUMN last_address TEXT NOT NULL DEFAULT '';
