-- Times are milliseconds since 1970 in UTC, money is whole won, ids come from id_counters.

CREATE TABLE id_counters (
    kind TEXT NOT NULL PRIMARY KEY,
    next INTEGER NOT NULL CHECK (next >= 1)
) WITHOUT ROWID;

CREATE TABLE users (
    id INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL
);

-- The catalogue -----------------------------------------------------------------------------

CREATE TABLE concerts (
    id INTEGER NOT NULL PRIMARY KEY,
    title TEXT NOT NULL,
    description TEXT,
    version INTEGER NOT NULL
);

CREATE TABLE schedules (
    id INTEGER NOT NULL PRIMARY KEY,
    concert_id INTEGER NOT NULL REFERENCES concerts (id),
    starts_at INTEGER NOT NULL,
    reservation_opens_at INTEGER NOT NULL CHECK (reservation_opens_at <= starts_at),
    version INTEGER NOT NULL
);
CREATE INDEX idx_schedules_concert_starts ON schedules (concert_id, starts_at, id);

-- A seat names its reservation and the reservation names its seat; every change is guarded by both.
CREATE TABLE seats (
    id INTEGER NOT NULL PRIMARY KEY,
    schedule_id INTEGER NOT NULL REFERENCES schedules (id),
    number INTEGER NOT NULL,
    price INTEGER NOT NULL CHECK (price > 0),
    status TEXT NOT NULL CHECK (status IN ('AVAILABLE', 'TEMP_RESERVED', 'RESERVED')),
    reservation_id INTEGER,
    held_until INTEGER,
    CHECK ((status = 'AVAILABLE') = (reservation_id IS NULL)),
    CHECK ((status = 'TEMP_RESERVED') = (held_until IS NOT NULL))
);
CREATE UNIQUE INDEX uq_seats_schedule_number ON seats (schedule_id, number);
CREATE INDEX idx_seats_schedule_status ON seats (schedule_id, status, held_until);

-- Buying ------------------------------------------------------------------------------------

CREATE TABLE reservations (
    id INTEGER NOT NULL PRIMARY KEY,
    user_id INTEGER NOT NULL,
    concert_id INTEGER NOT NULL,
    schedule_id INTEGER NOT NULL,
    seat_id INTEGER NOT NULL,
    price INTEGER NOT NULL CHECK (price > 0),
    status TEXT NOT NULL CHECK (status IN ('PENDING', 'CONFIRMED', 'EXPIRED', 'CANCELLED')),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
);
-- The net below the conditional update of the seat: it should never fire.
CREATE UNIQUE INDEX uq_reservations_live_seat ON reservations (seat_id)
    WHERE status IN ('PENDING', 'CONFIRMED');
CREATE INDEX idx_reservations_status_expires ON reservations (status, expires_at);
CREATE INDEX idx_reservations_user ON reservations (user_id, created_at, id);

CREATE TABLE payments (
    id INTEGER NOT NULL PRIMARY KEY,
    reservation_id INTEGER NOT NULL REFERENCES reservations (id),
    user_id INTEGER NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    status TEXT NOT NULL CHECK (status IN ('COMPLETED', 'REFUNDED')),
    paid_at INTEGER NOT NULL,
    refunded_at INTEGER,
    CHECK ((status = 'REFUNDED') = (refunded_at IS NOT NULL))
);
CREATE UNIQUE INDEX idx_payments_reservation_id ON payments (reservation_id);
CREATE INDEX idx_payments_user_id ON payments (user_id, paid_at, id);

-- pending is the room that open charge intents keep free.
CREATE TABLE point_accounts (
    user_id INTEGER NOT NULL PRIMARY KEY,
    balance INTEGER NOT NULL CHECK (balance >= 0),
    pending INTEGER NOT NULL CHECK (pending >= 0),
    sequence INTEGER NOT NULL,
    CHECK (balance + pending <= 1000000)
);

CREATE TABLE point_ledger (
    id INTEGER NOT NULL PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES point_accounts (user_id),
    sequence INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('CHARGE', 'USE', 'REFUND')),
    amount INTEGER NOT NULL CHECK ((kind = 'USE') = (amount < 0)),
    balance_after INTEGER NOT NULL CHECK (balance_after >= 0),
    created_at INTEGER NOT NULL,
    payment_id INTEGER
);
CREATE UNIQUE INDEX uq_point_ledger_user_sequence ON point_ledger (user_id, sequence);

CREATE TABLE charge_intents (
    id INTEGER NOT NULL PRIMARY KEY,
    user_id INTEGER NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    method TEXT NOT NULL CHECK (method IN ('CARD', 'TRANSFER')),
    detail TEXT,
    status TEXT NOT NULL CHECK (status IN ('PENDING', 'APPROVED', 'DECLINED')),
    created_at INTEGER NOT NULL,
    settled_at INTEGER,
    route TEXT,
    idempotency_key TEXT,
    fingerprint BLOB
);
CREATE UNIQUE INDEX uq_charge_intents_open_key ON charge_intents (user_id, route, idempotency_key)
    WHERE status = 'PENDING';
CREATE INDEX idx_charge_intents_status_created ON charge_intents (status, created_at);

CREATE TABLE idempotency_keys (
    user_id INTEGER NOT NULL,
    route TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    answer TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, route, idempotency_key)
) WITHOUT ROWID;
CREATE INDEX idx_idempotency_keys_created ON idempotency_keys (created_at);

-- Events ------------------------------------------------------------------------------------

-- name says what the row is for (an event's id, a dead letter, a replay) and makes it unique.
CREATE TABLE outbox (
    sequence INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    topic TEXT NOT NULL,
    record_key TEXT NOT NULL,
    value BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    owner TEXT,
    lease_until INTEGER,
    published_at INTEGER
);
CREATE INDEX idx_outbox_pending ON outbox (sequence) WHERE published_at IS NULL;
-- Only what relays have claimed and not yet published: which keys a claim must leave alone.
CREATE INDEX idx_outbox_claimed ON outbox (record_key, sequence)
    WHERE published_at IS NULL AND owner IS NOT NULL;
CREATE INDEX idx_outbox_published ON outbox (published_at) WHERE published_at IS NOT NULL;

CREATE TABLE event_log (
    topic TEXT NOT NULL,
    part INTEGER NOT NULL,
    log_offset INTEGER NOT NULL,
    record_key TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (topic, part, log_offset)
) WITHOUT ROWID;

CREATE TABLE consumer_members (
    consumer_group TEXT NOT NULL,
    topic TEXT NOT NULL,
    owner TEXT NOT NULL,
    lease_until INTEGER NOT NULL,
    PRIMARY KEY (consumer_group, topic, owner)
) WITHOUT ROWID;

CREATE TABLE consumer_partitions (
    consumer_group TEXT NOT NULL,
    topic TEXT NOT NULL,
    part INTEGER NOT NULL,
    owner TEXT,
    lease_until INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    PRIMARY KEY (consumer_group, topic, part)
) WITHOUT ROWID;

-- Which events have had their effect: a relay may publish one event twice.
CREATE TABLE consumed_events (
    consumer_group TEXT NOT NULL,
    event_id TEXT NOT NULL,
    PRIMARY KEY (consumer_group, event_id)
) WITHOUT ROWID;

CREATE TABLE dead_letters (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    consumer_group TEXT NOT NULL,
    topic TEXT NOT NULL,
    part INTEGER NOT NULL,
    log_offset INTEGER NOT NULL,
    record_key TEXT NOT NULL,
    value BLOB NOT NULL,
    reason TEXT NOT NULL,
    died_at INTEGER NOT NULL,
    replayed_at INTEGER
);
CREATE UNIQUE INDEX uq_dead_letters_place
    ON dead_letters (consumer_group, topic, part, log_offset);

-- What the payment consumer has added up.
CREATE TABLE concert_sales (
    concert_id INTEGER NOT NULL PRIMARY KEY,
    sold_seats INTEGER NOT NULL,
    sales INTEGER NOT NULL,
    last_sold_at INTEGER NOT NULL
);

-- The queue ---------------------------------------------------------------------------------

CREATE TABLE queue_policies (
    concert_id INTEGER NOT NULL PRIMARY KEY,
    mode TEXT NOT NULL CHECK (mode IN ('OPEN', 'HOLD', 'DRAIN')),
    active_limit INTEGER CHECK (active_limit >= 1),
    admissions_per_second INTEGER CHECK (admissions_per_second >= 1)
);

-- waiting, active: how many rows of queue_tokens have that status. rate_at: up to which instant, in
-- microseconds, the rate limit has been used.
CREATE TABLE queue_states (
    concert_id INTEGER NOT NULL PRIMARY KEY,
    last_sequence INTEGER NOT NULL,
    waiting INTEGER NOT NULL CHECK (waiting >= 0),
    active INTEGER NOT NULL CHECK (active >= 0),
    admitted INTEGER NOT NULL,
    pace REAL NOT NULL,
    pace_at INTEGER NOT NULL,
    rate_at INTEGER NOT NULL
);
CREATE INDEX idx_queue_states_live ON queue_states (concert_id) WHERE waiting > 0 OR active > 0;

-- deadline: of the wait while WAITING, of the claim or the stay while ACTIVE, of the memory of
-- the token while ENDED. claimed: the admitted user has made a request.
CREATE TABLE queue_tokens (
    digest BLOB NOT NULL PRIMARY KEY,
    token BLOB NOT NULL,
    concert_id INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('WAITING', 'ACTIVE', 'ENDED')),
    claimed INTEGER NOT NULL DEFAULT 0,
    admitted_at INTEGER,
    deadline INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX uq_queue_tokens_live_user ON queue_tokens (concert_id, user_id)
    WHERE status IN ('WAITING', 'ACTIVE');
CREATE INDEX idx_queue_tokens_waiting ON queue_tokens (concert_id, sequence)
    WHERE status = 'WAITING';
CREATE INDEX idx_queue_tokens_deadline ON queue_tokens (concert_id, status, deadline, sequence)
    WHERE status = 'WAITING' OR status = 'ACTIVE';
CREATE INDEX idx_queue_tokens_ended ON queue_tokens (deadline) WHERE status = 'ENDED';

-- How many wait, by sequence in buckets of 2^8 (level 1) and 2^16 (level 2): a rank is the sum of
-- a bounded number of rows, however long the queue is.
CREATE TABLE queue_counts (
    concert_id INTEGER NOT NULL,
    level INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    waiting INTEGER NOT NULL,
    PRIMARY KEY (concert_id, level, bucket)
) WITHOUT ROWID;
