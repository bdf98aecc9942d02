-- +goose Up

-- What applications ask access tokens for (RFC 8707): APIs of one's own.
CREATE TABLE resource (
  uri        TEXT   PRIMARY KEY,   -- the audience of its tokens, byte for byte
  name       TEXT   NOT NULL,      -- what people are shown
  scopes     TEXT   NOT NULL,      -- a JSON list: see client.Scope
  open       INTEGER NOT NULL,      -- 1: applications that registered themselves may ask for it
  created_at INTEGER NOT NULL
);

-- What of which resource a person has consented to: a JSON object, from the URI to scopes.
ALTER TABLE client_consent ADD COLUMN resource TEXT NOT NULL DEFAULT '{}';
