-- MySQL knows no ADD COLUMN IF NOT EXISTS. What was cut off before it was noted is to be repeatable.
-- Releases before this one neither read nor write the column.
SET @change = IF(
    (SELECT COUNT(*) FROM information_schema.columns
     WHERE table_schema = DATABASE() AND table_name = 'dead_letters' AND column_name = 'headers') = 0,
    'ALTER TABLE dead_letters ADD COLUMN headers TEXT, ALGORITHM = INSTANT',
    'DO 0');
PREPARE add_headers FROM @change;
EXECUTE add_headers;
DEALLOCATE PREPARE add_headers;
