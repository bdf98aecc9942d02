-- +goose Up
-- Which history of this installation the database is of: another one begins with each restore.
ALTER TABLE install ADD COLUMN timeline TEXT NOT NULL DEFAULT '';
UPDATE install SET timeline = replace(gen_random_uuid()::text, '-', '');
