DROP INDEX idx_reservations_holder;
