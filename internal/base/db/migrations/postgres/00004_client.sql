-- +goose Up

-- Applications that may ask about tokens. Of a secret there is only its hash;
-- the one before stays good for a while after a rotation.
CREATE TABLE client (
  id         TEXT   NOT NULL PRIMARY KEY,
  name       TEXT   NOT NULL UNIQUE,
  hash       BYTEA  NOT NULL,
  old_hash   BYTEA,                      -- NULL: there is no older secret that is good
  old_until  BIGINT NOT NULL,            -- until when it is good
  created_at BIGINT NOT NULL,
  rotated_at BIGINT NOT NULL
);
