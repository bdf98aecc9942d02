-- +goose Up

-- Nothing is erased before the event that states it is sealed.
DROP TRIGGER event_erase_stated;
-- +goose StatementBegin
CREATE TRIGGER event_erase_stated AFTER INSERT ON event_erasure
BEGIN
  SELECT RAISE(ABORT, 'no sealed event states this erasure') WHERE NOT EXISTS (SELECT 1 FROM event_leaf AS l WHERE l.event_id = NEW.statement)
    OR NOT EXISTS (
    SELECT 1 FROM event AS e JOIN event_personal AS p ON p.event_id = e.id
    WHERE e.id = NEW.statement AND e.kind = 'events_erased' AND json_extract(p.data, '$.detail.count') = json_array_length(NEW.parts))
    OR EXISTS (SELECT 1 FROM json_each(NEW.parts) AS x
      WHERE NOT EXISTS (SELECT 1 FROM event_personal AS q WHERE q.event_id = json_extract(x.value, '$[0]') AND q.person <> ''));
  INSERT INTO event_erased (event_id, commitment, time, statement)
    SELECT json_extract(x.value, '$[0]'), json_extract(x.value, '$[1]'), NEW.time, NEW.statement FROM json_each(NEW.parts) AS x;
END;
-- +goose StatementEnd
