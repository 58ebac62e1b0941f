-- name says what the row is for (an event's id, a dead letter, a replay) and makes it unique.
-- idx_outbox_published also finds what is not published, in order; idx_outbox_key finds the earlier
-- rows of a key.
CREATE TABLE IF NOT EXISTS outbox (
    sequence BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name VARCHAR(255) NOT NULL,
    topic VARCHAR(200) NOT NULL,
    record_key VARCHAR(700) NOT NULL,
    value MEDIUMBLOB NOT NULL,
    created_at BIGINT NOT NULL,
    owner VARCHAR(200),
    lease_until BIGINT,
    published_at BIGINT,
    UNIQUE KEY uq_outbox_name (name),
    KEY idx_outbox_published (published_at, sequence),
    KEY idx_outbox_key (record_key, sequence),
    KEY idx_outbox_owner (owner)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin;
