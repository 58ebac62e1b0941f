ALTER TABLE dead_letters DROP COLUMN headers;
ALTER TABLE event_log DROP COLUMN headers;
ALTER TABLE outbox DROP COLUMN headers;
