-- pending is the room that open charge intents keep free.
CREATE TABLE IF NOT EXISTS point_accounts (
    user_id BIGINT NOT NULL PRIMARY KEY,
    balance BIGINT NOT NULL,
    pending BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    CHECK (balance >= 0),
    CHECK (pending >= 0),
    CHECK (balance + pending <= 1000000)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin;
