-- Secrets that all instances share; today the key that queue tokens are sealed with. Releases before
-- this one neither read nor write it.
CREATE TABLE IF NOT EXISTS secrets (
    name VARCHAR(32) NOT NULL PRIMARY KEY,
    value VARBINARY(64) NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin;
