-- +goose Up

-- What applications have signed to show who they are, until it expires: each is taken once.
CREATE TABLE client_assertion (
    client_id TEXT NOT NULL,
    jti BYTEA NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (client_id, jti)
);
CREATE INDEX client_assertion_expires ON client_assertion (expires_at);
