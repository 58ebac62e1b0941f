CREATE TABLE IF NOT EXISTS dead_letters (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    consumer_group VARCHAR(100) NOT NULL,
    topic VARCHAR(200) NOT NULL,
    part BIGINT NOT NULL,
    log_offset BIGINT NOT NULL,
    record_key TEXT NOT NULL,
    value MEDIUMBLOB NOT NULL,
    reason TEXT NOT NULL,
    died_at BIGINT NOT NULL,
    replayed_at BIGINT,
    UNIQUE KEY uq_dead_letters_place (consumer_group, topic, part, log_offset)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin;
