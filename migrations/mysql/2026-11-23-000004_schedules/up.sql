CREATE TABLE IF NOT EXISTS schedules (
    id BIGINT NOT NULL PRIMARY KEY,
    concert_id BIGINT NOT NULL,
    starts_at BIGINT NOT NULL,
    reservation_opens_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    KEY idx_schedules_concert_starts (concert_id, starts_at, id),
    CONSTRAINT fk_schedules_concert FOREIGN KEY (concert_id) REFERENCES concerts (id),
    CHECK (reservation_opens_at <= starts_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin;
