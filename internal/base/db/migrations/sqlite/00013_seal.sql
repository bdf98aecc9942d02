-- +goose Up

-- The sealed log: how many events are in the Merkle tree, and its root. All
-- transactions before from_tx are over, and their events are sealed.
CREATE TABLE event_head (
  one     INTEGER PRIMARY KEY CHECK (one = 1),
  size    INTEGER NOT NULL,
  root    BLOB    NOT NULL,
  from_tx INTEGER NOT NULL
) STRICT;

-- The leaves of the tree, in the order in which they were sealed. They stay when
-- the event goes.
CREATE TABLE event_leaf (
  n        INTEGER PRIMARY KEY,
  event_id TEXT    NOT NULL UNIQUE,
  hash     BLOB    NOT NULL
) STRICT;

-- The hashes of the complete subtrees of 256, 65536, … leaves (levels 8, 16, …):
-- computed from the leaves, and could be again.
CREATE TABLE event_node (
  level INTEGER NOT NULL,
  n     INTEGER NOT NULL,
  hash  BLOB    NOT NULL,
  PRIMARY KEY (level, n)
) STRICT, WITHOUT ROWID;

-- Signed statements of the tree's size and root.
CREATE TABLE event_checkpoint (
  origin INTEGER NOT NULL,
  size   INTEGER NOT NULL,
  time   INTEGER NOT NULL,
  note   TEXT    NOT NULL,
  PRIMARY KEY (origin, size)
) STRICT, WITHOUT ROWID;

-- Who signs: a log has one origin and one key, until an operator begins anew.
CREATE TABLE event_origin (
  n        INTEGER PRIMARY KEY,
  name     TEXT    NOT NULL,
  verifier TEXT    NOT NULL,          -- the public key, as in a signed note
  size     INTEGER NOT NULL,          -- of the log when it began
  time     INTEGER NOT NULL
) STRICT;

-- Events whose personal part was erased. What the event's hash holds of it stays,
-- so that the event still verifies.
CREATE TABLE event_erased (
  event_id   TEXT    PRIMARY KEY,
  commitment TEXT    NOT NULL,
  time       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Ranges of leaves whose events were deleted for their age, and the event that
-- says so.
CREATE TABLE event_retired (
  n        INTEGER PRIMARY KEY,       -- the first leaf
  until    INTEGER NOT NULL,          -- the one after the last
  event_id TEXT    NOT NULL,
  time     INTEGER NOT NULL
) STRICT;

-- How far the events have been sent to each place: the next leaf.
CREATE TABLE event_forward (
  name TEXT    PRIMARY KEY,
  n    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO event_head (one, size, root, from_tx)
  VALUES (1, 0, x'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', 0);

-- +goose StatementBegin
DROP TRIGGER event_no_delete;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER event_no_delete BEFORE DELETE ON event
WHEN NOT EXISTS (SELECT 1 FROM event_leaf AS l JOIN event_retired AS r ON l.n >= r.n AND l.n < r.until WHERE l.event_id = OLD.id)
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER event_leaf_no_update BEFORE UPDATE ON event_leaf BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER event_leaf_no_delete BEFORE DELETE ON event_leaf BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER event_origin_no_update BEFORE UPDATE ON event_origin BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER event_origin_no_delete BEFORE DELETE ON event_origin BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER event_erased_no_update BEFORE UPDATE ON event_erased BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER event_erased_no_delete BEFORE DELETE ON event_erased BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER event_retired_no_update BEFORE UPDATE ON event_retired BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER event_retired_no_delete BEFORE DELETE ON event_retired BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
-- +goose StatementEnd

-- Who inserts here erases.
-- +goose StatementBegin
CREATE TRIGGER event_erase AFTER INSERT ON event_erased
BEGIN DELETE FROM event_personal WHERE event_id = NEW.event_id; END;
-- +goose StatementEnd

-- Who inserts here deletes, and only what is older than 30 days.
-- +goose StatementBegin
CREATE TRIGGER event_retire AFTER INSERT ON event_retired
BEGIN
  SELECT RAISE(ABORT, 'events younger than 30 days stay') WHERE EXISTS (SELECT 1 FROM event_leaf AS l JOIN event AS e ON e.id = l.event_id
    WHERE l.n >= NEW.n AND l.n < NEW.until AND e.time > (CAST(strftime('%s', 'now') AS INTEGER) - 30 * 86400) * 1000000);
  DELETE FROM event_personal WHERE event_id IN (SELECT event_id FROM event_leaf WHERE n >= NEW.n AND n < NEW.until);
  DELETE FROM event WHERE id IN (SELECT event_id FROM event_leaf WHERE n >= NEW.n AND n < NEW.until);
END;
-- +goose StatementEnd
