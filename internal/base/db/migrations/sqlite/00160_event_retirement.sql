-- +goose Up

-- Retired ranges touch, so the last one says of every leaf whether its event may go. To
-- look for the range of each event took longer with each batch before.
DROP TRIGGER event_no_delete;
-- +goose StatementBegin
CREATE TRIGGER event_no_delete BEFORE DELETE ON event
WHEN COALESCE((SELECT l.n FROM event_leaf AS l WHERE l.event_id = OLD.id) < (SELECT r.until FROM event_retired AS r ORDER BY r.n DESC LIMIT 1), 0) = 0
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
-- +goose StatementEnd

-- Who inserts here deletes: only what a sealed event states, from where the last range
-- ended, and only what is older than 30 days.
DROP TRIGGER event_retire;
-- +goose StatementBegin
CREATE TRIGGER event_retire AFTER INSERT ON event_retired
BEGIN
  SELECT RAISE(ABORT, 'no sealed event states this retirement') WHERE NOT EXISTS (
    SELECT 1 FROM event AS e JOIN event_personal AS p ON p.event_id = e.id JOIN event_leaf AS l ON l.event_id = e.id
    WHERE e.id = NEW.event_id AND e.kind = 'events_retired' AND json_extract(p.data, '$.detail.until') >= NEW.until);
  SELECT RAISE(ABORT, 'retired ranges touch') WHERE NEW.until <= NEW.n
    OR NEW.n <> COALESCE((SELECT r.until FROM event_retired AS r WHERE r.n < NEW.n ORDER BY r.n DESC LIMIT 1), 0);
  SELECT RAISE(ABORT, 'events younger than 30 days stay') WHERE EXISTS (SELECT 1 FROM event_leaf AS l JOIN event AS e ON e.id = l.event_id
    WHERE l.n >= NEW.n AND l.n < NEW.until AND e.time > (CAST(strftime('%s', 'now') AS INTEGER) - 30 * 86400) * 1000000);
  DELETE FROM event_personal WHERE event_id IN (SELECT event_id FROM event_leaf WHERE n >= NEW.n AND n < NEW.until);
  DELETE FROM event WHERE id IN (SELECT event_id FROM event_leaf WHERE n >= NEW.n AND n < NEW.until);
END;
-- +goose StatementEnd
