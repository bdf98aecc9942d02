-- +goose Up

-- Keys come and go: which algorithm one is for, when it takes over (0: nobody
-- knows yet, it stands by), when it was revoked, and the longest life of what it
-- has signed.
ALTER TABLE ring_key ADD COLUMN algorithm TEXT NOT NULL DEFAULT '';
ALTER TABLE ring_key ADD COLUMN from_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE ring_key ADD COLUMN revoked_at BIGINT;
ALTER TABLE ring_key ADD COLUMN life BIGINT NOT NULL DEFAULT 0;
UPDATE ring_key SET from_at = created_at;
UPDATE ring_key SET algorithm = 'ES256', life = 86400000000 WHERE purpose = 'access-sign';

-- When it was sealed under this kek: tells an older JWT_SECRET_KEY from a newer.
ALTER TABLE ring_wrap ADD COLUMN made_at BIGINT NOT NULL DEFAULT 0;

-- Counts the changes of the ring: replicas look at it four times a second.
ALTER TABLE install ADD COLUMN ring_n BIGINT NOT NULL DEFAULT 0;
