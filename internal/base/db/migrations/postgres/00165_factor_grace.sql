-- +goose Up

-- When somebody first signed in under a rule by which the account must have a second factor, and had none: adding one can
-- be put off for SECOND_FACTOR_GRACE_DAYS from then on.
ALTER TABLE account ADD COLUMN factor_asked_at BIGINT;
