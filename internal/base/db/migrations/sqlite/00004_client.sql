-- +goose Up

-- Applications that may ask about tokens. Of a secret there is only its hash;
-- the one before stays good for a while after a rotation.
CREATE TABLE client (
  id         TEXT    NOT NULL PRIMARY KEY,
  name       TEXT    NOT NULL UNIQUE,
  hash       BLOB    NOT NULL,
  old_hash   BLOB,                       -- NULL: there is no older secret that is good
  old_until  INTEGER NOT NULL,           -- until when it is good
  created_at INTEGER NOT NULL,
  rotated_at INTEGER NOT NULL
) STRICT;
