-- +goose Up

-- When an access token of the session was last used, to a minute or two; 0 if
-- that was never later than minted_at.
ALTER TABLE session ADD COLUMN used_at BIGINT NOT NULL DEFAULT 0;
