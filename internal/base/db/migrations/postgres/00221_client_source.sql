-- +goose Up

-- 'file' for an application that a file of the operator's describes: it is changed there.
ALTER TABLE client ADD COLUMN source TEXT NOT NULL DEFAULT '';
