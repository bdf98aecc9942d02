-- +goose Up

-- Which event states an erasure; empty if it was before statements named what was
-- erased.
ALTER TABLE event_erased ADD COLUMN statement TEXT NOT NULL DEFAULT '';
CREATE INDEX event_erased_statement ON event_erased (statement);

-- Erasures: the event that states one, and the ids of the events whose personal part
-- goes, each with its commitment, as a JSON list of pairs.
CREATE TABLE event_erasure (
  statement TEXT    PRIMARY KEY,
  parts     TEXT    NOT NULL,
  time      INTEGER NOT NULL
) STRICT;
-- +goose StatementBegin
CREATE TRIGGER event_erasure_no_update BEFORE UPDATE ON event_erasure BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER event_erasure_no_delete BEFORE DELETE ON event_erasure BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
-- +goose StatementEnd

-- Who inserts here erases, and only what an event states by number; by hash, the code
-- does, and events verify. What nobody is named in, as in a statement itself, stays.
-- +goose StatementBegin
CREATE TRIGGER event_erase_stated AFTER INSERT ON event_erasure
BEGIN
  SELECT RAISE(ABORT, 'no event states this erasure') WHERE NOT EXISTS (
    SELECT 1 FROM event AS e JOIN event_personal AS p ON p.event_id = e.id
    WHERE e.id = NEW.statement AND e.kind = 'events_erased' AND json_extract(p.data, '$.detail.count') = json_array_length(NEW.parts))
    OR EXISTS (SELECT 1 FROM json_each(NEW.parts) AS x
      WHERE NOT EXISTS (SELECT 1 FROM event_personal AS q WHERE q.event_id = json_extract(x.value, '$[0]') AND q.person <> ''));
  INSERT INTO event_erased (event_id, commitment, time, statement)
    SELECT json_extract(x.value, '$[0]'), json_extract(x.value, '$[1]'), NEW.time, NEW.statement FROM json_each(NEW.parts) AS x;
END;
-- +goose StatementEnd
