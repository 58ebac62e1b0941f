ALTER TABLE reservations DROP INDEX idx_reservations_status_expires,
    ADD INDEX idx_reservations_status_expires (status, expires_at);
