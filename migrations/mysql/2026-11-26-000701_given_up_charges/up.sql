-- given_up_at: from then on the charge can only be declined. looked_at: when the reconciler last asked.
-- Releases before this one neither read nor write them.
-- MySQL knows no ADD COLUMN IF NOT EXISTS. What was cut off before it was noted is to be repeatable.
SET @change = IF(
    (SELECT COUNT(*) FROM information_schema.columns
     WHERE table_schema = DATABASE() AND table_name = 'charge_intents'
       AND column_name = 'given_up_at') = 0,
    'ALTER TABLE charge_intents ADD COLUMN given_up_at BIGINT, ADD COLUMN looked_at BIGINT, ALGORITHM = INSTANT',
    'DO 0');
PREPARE add_columns FROM @change;
EXECUTE add_columns;
DEALLOCATE PREPARE add_columns;
