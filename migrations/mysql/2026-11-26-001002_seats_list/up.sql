-- All that a list of seats says, in its order: read without the table itself.
-- MySQL knows no CREATE INDEX IF NOT EXISTS. What was cut off before it was noted is to be repeatable.
SET @change = IF(
    (SELECT COUNT(*) FROM information_schema.statistics
     WHERE table_schema = DATABASE() AND table_name = 'seats' AND index_name = 'idx_seats_list') = 0,
    'ALTER TABLE seats ADD INDEX idx_seats_list (schedule_id, number, price, status, held_until), ALGORITHM = INPLACE, LOCK = NONE',
    'DO 0');
PREPARE add_index FROM @change;
EXECUTE add_index;
DEALLOCATE PREPARE add_index;
