-- +goose Up

-- What the tokens that a service gets for itself have as their sid, from the first on: they end when it is replaced.
ALTER TABLE client ADD COLUMN sid TEXT NOT NULL DEFAULT '';
