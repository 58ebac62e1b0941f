-- live_seat_id and its unique key are the net below the conditional update of the seat: it should
-- never fire.
CREATE TABLE IF NOT EXISTS reservations (
    id BIGINT NOT NULL PRIMARY KEY,
    user_id BIGINT NOT NULL,
    concert_id BIGINT NOT NULL,
    schedule_id BIGINT NOT NULL,
    seat_id BIGINT NOT NULL,
    price BIGINT NOT NULL,
    status VARCHAR(16) NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    live_seat_id BIGINT GENERATED ALWAYS AS
        (CASE WHEN status IN ('PENDING', 'CONFIRMED') THEN seat_id END) STORED,
    UNIQUE KEY uq_reservations_live_seat (live_seat_id),
    KEY idx_reservations_status_expires (status, expires_at),
    KEY idx_reservations_user (user_id, created_at, id),
    CHECK (price > 0),
    CHECK (status IN ('PENDING', 'CONFIRMED', 'EXPIRED', 'CANCELLED'))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin;
