CREATE TABLE IF NOT EXISTS payments (
    id BIGINT NOT NULL PRIMARY KEY,
    reservation_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    status VARCHAR(16) NOT NULL,
    paid_at BIGINT NOT NULL,
    refunded_at BIGINT,
    UNIQUE KEY idx_payments_reservation_id (reservation_id),
    KEY idx_payments_user_id (user_id, paid_at, id),
    CONSTRAINT fk_payments_reservation FOREIGN KEY (reservation_id) REFERENCES reservations (id),
    CHECK (amount > 0),
    CHECK (status IN ('COMPLETED', 'REFUNDED')),
    CHECK ((status = 'REFUNDED') = (refunded_at IS NOT NULL))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin;
