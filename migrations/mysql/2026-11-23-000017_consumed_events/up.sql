-- The events whose effects a group has had: one that was published twice lies at two offsets.
CREATE TABLE IF NOT EXISTS consumed_events (
    consumer_group VARCHAR(100) NOT NULL,
    event_id VARCHAR(255) NOT NULL,
    PRIMARY KEY (consumer_group, event_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin;
