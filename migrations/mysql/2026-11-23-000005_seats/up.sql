-- A seat names its reservation and the reservation names its seat; every change is guarded by both.
CREATE TABLE IF NOT EXISTS seats (
    id BIGINT NOT NULL PRIMARY KEY,
    schedule_id BIGINT NOT NULL,
    number BIGINT NOT NULL,
    price BIGINT NOT NULL,
    status VARCHAR(16) NOT NULL,
    reservation_id BIGINT,
    held_until BIGINT,
    UNIQUE KEY uq_seats_schedule_number (schedule_id, number),
    KEY idx_seats_schedule_status (schedule_id, status, held_until),
    CONSTRAINT fk_seats_schedule FOREIGN KEY (schedule_id) REFERENCES schedules (id),
    CHECK (price > 0),
    CHECK (status IN ('AVAILABLE', 'TEMP_RESERVED', 'RESERVED')),
    CHECK ((status = 'AVAILABLE') = (reservation_id IS NULL)),
    CHECK ((status = 'TEMP_RESERVED') = (held_until IS NOT NULL))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin;
