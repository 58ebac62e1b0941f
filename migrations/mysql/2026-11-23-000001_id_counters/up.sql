-- One statement a file: MySQL commits each by itself. IF NOT EXISTS, so that a run that died between
-- a statement and its mark can be repeated.
-- Times are milliseconds since 1970 in UTC, money is whole won, ids come from this table.
CREATE TABLE IF NOT EXISTS id_counters (
    kind VARCHAR(32) NOT NULL PRIMARY KEY,
    next BIGINT NOT NULL,
    CHECK (next >= 1)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin;
