-- +goose Up

-- Which applications a session was signed in to, under the name that they have for it, until they are told that it has ended.
CREATE TABLE session_client (
  sid        TEXT   NOT NULL,
  client_id  TEXT   NOT NULL,
  account_id TEXT   NOT NULL,
  since      BIGINT NOT NULL,
  look_at    BIGINT NOT NULL,   -- when to look whether the session's time has run out: it does not before
  PRIMARY KEY (sid, client_id)
);
CREATE INDEX session_client_account ON session_client (account_id);
CREATE INDEX session_client_client ON session_client (client_id);
CREATE INDEX session_client_look ON session_client (look_at);
INSERT INTO session_client (sid, client_id, account_id, since, look_at)
  SELECT sid, client_id, account_id, MIN(created_at), 0 FROM client_grant WHERE ended_at IS NULL GROUP BY sid, client_id, account_id;

-- What applications have yet to be told: that a session has ended (OpenID Connect Back-Channel Logout). A row goes once it is told, or given up.
CREATE TABLE logout_notice (
  sid        TEXT   NOT NULL,
  client_id  TEXT   NOT NULL,
  account_id TEXT   NOT NULL,
  created_at BIGINT NOT NULL,
  due_at     BIGINT NOT NULL,
  until_at   BIGINT NOT NULL,
  tries      BIGINT NOT NULL,
  error      TEXT   NOT NULL,
  PRIMARY KEY (sid, client_id)
);
CREATE INDEX logout_notice_due ON logout_notice (client_id, due_at);

-- The few sessions that go on under the name of another.
CREATE INDEX session_sid ON session (sid) WHERE sid <> '';
