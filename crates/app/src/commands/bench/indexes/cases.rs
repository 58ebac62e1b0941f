//! The queries, and which index each of the designs has for them.

use super::data::{Hall, PAID, USER};

/// An index that is measured; those of our schema are there already.
#[derive(Debug, Clone, Copy)]
pub(super) struct Index {
    pub table: &'static str,
    pub name: &'static str,
    /// Its columns, if it is made for the run.
    pub columns: Option<&'static str>,
}

const fn index(table: &'static str, name: &'static str) -> Index {
    Index { table, name, columns: None }
}

const fn made(table: &'static str, name: &'static str, columns: &'static str) -> Index {
    Index { table, name, columns: Some(columns) }
}

/// All that can be in the way of a scan, the primary keys left out.
pub(super) const INDEXES: [Index; 17] = [
    index("seats", "uq_seats_schedule_number"),
    index("seats", "idx_seats_schedule_status"),
    made("seats", "seed_seats_schedule_status", "schedule_id, status"),
    index("seats", "idx_seats_list"),
    index("reservations", "uq_reservations_live_seat"),
    index("reservations", "idx_reservations_status_expires"),
    made("reservations", "seed_reservations_status_expires", "status, expires_at"),
    index("reservations", "idx_reservations_holder"),
    index("reservations", "idx_reservations_user"),
    index("payments", "idx_payments_reservation_id"),
    index("payments", "idx_payments_user_id"),
    made("payments", "seed_payments_user_id", "user_id"),
    made("queue_tokens", "seed_queue_tokens_status_id", "status, id"),
    index("outbox", "uq_outbox_name"),
    index("outbox", "idx_outbox_published"),
    index("outbox", "idx_outbox_key"),
    index("outbox", "idx_outbox_owner"),
];

/// What the seed's page promises for a query.
#[derive(Debug, Clone, Copy)]
pub(super) struct Promise {
    pub millis: f64,
    pub ratio: f64,
}

/// A query and the index that each design has for it.
pub(super) struct Case {
    pub name: String,
    pub table: &'static str,
    pub text: &'static str,
    pub binds: Vec<i64>,
    pub seed: Option<&'static str>,
    pub ours: Option<&'static str>,
    pub covering: Option<&'static str>,
    pub promise: Option<Promise>,
}

/// What the queries ask for.
pub(super) struct Facts<'a> {
    pub halls: &'a [Hall],
    pub tokens: i64,
    /// The server's time, in milliseconds.
    pub now: i64,
}

impl Facts<'_> {
    /// The hall whose size is closest to this.
    fn hall(&self, seats: i64) -> Hall {
        let far = |hall: &&Hall| (hall.seats - seats).abs();
        self.halls.iter().min_by_key(far).copied().unwrap_or(Hall {
            schedule: 1,
            first_seat: 1,
            seats: 0,
        })
    }
}

const COUNT: &str =
    "SELECT COUNT(*) AS n FROM seats WHERE schedule_id = ? AND status = 'AVAILABLE'";
const BY_STATUSES: &str = "SELECT * FROM seats WHERE schedule_id = ?
    AND status IN ('AVAILABLE', 'TEMP_RESERVED')";
const DUE: &str = "SELECT * FROM reservations WHERE status = 'PENDING' AND expires_at < ?";
const OUR_DUE: &str =
    "SELECT id, seat_id FROM reservations WHERE status = 'PENDING' AND expires_at <= ?";
const SWEEP: &str = "SELECT id, seat_id FROM reservations WHERE status = 'PENDING'
    AND expires_at <= ? ORDER BY expires_at LIMIT 501";
const RANK: &str = "SELECT COUNT(*) AS n FROM queue_tokens WHERE status = 'WAITING' AND id < ?";
/// The name of the one that our queue has no table for.
pub(super) const RANK_CASE: &str = "rank of the last in the queue";
const OF_USER: &str = "SELECT * FROM payments WHERE user_id = ?
    ORDER BY paid_at DESC, id DESC LIMIT 21";
const OF_RESERVATION: &str = "SELECT * FROM payments WHERE reservation_id = ?";
const SEAT_LIST: &str = "SELECT id, number, price, status = 'RESERVED' AS sold, held_until
    FROM seats WHERE schedule_id = ? ORDER BY number LIMIT 50000";
const LEFT: &str = "SELECT
    (SELECT COUNT(*) FROM seats WHERE schedule_id = ? AND status = 'AVAILABLE')
    + (SELECT COUNT(*) FROM seats WHERE schedule_id = ?
       AND status = 'TEMP_RESERVED' AND held_until <= ?) AS n";
const CLAIM: &str = "SELECT sequence, topic, record_key, value FROM outbox
    WHERE published_at IS NULL AND (lease_until IS NULL OR lease_until <= ?)
    ORDER BY sequence LIMIT 100 FOR UPDATE SKIP LOCKED";
const RESERVATIONS: &str = "SELECT * FROM reservations WHERE user_id = ?
    ORDER BY created_at DESC, id DESC LIMIT 21";

/// Everything that is measured.
pub(super) fn cases(facts: &Facts<'_>) -> Vec<Case> {
    let [tiny, small, middle, large] = [500, 2_000, 10_000, 50_000].map(|seats| facts.hall(seats));
    let seed_seats = Some("seed_seats_schedule_status");
    let our_seats = Some("idx_seats_schedule_status");
    let seed_due = Some("seed_reservations_status_expires");
    let our_due = Some("idx_reservations_status_expires");
    let promise = |millis, ratio| Some(Promise { millis, ratio });
    let case = |name: String, table, text, binds| Case {
        name,
        table,
        text,
        binds,
        seed: None,
        ours: None,
        covering: None,
        promise: None,
    };
    let counted = |hall: Hall, promise| Case {
        seed: seed_seats,
        ours: our_seats,
        promise,
        ..case(
            format!("seats left, counted, hall of {}", hall.seats),
            "seats",
            COUNT,
            vec![hall.schedule],
        )
    };
    vec![
        counted(tiny, promise(0.29, 520.0)),
        counted(small, promise(0.29, 520.0)),
        counted(large, None),
        Case {
            seed: seed_seats,
            ours: our_seats,
            promise: promise(40.2, 4.8),
            ..case(
                format!("seats by two statuses, hall of {}", middle.seats),
                "seats",
                BY_STATUSES,
                vec![middle.schedule],
            )
        },
        Case {
            seed: seed_due,
            ours: our_due,
            promise: promise(16.3, 4.6),
            ..case("ended holds, whole".into(), "reservations", DUE, vec![facts.now])
        },
        Case {
            seed: seed_due,
            covering: our_due,
            promise: promise(16.3, 4.6),
            ..case(
                "ended holds, as our sweep reads them".into(),
                "reservations",
                OUR_DUE,
                vec![facts.now],
            )
        },
        Case {
            seed: seed_due,
            covering: our_due,
            ..case("our sweep: oldest 501".into(), "reservations", SWEEP, vec![facts.now])
        },
        Case {
            seed: Some("seed_queue_tokens_status_id"),
            ..case(RANK_CASE.into(), "queue_tokens", RANK, vec![facts.tokens])
        },
        Case {
            seed: Some("seed_payments_user_id"),
            ours: Some("idx_payments_user_id"),
            ..case("payments of a user, a page".into(), "payments", OF_USER, vec![USER])
        },
        Case {
            seed: Some("idx_payments_reservation_id"),
            ours: Some("idx_payments_reservation_id"),
            ..case("payment of a reservation".into(), "payments", OF_RESERVATION, vec![PAID])
        },
        Case {
            seed: seed_seats,
            ours: Some("uq_seats_schedule_number"),
            covering: Some("idx_seats_list"),
            ..case(
                format!("our seat list, hall of {}", small.seats),
                "seats",
                SEAT_LIST,
                vec![small.schedule],
            )
        },
        Case {
            seed: seed_seats,
            ours: Some("uq_seats_schedule_number"),
            covering: Some("idx_seats_list"),
            ..case(
                format!("our seat list, hall of {}", large.seats),
                "seats",
                SEAT_LIST,
                vec![large.schedule],
            )
        },
        Case {
            seed: seed_seats,
            ours: our_seats,
            ..case(
                format!("our seats left, ended holds too, hall of {}", large.seats),
                "seats",
                LEFT,
                vec![large.schedule, large.schedule, facts.now],
            )
        },
        Case {
            ours: Some("idx_outbox_published"),
            ..case("our claim of 100 events".into(), "outbox", CLAIM, vec![facts.now])
        },
        Case {
            ours: Some("idx_reservations_user"),
            ..case(
                "reservations of a user, a page".into(),
                "reservations",
                RESERVATIONS,
                vec![USER],
            )
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_its_binds_and_its_indexes() {
        let halls = super::super::data::halls(1_000_000);
        for case in cases(&Facts { halls: &halls, tokens: 10, now: 0 }) {
            assert_eq!(case.text.matches('?').count(), case.binds.len(), "{}", case.name);
            for name in [case.seed, case.ours, case.covering].into_iter().flatten() {
                let known = |index: &&Index| index.name == name && index.table == case.table;
                assert!(INDEXES.iter().any(|index| known(&index)), "{name}");
            }
        }
    }
}
