DROP INDEX idx_seats_list;
