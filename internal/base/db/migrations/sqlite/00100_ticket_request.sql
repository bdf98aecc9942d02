-- +goose Up

-- The SHA-256 of what whoever asked for the mail was given: its code is good with
-- that alone. Null if nobody asked, and for mails from before this version.
ALTER TABLE ticket ADD COLUMN request BLOB;
