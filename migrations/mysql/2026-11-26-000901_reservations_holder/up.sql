-- How many seats a user holds is asked with every hold, and must not cost more for who has a history.
-- MySQL knows no CREATE INDEX IF NOT EXISTS. What was cut off before it was noted is to be repeatable.
SET @change = IF(
    (SELECT COUNT(*) FROM information_schema.statistics
     WHERE table_schema = DATABASE() AND table_name = 'reservations'
       AND index_name = 'idx_reservations_holder') = 0,
    'CREATE INDEX idx_reservations_holder
         ON reservations (user_id, concert_id, status, expires_at) ALGORITHM = INPLACE LOCK = NONE',
    'DO 0');
PREPARE add_holder FROM @change;
EXECUTE add_holder;
DEALLOCATE PREPARE add_holder;
