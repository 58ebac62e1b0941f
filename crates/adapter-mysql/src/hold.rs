//! Taking seats: many in one transaction, or one by itself.
//!
//! Whoever changes a reservation has changed or locked its seat before: see `reservation.rs`.

use std::collections::{HashMap, HashSet};

use concert_domain::reservation::{Hold, PRICE_CHANGED, Reservation};
use concert_domain::{Error, SeatId};
use diesel::QueryableByName;
use diesel::sql_types::BigInt;

use crate::error::{Fault, Run};
use crate::group::{Plan, Verdict, all};
use crate::holders::{self, Holders};
use crate::idempotency::{Name, in_use, keep, keep_all, name_of};
use crate::sql::{Tx, sql};

/// How holds are made, many at once.
pub(crate) const HOLDS: Plan<Hold, Reservation> = Plan {
    name: "hold",
    together: |tx, holds| Box::pin(hold_all(tx, holds)),
    alone: |tx, hold| Box::pin(hold_one(tx, hold)),
    verify: |tx, hold| Box::pin(held_before(tx, &hold.reservation)),
};

async fn hold_all(tx: &mut Tx, holds: &[Hold]) -> Run<Vec<Verdict<Reservation>>> {
    let seats = lock_seats(tx, holds).await?;
    let claims = in_use(tx, holds.iter().filter_map(|hold| hold.claim.as_ref())).await?;
    let holders = Holders::of(tx, holds.iter()).await?;
    let verdicts = judge(holds, &seats, claims, holders);
    let won: Vec<&Hold> = holds
        .iter()
        .zip(&verdicts)
        .filter(|(_, verdict)| matches!(verdict, Verdict::Done(_)))
        .map(|(hold, _)| hold)
        .collect();
    if !won.is_empty() {
        apply_all(tx, &won, &seats).await?;
    }
    Ok(verdicts)
}

/// A seat whose row this transaction has.
#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    schedule_id: i64,
    #[diesel(sql_type = BigInt)]
    price: i64,
    #[diesel(sql_type = BigInt)]
    taken: i64,
    #[diesel(sql_type = BigInt)]
    ended: i64,
}

/// Locks the seats that nobody else has locked, in the order of their ids.
async fn lock_seats(tx: &mut Tx, holds: &[Hold]) -> Run<HashMap<i64, Locked>> {
    let mut ids: Vec<_> = holds.iter().map(|hold| hold.reservation.seat_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let locked: Vec<Locked> = sql("SELECT s.id, s.schedule_id, s.price,
             s.status = 'RESERVED' OR (s.status = 'TEMP_RESERVED' AND s.held_until > {now}) AS taken,
             s.status = 'TEMP_RESERVED' AND s.held_until <= {now} AS ended
         FROM JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$')) t
         STRAIGHT_JOIN seats s ON s.id = t.id FOR UPDATE OF s SKIP LOCKED")
    .json(&ids)?
    .rows(tx)
    .await?;
    Ok(locked.into_iter().map(|seat| (seat.id, seat)).collect())
}

/// Of those who want one seat the first has it. Who uses a key that has an answer already, or that
/// another one here uses, is judged alone: what counts is that answer.
fn judge<'a>(
    holds: &'a [Hold],
    seats: &HashMap<i64, Locked>,
    mut claims: HashSet<Name<'a>>,
    mut holders: Holders,
) -> Vec<Verdict<Reservation>> {
    let mut gone = HashSet::new();
    let verdict = |hold: &'a Hold| {
        let reservation = &hold.reservation;
        let Some(seat) = seats.get(&reservation.seat_id.get()) else { return Verdict::Alone };
        if seat.schedule_id != reservation.schedule_id.get() {
            return Verdict::Alone;
        }
        if seat.taken != 0 || gone.contains(&seat.id) {
            return Verdict::Refused(Error::SeatNotAvailable);
        }
        if seat.price != reservation.price.get() {
            return Verdict::Refused(PRICE_CHANGED);
        }
        if hold.claim.as_ref().is_some_and(|claim| !claims.insert(name_of(claim))) {
            return Verdict::Alone;
        }
        if !holders.admit(hold) {
            return Verdict::Refused(Error::HoldLimitExceeded);
        }
        gone.insert(seat.id);
        Verdict::Done(reservation.clone())
    };
    holds.iter().map(verdict).collect()
}

async fn apply_all(tx: &mut Tx, won: &[&Hold], seats: &HashMap<i64, Locked>) -> Run<()> {
    let wanted = won.iter().map(|hold| hold.reservation.seat_id.get());
    let ended: Vec<i64> = wanted.filter(|id| seats.get(id).is_some_and(|s| s.ended != 0)).collect();
    if !ended.is_empty() {
        expire_ended_holds_of(tx, &ended).await?;
    }
    take_all(tx, won).await?;
    insert_all(tx, won).await?;
    holders::check(tx, won).await?;
    keep_all(tx, won.iter().map(|hold| (hold.claim.as_ref(), &hold.reservation))).await
}

async fn expire_ended_holds_of(tx: &mut Tx, seats: &[i64]) -> Run<()> {
    let expired = sql("UPDATE JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$')) t
         STRAIGHT_JOIN reservations r ON r.live_seat_id = t.id
         SET r.status = 'EXPIRED' WHERE r.status = 'PENDING' AND r.expires_at <= {now}")
    .json(seats)?
    .run(tx)
    .await?;
    all(expired, seats.len(), "ended holds")
}

/// The guard is the one of a single hold, although the rows are locked and were judged.
async fn take_all(tx: &mut Tx, won: &[&Hold]) -> Run<()> {
    let rows: Vec<_> = won
        .iter()
        .map(|hold| &hold.reservation)
        .map(|r| (r.seat_id, r.schedule_id, r.price, r.id, r.expires_at.as_millis()))
        .collect();
    let taken = sql("UPDATE JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$[0]',
             schedule_id BIGINT PATH '$[1]', price BIGINT PATH '$[2]',
             reservation_id BIGINT PATH '$[3]', held_until BIGINT PATH '$[4]')) t STRAIGHT_JOIN seats s ON s.id = t.id
         SET s.status = 'TEMP_RESERVED', s.reservation_id = t.reservation_id,
             s.held_until = t.held_until
         WHERE s.schedule_id = t.schedule_id AND s.price = t.price AND (s.status = 'AVAILABLE'
             OR (s.status = 'TEMP_RESERVED' AND s.held_until <= {now}))")
    .json(&rows)?
    .run(tx)
    .await?;
    all(taken, rows.len(), "seats to be taken")
}

async fn insert_all(tx: &mut Tx, won: &[&Hold]) -> Run<()> {
    let rows: Vec<_> = won
        .iter()
        .map(|hold| &hold.reservation)
        .map(|r| {
            let (created, expires) = (r.created_at.as_millis(), r.expires_at.as_millis());
            (r.id, r.user_id, r.concert_id, r.schedule_id, r.seat_id, r.price, created, expires)
        })
        .collect();
    let inserted = sql(
        "INSERT INTO reservations (id, user_id, concert_id, schedule_id, seat_id, price, status,
                                   created_at, expires_at)
         SELECT t.id, t.user_id, t.concert_id, t.schedule_id, t.seat_id, t.price, 'PENDING',
             t.created_at, t.expires_at
         FROM JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$[0]', user_id BIGINT PATH '$[1]',
             concert_id BIGINT PATH '$[2]', schedule_id BIGINT PATH '$[3]',
             seat_id BIGINT PATH '$[4]', price BIGINT PATH '$[5]',
             created_at BIGINT PATH '$[6]', expires_at BIGINT PATH '$[7]')) t",
    )
    .json(&rows)?
    .run(tx)
    .await?;
    all(inserted, rows.len(), "reservations")
}

/// How a seat can be had.
#[derive(Clone, Copy)]
enum Chance {
    Free,
    /// From a hold that has ended and that nobody has tidied.
    Ended,
}

async fn chance(tx: &mut Tx, seat: SeatId) -> Run<Chance> {
    let state = sql("SELECT CASE WHEN status = 'AVAILABLE' THEN 1
             WHEN status = 'TEMP_RESERVED' AND held_until <= {now} THEN 2 ELSE 3 END AS n
         FROM seats WHERE id = ?")
    .int(seat)
    .count(tx)
    .await?;
    match state {
        0 => Err(Error::SeatNotFound.into()),
        1 => Ok(Chance::Free),
        2 => Ok(Chance::Ended),
        _ => Err(Error::SeatNotAvailable.into()),
    }
}

/// A look first: of a crowd around one seat almost all are refused by it without a lock. Then the
/// seat decides: one conditional update, and its affected rows are the verdict.
async fn hold_one(tx: &mut Tx, hold: &Hold) -> Run<Reservation> {
    let reservation = &hold.reservation;
    let chance = chance(tx, reservation.seat_id).await?;
    if !Holders::of(tx, std::iter::once(hold)).await?.admit(hold) {
        return Err(Error::HoldLimitExceeded.into());
    }
    let take = match chance {
        Chance::Free => {
            "UPDATE seats SET status = 'TEMP_RESERVED', reservation_id = ?, held_until = ?
             WHERE id = ? AND schedule_id = ? AND price = ? AND status = 'AVAILABLE'"
        }
        // The second of two callers finds a hold that has not ended, and matches nothing.
        Chance::Ended => {
            "UPDATE seats SET status = 'TEMP_RESERVED', reservation_id = ?, held_until = ?
             WHERE id = ? AND schedule_id = ? AND price = ? AND (status = 'AVAILABLE'
                 OR (status = 'TEMP_RESERVED' AND held_until <= {now}))"
        }
    };
    let taken = sql(take)
        .int(reservation.id)
        .time(reservation.expires_at)
        .int(reservation.seat_id)
        .int(reservation.schedule_id)
        .int(reservation.price)
        .run(tx)
        .await?;
    if taken == 0 {
        return Err(why_not_taken(tx, reservation).await?.into());
    }
    if matches!(chance, Chance::Ended) {
        expire_ended_hold_of(tx, reservation.seat_id).await?;
    }
    insert(tx, reservation).await?;
    holders::check(tx, &[hold]).await?;
    keep(tx, hold.claim.as_ref(), reservation).await?;
    Ok(reservation.clone())
}

async fn why_not_taken(tx: &mut Tx, reservation: &Reservation) -> Run<Error> {
    let found = sql("SELECT CASE WHEN price = ? THEN 1 ELSE 2 END AS n FROM seats WHERE id = ?")
        .int(reservation.price)
        .int(reservation.seat_id)
        .count(tx)
        .await?;
    Ok(match found {
        0 => Error::SeatNotFound,
        1 => Error::SeatNotAvailable,
        _ => PRICE_CHANGED,
    })
}

/// The hold whose seat is being taken over has ended; the sweeper was not needed for that.
async fn expire_ended_hold_of(tx: &mut Tx, seat: SeatId) -> Run<()> {
    sql("UPDATE reservations SET status = 'EXPIRED'
         WHERE live_seat_id = ? AND status = 'PENDING' AND expires_at <= {now}")
    .int(seat)
    .run(tx)
    .await?;
    Ok(())
}

async fn insert(tx: &mut Tx, reservation: &Reservation) -> Run<()> {
    let inserted = sql(
        "INSERT INTO reservations (id, user_id, concert_id, schedule_id, seat_id, price, status,
                                   created_at, expires_at)
         VALUES (?, ?, ?, ?, ?, ?, 'PENDING', ?, ?)",
    )
    .int(reservation.id)
    .int(reservation.user_id)
    .int(reservation.concert_id)
    .int(reservation.schedule_id)
    .int(reservation.seat_id)
    .int(reservation.price)
    .time(reservation.created_at)
    .time(reservation.expires_at)
    .run(tx)
    .await;
    match inserted {
        Err(Fault::Duplicate(key)) if key.ends_with("uq_reservations_live_seat") => {
            // The net below the conditional update: a second live owner was about to be written.
            metrics::counter!("concert_double_sales_prevented_total").increment(1);
            tracing::error!(seat = %reservation.seat_id, "the unique key of a seat's owner fired");
            Err(Error::bug("a seat was free while a reservation owned it").into())
        }
        other => other.map(drop),
    }
}

/// The reservation, if the hold that wrote it was committed.
async fn held_before(tx: &mut Tx, reservation: &Reservation) -> Run<Option<Reservation>> {
    let held = sql("SELECT COUNT(*) AS n FROM reservations WHERE id = ?").int(reservation.id);
    Ok((held.count(tx).await? == 1).then(|| reservation.clone()))
}
