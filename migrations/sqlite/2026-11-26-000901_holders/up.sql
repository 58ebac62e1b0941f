-- How many seats a user holds is asked with every hold, and must not cost more for who has a history.
CREATE INDEX idx_reservations_holder ON reservations (user_id, concert_id, status, expires_at);
