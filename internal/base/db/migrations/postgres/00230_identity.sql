-- +goose Up

-- People sign in by other providers: an identity is a provider's issuer and its subject, never an address.
CREATE TABLE identity (
  provider   TEXT   NOT NULL,   -- its issuer
  subject    TEXT   NOT NULL,
  account_id TEXT   NOT NULL,
  email      TEXT   NOT NULL,   -- the address that it had when it was linked, so that its owner can tell several apart
  linked_at  BIGINT NOT NULL,
  used_at    BIGINT NOT NULL,
  PRIMARY KEY (provider, subject)
);
CREATE INDEX identity_account ON identity (account_id);

-- When the sign-in at the provider was: to wait for an agreement makes it no fresher. 0 for a sign-in that ends when it ends here.
ALTER TABLE pending ADD COLUMN auth_at BIGINT NOT NULL DEFAULT 0;
