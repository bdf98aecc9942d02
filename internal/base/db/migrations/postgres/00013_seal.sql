-- +goose Up

-- The sealed log: how many events are in the Merkle tree, and its root. All
-- transactions before from_tx are over, and their events are sealed.
CREATE TABLE event_head (
  one     BIGINT PRIMARY KEY CHECK (one = 1),
  size    BIGINT NOT NULL,
  root    BYTEA  NOT NULL,
  from_tx BIGINT NOT NULL
);

-- The leaves of the tree, in the order in which they were sealed. They stay when
-- the event goes.
CREATE TABLE event_leaf (
  n        BIGINT PRIMARY KEY,
  event_id TEXT   NOT NULL UNIQUE,
  hash     BYTEA  NOT NULL
);

-- The hashes of the complete subtrees of 256, 65536, … leaves (levels 8, 16, …):
-- computed from the leaves, and could be again.
CREATE TABLE event_node (
  level BIGINT NOT NULL,
  n     BIGINT NOT NULL,
  hash  BYTEA  NOT NULL,
  PRIMARY KEY (level, n)
);

-- Signed statements of the tree's size and root.
CREATE TABLE event_checkpoint (
  origin BIGINT NOT NULL,
  size   BIGINT NOT NULL,
  time   BIGINT NOT NULL,
  note   TEXT   NOT NULL,
  PRIMARY KEY (origin, size)
);

-- Who signs: a log has one origin and one key, until an operator begins anew.
CREATE TABLE event_origin (
  n        BIGINT PRIMARY KEY,
  name     TEXT   NOT NULL,
  verifier TEXT   NOT NULL,           -- the public key, as in a signed note
  size     BIGINT NOT NULL,           -- of the log when it began
  time     BIGINT NOT NULL
);

-- Events whose personal part was erased. What the event's hash holds of it stays,
-- so that the event still verifies.
CREATE TABLE event_erased (
  event_id   TEXT   PRIMARY KEY,
  commitment TEXT   NOT NULL,
  time       BIGINT NOT NULL
);

-- Ranges of leaves whose events were deleted for their age, and the event that
-- says so.
CREATE TABLE event_retired (
  n        BIGINT PRIMARY KEY,        -- the first leaf
  until    BIGINT NOT NULL,           -- the one after the last
  event_id TEXT   NOT NULL,
  time     BIGINT NOT NULL
);

-- How far the events have been sent to each place: the next leaf.
CREATE TABLE event_forward (
  name TEXT   PRIMARY KEY,
  n    BIGINT NOT NULL
);

INSERT INTO event_head (one, size, root, from_tx)
  VALUES (1, 0, decode('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', 'hex'), 0);

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION event_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_TABLE_NAME = 'event' AND TG_OP = 'DELETE' THEN
    IF EXISTS (SELECT 1 FROM event_leaf AS l JOIN event_retired AS r ON l.n >= r.n AND l.n < r.until WHERE l.event_id = OLD.id) THEN
      RETURN OLD;
    END IF;
  END IF;
  RAISE EXCEPTION 'events are append-only';
END $$;
-- +goose StatementEnd
CREATE TRIGGER event_leaf_append_only BEFORE UPDATE OR DELETE ON event_leaf FOR EACH ROW EXECUTE FUNCTION event_append_only();
CREATE TRIGGER event_origin_append_only BEFORE UPDATE OR DELETE ON event_origin FOR EACH ROW EXECUTE FUNCTION event_append_only();
CREATE TRIGGER event_erased_append_only BEFORE UPDATE OR DELETE ON event_erased FOR EACH ROW EXECUTE FUNCTION event_append_only();
CREATE TRIGGER event_retired_append_only BEFORE UPDATE OR DELETE ON event_retired FOR EACH ROW EXECUTE FUNCTION event_append_only();

-- Who inserts here erases. It runs with the owner's rights: the serving role may
-- delete nothing by itself.
-- +goose StatementBegin
CREATE FUNCTION event_erase() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  DELETE FROM event_personal WHERE event_id = NEW.event_id;
  RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER event_erase AFTER INSERT ON event_erased FOR EACH ROW EXECUTE FUNCTION event_erase();

-- Who inserts here deletes, and only what is older than 30 days.
-- +goose StatementBegin
CREATE FUNCTION event_retire() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM event_leaf AS l JOIN event AS e ON e.id = l.event_id
    WHERE l.n >= NEW.n AND l.n < NEW.until AND e.time > (EXTRACT(EPOCH FROM clock_timestamp()) - 30 * 86400) * 1000000) THEN
    RAISE EXCEPTION 'events younger than 30 days stay';
  END IF;
  DELETE FROM event_personal WHERE event_id IN (SELECT event_id FROM event_leaf WHERE n >= NEW.n AND n < NEW.until);
  DELETE FROM event WHERE id IN (SELECT event_id FROM event_leaf WHERE n >= NEW.n AND n < NEW.until);
  RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER event_retire AFTER INSERT ON event_retired FOR EACH ROW EXECUTE FUNCTION event_retire();
