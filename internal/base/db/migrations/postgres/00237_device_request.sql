-- +goose Up

-- Devices without a keyboard that wait for somebody to let them in (RFC 8628).
CREATE TABLE device_request (
  hash       BYTEA  PRIMARY KEY,      -- the SHA-256 of the device code's secret
  user_code  BYTEA  NOT NULL UNIQUE,  -- a keyed hash
  client_id  TEXT   NOT NULL,
  scope      TEXT   NOT NULL,
  resource   TEXT   NOT NULL,
  expires_at BIGINT NOT NULL,
  pause      BIGINT NOT NULL,         -- between two polls, in microseconds
  polled_at  BIGINT NOT NULL,
  slow       BIGINT NOT NULL,         -- 1: the last poll came too early
  answer     TEXT   NOT NULL,         -- empty, yes or no
  grant_id   TEXT   NOT NULL,         -- what was granted, once the answer is yes
  address    TEXT   NOT NULL,
  user_agent TEXT   NOT NULL
);
CREATE INDEX device_request_expires ON device_request (expires_at);
