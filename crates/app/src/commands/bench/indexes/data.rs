//! Rows as a service that has run for a while has them, made by the server itself.

use anyhow::{Context, Result};
use concert_adapter_mysql::lab::Session;
use indicatif::ProgressBar;

/// Rows to a statement.
const CHUNK: i64 = 20_000;
/// One reservation for so many seats.
const SEATS_A_RESERVATION: i64 = 2;
/// The first seat's number.
const FIRST: i64 = 1;

/// How many seats the halls have, from the largest; repeated until all seats are placed.
const HALLS: [i64; 9] = [50_000, 20_000, 10_000, 5_000, 2_000, 1_000, 500, 200, 50];

/// A hall and its seats, whose ids run on from `first_seat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hall {
    pub schedule: i64,
    pub first_seat: i64,
    pub seats: i64,
}

/// Halls for so many seats: of every size, as long as one takes no more than a quarter of all.
pub(super) fn halls(seats: i64) -> Vec<Hall> {
    let mut halls = Vec::new();
    let mut placed = 0;
    let sizes = HALLS.iter().copied().filter(|size| *size <= (seats / 4).max(50)).cycle();
    for size in sizes {
        let left = seats - placed;
        if left == 0 {
            break;
        }
        let schedule = halls.len() as i64 + 1;
        halls.push(Hall { schedule, first_seat: FIRST + placed, seats: size.min(left) });
        placed += size.min(left);
    }
    halls
}

/// The user of that reservation and of some more, most of them paid.
pub(super) const USER: i64 = 11;
/// A reservation that was paid.
pub(super) const PAID: i64 = 10;

// Of a hundred reservations one is a hold that has ended and that nobody has tidied, five are held,
// forty are paid, the rest has expired or was cancelled.
const STATE: &str = "CASE WHEN r.k % 100 < 1 THEN 'ENDED' WHEN r.k % 100 < 6 THEN 'HELD'
    WHEN r.k % 100 < 46 THEN 'PAID' WHEN r.k % 100 < 80 THEN 'EXPIRED' ELSE 'CANCELLED' END";

// Holds that live, or did a minute ago, are the newest: their ids lie together, behind all others.
const NUMBER: &str = "CASE state WHEN 'ENDED' THEN 1000000000 + k WHEN 'HELD' THEN 2000000000 + k
    ELSE k END";

/// Fills the tables of the service, and the queue as a table.
pub(super) async fn fill(
    session: &mut Session,
    seats: i64,
    tokens: i64,
    bar: &ProgressBar,
) -> Result<Vec<Hall>> {
    let halls = halls(seats);
    session.batch("CREATE TABLE counted (n BIGINT PRIMARY KEY)").await?;
    let numbers = format!(
        "SET SESSION cte_max_recursion_depth = {CHUNK};
         INSERT INTO counted WITH RECURSIVE c AS
             (SELECT 0 AS n UNION ALL SELECT n + 1 FROM c WHERE n + 1 < {CHUNK}) SELECT n FROM c;
         SET @now = CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)"
    );
    session.batch(&numbers).await.context("numbers to make rows from")?;
    catalogue(session, &halls).await?;
    for hall in &halls {
        for (from, count) in pieces(hall.seats) {
            session.batch(&seat_rows(hall, from, count)).await.context("seats")?;
            session.batch(&reservation_rows(hall, from, count)).await.context("reservations")?;
            bar.inc(count as u64);
        }
    }
    payments(session).await?;
    queue(session, tokens, bar).await?;
    outbox(session, (seats / 10).max(100)).await?;
    session.batch("ANALYZE TABLE seats, reservations, payments, queue_tokens, outbox").await?;
    Ok(halls)
}

fn pieces(count: i64) -> impl Iterator<Item = (i64, i64)> {
    (0..count).step_by(CHUNK as usize).map(move |from| (from, CHUNK.min(count - from)))
}

async fn catalogue(session: &mut Session, halls: &[Hall]) -> Result<()> {
    let concerts = halls.len().div_ceil(9);
    for concert in 1..=concerts {
        session
            .batch(&format!(
                "INSERT INTO concerts VALUES ({concert}, 'Concert {concert}', NULL, 1)"
            ))
            .await?;
    }
    for hall in halls {
        // From shows that are over to shows in months.
        let (schedule, concert) = (hall.schedule, (hall.schedule - 1) / 9 + 1);
        let days = (schedule % 12) * 10 - 20;
        session
            .batch(&format!(
                "INSERT INTO schedules VALUES ({schedule}, {concert}, @now + {days} * 86400000,
                 @now + {days} * 86400000 - 2592000000, 1)"
            ))
            .await?;
    }
    Ok(())
}

/// The numbers of the seats `r.id` and reservations `r.k` of a piece of a hall.
fn source(hall: &Hall, from: i64, count: i64) -> String {
    let first = hall.first_seat + from;
    format!(
        "(SELECT n + {first} AS id, (n + {first}) DIV {SEATS_A_RESERVATION} AS k,
             (n + {first}) % {SEATS_A_RESERVATION} = 0 AS has, n + {from} + 1 AS number
         FROM counted WHERE n < {count}) r"
    )
}

fn seat_rows(hall: &Hall, from: i64, count: i64) -> String {
    let schedule = hall.schedule;
    let source = source(hall, from, count);
    format!(
        "INSERT INTO seats (id, schedule_id, number, price, status, reservation_id, held_until)
         SELECT id, {schedule}, number, CASE WHEN number % 5 = 0 THEN 150000 ELSE 80000 END,
             CASE WHEN NOT has THEN 'AVAILABLE' WHEN state IN ('ENDED', 'HELD') THEN 'TEMP_RESERVED'
                 WHEN state = 'PAID' THEN 'RESERVED' ELSE 'AVAILABLE' END,
             CASE WHEN has AND state IN ('ENDED', 'HELD', 'PAID') THEN {NUMBER} END,
             CASE WHEN has AND state = 'ENDED' THEN @now - 1000 - k % 60000
                 WHEN has AND state = 'HELD' THEN @now + 86400000 + k % 300000 END
         FROM (SELECT r.*, {STATE} AS state FROM {source}) s"
    )
}

fn reservation_rows(hall: &Hall, from: i64, count: i64) -> String {
    let schedule = hall.schedule;
    let source = source(hall, from, count);
    format!(
        "INSERT INTO reservations
             (id, user_id, concert_id, schedule_id, seat_id, price, status, created_at, expires_at)
         SELECT {NUMBER}, 1 + k % 50000, ({schedule} - 1) DIV 9 + 1, {schedule}, id,
             CASE WHEN number % 5 = 0 THEN 150000 ELSE 80000 END,
             CASE WHEN state IN ('ENDED', 'HELD') THEN 'PENDING' WHEN state = 'PAID'
                 THEN 'CONFIRMED' ELSE state END,
             @now - 400000 - k % 1000000,
             CASE WHEN state = 'ENDED' THEN @now - 1000 - k % 60000
                 WHEN state = 'HELD' THEN @now + 86400000 + k % 300000 ELSE @now - k % 1000000 END
         FROM (SELECT r.*, {STATE} AS state FROM {source}) s WHERE has"
    )
}

async fn payments(session: &mut Session) -> Result<()> {
    session
        .batch(
            "INSERT INTO payments SELECT id, id, user_id, price, 'COMPLETED', created_at + 1000, NULL
             FROM reservations WHERE status = 'CONFIRMED'",
        )
        .await
        .context("payments")
}

/// The seed keeps its queue in a table; ours is in Redis.
async fn queue(session: &mut Session, tokens: i64, bar: &ProgressBar) -> Result<()> {
    session
        .batch(
            "CREATE TABLE queue_tokens (id BIGINT NOT NULL PRIMARY KEY, user_id BIGINT NOT NULL,
             token CHAR(36) NOT NULL, status VARCHAR(16) NOT NULL, created_at BIGINT NOT NULL)",
        )
        .await?;
    for (from, count) in pieces(tokens) {
        let rows = format!(
            "INSERT INTO queue_tokens SELECT n + {from} + 1, n + {from} + 1, UUID(),
                 CASE WHEN n % 100 < 5 THEN 'EXPIRED' ELSE 'WAITING' END, @now + n
             FROM counted WHERE n < {count}"
        );
        session.batch(&rows).await.context("tokens")?;
        bar.inc(count as u64);
    }
    Ok(())
}

/// Almost all events are published.
async fn outbox(session: &mut Session, rows: i64) -> Result<()> {
    for (from, count) in pieces(rows) {
        let rows = format!(
            "INSERT INTO outbox (name, topic, record_key, value, created_at, published_at)
             SELECT CONCAT('event-', n + {from}), 'concert.payment.v1', CONCAT(n + {from}),
                 REPEAT('x', 300), @now, CASE WHEN n + {from} < {rows} - 100 THEN @now END
             FROM counted WHERE n < {count}"
        );
        session.batch(&rows).await.context("outbox")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halls_have_all_seats_and_follow_each_other() {
        for seats in [60, 1_000, 1_000_000] {
            let halls = halls(seats);
            assert_eq!(halls.iter().map(|hall| hall.seats).sum::<i64>(), seats);
            for pair in halls.windows(2) {
                assert_eq!(pair[0].first_seat + pair[0].seats, pair[1].first_seat);
                assert_eq!(pair[0].schedule + 1, pair[1].schedule);
            }
        }
        assert_eq!(halls(1_000_000)[0].seats, 50_000);
        assert_eq!(halls(1_000)[0].seats, 200);
    }

    #[test]
    fn pieces_cover_everything_once() {
        assert_eq!(pieces(CHUNK + 1).collect::<Vec<_>>(), [(0, CHUNK), (CHUNK, 1)]);
        assert_eq!(pieces(0).count(), 0);
    }
}
