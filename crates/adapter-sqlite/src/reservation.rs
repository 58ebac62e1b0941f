use async_trait::async_trait;
use concert_domain::concert::SeatLocation;
use concert_domain::reservation::{
    Hold, PRICE_CHANGED, Reservation, ReservationStatus, ReservationStore, Swept,
};
use concert_domain::{
    Applied, Cursor, Error, Page, PageRequest, ReservationId, Result, SeatId, Seen, Timestamp,
    UserId,
};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Text};

use crate::Sqlite;
use crate::db::{Tx, in_savepoint};
use crate::idempotency::{keep, replayed};
use crate::sql::{sql, typed, unknown_word};

#[async_trait]
impl ReservationStore for Sqlite {
    async fn hold(&self, hold: Hold) -> Result<Applied<Reservation>> {
        self.write(move |tx| apply_hold(tx, hold)).await
    }

    async fn find(&self, id: ReservationId) -> Result<Option<Seen<Reservation>>> {
        self.read(move |tx| {
            let found = find(tx, id)?;
            Ok(found.map(|value| Seen { now: tx.now, value }))
        })
        .await
    }

    async fn list(&self, user: UserId, page: PageRequest) -> Result<Page<Reservation>> {
        self.read(move |tx| list(tx, user, page)).await
    }

    async fn cancel(&self, id: ReservationId, user: UserId) -> Result<bool> {
        self.write(move |tx| cancel(tx, id, user)).await
    }

    async fn sweep(&self, limit: u32) -> Result<Swept> {
        let due = self.read(move |tx| due(tx, limit)).await?;
        if due.is_empty() {
            return Ok(Swept::default());
        }
        self.write(move |tx| Ok(sweep(tx, due, limit))).await
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    user_id: i64,
    #[diesel(sql_type = BigInt)]
    concert_id: i64,
    #[diesel(sql_type = BigInt)]
    schedule_id: i64,
    #[diesel(sql_type = BigInt)]
    seat_id: i64,
    #[diesel(sql_type = BigInt)]
    price: i64,
    #[diesel(sql_type = Text)]
    status: String,
    #[diesel(sql_type = BigInt)]
    created_at: i64,
    #[diesel(sql_type = BigInt)]
    expires_at: i64,
}

impl Row {
    /// A pending hold past its time reads as expired, whether or not it was tidied.
    fn reservation(self, now: Timestamp) -> Result<Reservation> {
        let expires_at = Timestamp::from_millis(self.expires_at);
        let status = match self.status.as_str() {
            "PENDING" if expires_at <= now => ReservationStatus::Expired,
            "PENDING" => ReservationStatus::Pending,
            "CONFIRMED" => ReservationStatus::Confirmed,
            "EXPIRED" => ReservationStatus::Expired,
            "CANCELLED" => ReservationStatus::Cancelled,
            other => return Err(unknown_word("reservations.status", other)),
        };
        Ok(Reservation {
            id: typed("reservations.id", self.id)?,
            user_id: typed("reservations.user_id", self.user_id)?,
            concert_id: typed("reservations.concert_id", self.concert_id)?,
            schedule_id: typed("reservations.schedule_id", self.schedule_id)?,
            seat_id: typed("reservations.seat_id", self.seat_id)?,
            price: typed("reservations.price", self.price)?,
            status,
            created_at: Timestamp::from_millis(self.created_at),
            expires_at,
        })
    }
}

/// The seat decides: one conditional update, and its affected rows are the verdict.
fn apply_hold(tx: &mut Tx<'_>, hold: Hold) -> Result<Applied<Reservation>> {
    if let Some(before) = replayed(tx, hold.claim.as_ref())? {
        return Ok(before);
    }
    let reservation = hold.reservation;
    let taken = sql("UPDATE seats SET status = 'TEMP_RESERVED', reservation_id = ?, held_until = ?
         WHERE id = ? AND schedule_id = ? AND price = ?
           AND (status = 'AVAILABLE' OR (status = 'TEMP_RESERVED' AND held_until <= ?))")
    .int(reservation.id)
    .time(reservation.expires_at)
    .int(reservation.seat_id)
    .int(reservation.schedule_id)
    .int(reservation.price)
    .time(tx.now)
    .run(tx.conn)?;
    if taken == 0 {
        return Err(why_not_taken(tx, &reservation)?);
    }
    expire_ended_hold_of(tx, reservation.seat_id)?;
    if live_holds(tx, &reservation)? >= i64::from(hold.most) {
        return Err(Error::HoldLimitExceeded);
    }
    insert(tx, &reservation)?;
    keep(tx, hold.claim.as_ref(), &reservation)?;
    Ok(Applied::Fresh(reservation))
}

/// How many seats of the concert the user holds without this one.
fn live_holds(tx: &mut Tx<'_>, reservation: &Reservation) -> Result<i64> {
    sql("SELECT count(*) AS n FROM reservations
         WHERE user_id = ? AND concert_id = ? AND status = 'PENDING' AND expires_at > ?")
    .int(reservation.user_id)
    .int(reservation.concert_id)
    .time(tx.now)
    .count(tx.conn)
}

fn why_not_taken(tx: &mut Tx<'_>, reservation: &Reservation) -> Result<Error> {
    let found = sql("SELECT CASE WHEN price = ? THEN 1 ELSE 2 END AS n FROM seats WHERE id = ?")
        .int(reservation.price)
        .int(reservation.seat_id)
        .count(tx.conn)?;
    Ok(match found {
        0 => Error::SeatNotFound,
        1 => Error::SeatNotAvailable,
        _ => PRICE_CHANGED,
    })
}

/// The hold whose seat is being taken over has ended; the sweeper was not needed for that.
pub(crate) fn expire_ended_hold_of(tx: &mut Tx<'_>, seat: SeatId) -> Result<()> {
    // The list of states is the condition of the partial index.
    sql("UPDATE reservations SET status = 'EXPIRED'
         WHERE seat_id = ? AND status IN ('PENDING', 'CONFIRMED') AND status = 'PENDING'
           AND expires_at <= ?")
    .int(seat)
    .time(tx.now)
    .run(tx.conn)?;
    Ok(())
}

fn insert(tx: &mut Tx<'_>, reservation: &Reservation) -> Result<()> {
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
    .insert(tx.conn)?;
    if !inserted {
        // The net below the conditional update: a second live owner was about to be written.
        tracing::error!(seat = %reservation.seat_id, "the unique key of a seat's owner fired");
        return Err(Error::bug("a seat was free while a reservation owned it"));
    }
    Ok(())
}

/// One reservation as it reads now.
pub(crate) fn find(tx: &mut Tx<'_>, id: ReservationId) -> Result<Option<Reservation>> {
    let row: Option<Row> = sql("SELECT * FROM reservations WHERE id = ?").int(id).row(tx.conn)?;
    row.map(|row| row.reservation(tx.now)).transpose()
}

fn list(tx: &mut Tx<'_>, user: UserId, page: PageRequest) -> Result<Page<Reservation>> {
    let after = page.after.unwrap_or(Cursor { key: i64::MAX, id: i64::MAX });
    let rows: Vec<Row> =
        sql("SELECT * FROM reservations WHERE user_id = ? AND (created_at, id) < (?, ?)
         ORDER BY created_at DESC, id DESC LIMIT ?")
        .int(user)
        .int(after.key)
        .int(after.id)
        .int(page.limit.get() + 1)
        .rows(tx.conn)?;
    let rows = rows.into_iter().map(|row| row.reservation(tx.now)).collect::<Result<_>>()?;
    Ok(Page::from_rows(rows, page.limit, |r: &Reservation| Cursor {
        key: r.created_at.as_millis(),
        id: r.id.get(),
    }))
}

fn cancel(tx: &mut Tx<'_>, id: ReservationId, user: UserId) -> Result<bool> {
    let found = find(tx, id)?.filter(|reservation| reservation.user_id == user);
    let reservation = found.ok_or(Error::ReservationNotFound)?;
    match reservation.status {
        ReservationStatus::Confirmed => return Err(Error::ReservationNotPending),
        ReservationStatus::Expired | ReservationStatus::Cancelled => return Ok(false),
        ReservationStatus::Pending => {}
    }
    sql("UPDATE reservations SET status = 'CANCELLED'
         WHERE id = ? AND status = 'PENDING' AND expires_at > ?")
    .int(id)
    .time(tx.now)
    .run(tx.conn)?;
    free_held_seat(tx, &reservation)?;
    Ok(true)
}

/// Frees the seat if it is this reservation that holds it; it may have been taken over.
fn free_held_seat(tx: &mut Tx<'_>, reservation: &Reservation) -> Result<usize> {
    sql("UPDATE seats SET status = 'AVAILABLE', reservation_id = NULL, held_until = NULL
         WHERE id = ? AND reservation_id = ? AND status = 'TEMP_RESERVED'")
    .int(reservation.seat_id)
    .int(reservation.id)
    .run(tx.conn)
}

/// Ended holds, the oldest first, and one more than the limit to tell whether there are more.
fn due(tx: &mut Tx<'_>, limit: u32) -> Result<Vec<Reservation>> {
    let rows: Vec<Row> =
        sql("SELECT * FROM reservations WHERE status = 'PENDING' AND expires_at <= ?
         ORDER BY expires_at LIMIT ?")
        .time(tx.now)
        .int(i64::from(limit) + 1)
        .rows(tx.conn)?;
    rows.into_iter().map(|row| row.reservation(tx.now)).collect()
}

fn sweep(tx: &mut Tx<'_>, due: Vec<Reservation>, limit: u32) -> Swept {
    let limit = limit as usize;
    let mut swept = Swept { more: due.len() > limit, ..Swept::default() };
    for reservation in due.iter().take(limit) {
        match in_savepoint(tx, |tx| expire(tx, reservation)) {
            Ok(freed) => swept.freed.extend(freed),
            Err(error) => {
                tracing::error!(reservation = %reservation.id, %error, "a hold cannot be tidied");
                swept.failed += 1;
            }
        }
    }
    swept
}

/// Ends one hold, unless it was paid, cancelled or taken over meanwhile.
fn expire(tx: &mut Tx<'_>, reservation: &Reservation) -> Result<Option<SeatLocation>> {
    let ended = sql("UPDATE reservations SET status = 'EXPIRED'
         WHERE id = ? AND status = 'PENDING' AND expires_at <= ?")
    .int(reservation.id)
    .time(tx.now)
    .run(tx.conn)?;
    if ended == 0 {
        return Ok(None);
    }
    free_held_seat(tx, reservation)?;
    Ok(Some(reservation.location()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::TestStore;

    /// S9: the sweep was one big transaction, and one bad row undid the rest. No port makes a bad
    /// row, so a trigger does.
    #[tokio::test]
    async fn s9_one_bad_row_does_not_undo_the_rest_of_a_sweep() {
        let test = TestStore::at(1_000).await;
        test.run(&[
            "INSERT INTO concerts VALUES (1, 'Concert', NULL, 1)",
            "INSERT INTO schedules VALUES (1, 1, 9000, 0, 1)",
            "INSERT INTO seats VALUES (1, 1, 1, 10, 'TEMP_RESERVED', 1, 1500),
                                              (2, 1, 2, 10, 'TEMP_RESERVED', 2, 1600),
                                              (3, 1, 3, 10, 'TEMP_RESERVED', 3, 1700)",
            "INSERT INTO reservations VALUES (1, 7, 1, 1, 1, 10, 'PENDING', 500, 1500),
                                                     (2, 7, 1, 1, 2, 10, 'PENDING', 500, 1600),
                                                     (3, 7, 1, 1, 3, 10, 'PENDING', 500, 1700)",
            "CREATE TRIGGER bad_row BEFORE UPDATE ON seats WHEN old.id = 2
                     BEGIN SELECT raise(ABORT, 'a bad row'); END",
        ])
        .await;
        let store = &test.sqlite;
        test.clock.advance(Duration::from_secs(1));
        let swept = store.sweep(10).await.unwrap();
        assert_eq!((swept.freed.len(), swept.failed, swept.more), (2, 1, false));
        let status = async |id: i64| {
            let count = store.read(move |tx| {
                sql("SELECT count(*) AS n FROM reservations r JOIN seats s ON s.id = r.seat_id
                     WHERE r.id = ? AND r.status = 'EXPIRED' AND s.status = 'AVAILABLE'")
                .int(id)
                .count(tx.conn)
            });
            count.await.unwrap()
        };
        assert_eq!([status(1).await, status(2).await, status(3).await], [1, 0, 1]);
    }
}
