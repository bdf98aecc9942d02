-- +goose Up

-- How often what happened within each hour: written with the leaves of the log, so
-- that each event counts once. Levels, such as of living sessions, are the last
-- that was counted in the hour.
CREATE TABLE event_figure (
  hour BIGINT NOT NULL,                -- since 1970
  name TEXT    NOT NULL,                -- an event's kind, or a level's name
  n    BIGINT NOT NULL,
  PRIMARY KEY (hour, name)
);
