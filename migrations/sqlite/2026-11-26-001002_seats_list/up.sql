-- All that a list of seats says, in its order: read without the table itself.
CREATE INDEX idx_seats_list ON seats (schedule_id, number, price, status, held_until);
