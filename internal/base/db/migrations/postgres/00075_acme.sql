-- +goose Up

-- What belongs to the certificate that an authority signs by ACME, sealed: the
-- account there, the key and the chain, and the answers to its challenges, which
-- any replica may be asked for.
CREATE TABLE acme_secret (
  name   TEXT   PRIMARY KEY,            -- what it is and for what: a directory and names, a token, a name
  n      BIGINT NOT NULL,               -- another one each time that it is replaced
  sealed BYTEA  NOT NULL,
  until  BIGINT NOT NULL                -- it is deleted after that
);

-- Orders that failed since the last that did not.
CREATE TABLE acme_try (
  name     TEXT   PRIMARY KEY,          -- of the certificate
  failures BIGINT NOT NULL,
  at       BIGINT NOT NULL,             -- when it may be tried again
  trouble  TEXT   NOT NULL              -- why the last failed
);
