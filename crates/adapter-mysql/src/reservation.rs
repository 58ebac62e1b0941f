use async_trait::async_trait;
use concert_domain::concert::SeatLocation;
use concert_domain::reservation::{Hold, Reservation, ReservationStatus, ReservationStore, Swept};
use concert_domain::{
    Applied, Cursor, Error, Page, PageRequest, ReservationId, Result, Seen, Timestamp, UserId,
};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Text};

use crate::Mysql;
use crate::batch::put;
use crate::error::{Run, typed, unknown_word};
use crate::idempotency::once;
use crate::sql::{Tx, sql};

// Whoever changes a reservation has changed or locked its seat before: seats are where they meet,
// and nobody waits for another the other way round.
#[async_trait]
impl ReservationStore for Mysql {
    async fn hold(&self, hold: Hold) -> Result<Applied<Reservation>> {
        once(self, hold.claim.clone(), self.batches.holds.submit(self, hold)).await
    }

    async fn find(&self, id: ReservationId) -> Result<Option<Seen<Reservation>>> {
        self.batches.reservations.submit(self, id).await
    }

    async fn list(&self, user: UserId, page: PageRequest) -> Result<Page<Reservation>> {
        self.read((user, page), |tx, (user, page)| Box::pin(list(tx, *user, *page))).await
    }

    async fn cancel(&self, id: ReservationId, user: UserId) -> Result<bool> {
        self.write_verified(
            (id, user),
            |tx, (id, user)| Box::pin(cancel(tx, *id, *user)),
            |tx, (id, _)| Box::pin(is_cancelled(tx, *id)),
        )
        .await
    }

    async fn sweep(&self, limit: u32) -> Result<Swept> {
        let mut due = self.read(limit, |tx, limit| Box::pin(due(tx, *limit))).await?;
        let more = due.len() > limit as usize;
        due.truncate(limit as usize);
        // In the order of the seats, so that sweeps of many instances do not cross.
        due.sort_unstable_by_key(|hold| hold.seat_id);
        let mut swept = Swept { more, ..Swept::default() };
        if due.is_empty() {
            return Ok(swept);
        }
        match self.expire(due.clone()).await {
            Err(Error::Bug(_)) => self.expire_one_by_one(due, &mut swept).await?,
            freed => swept.freed = freed?,
        }
        Ok(swept)
    }
}

impl Mysql {
    async fn expire(&self, due: Vec<Due>) -> Result<Vec<SeatLocation>> {
        self.write(due, |tx, due| Box::pin(expire(tx, due))).await
    }

    /// One bad row must not keep the rest.
    async fn expire_one_by_one(&self, due: Vec<Due>, swept: &mut Swept) -> Result<()> {
        for hold in due {
            let id = hold.id;
            match self.expire(vec![hold]).await {
                Ok(freed) => swept.freed.extend(freed),
                Err(Error::Bug(error)) => {
                    tracing::error!(reservation = %id, %error, "a hold cannot be tidied");
                    swept.failed += 1;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
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
    #[diesel(sql_type = BigInt)]
    now: i64,
}

impl Row {
    /// The server's time at which the row was read.
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    /// A pending hold past its time reads as expired, whether or not it was tidied.
    fn reservation(self) -> Result<Reservation> {
        let (expires_at, now) = (Timestamp::from_millis(self.expires_at), self.now());
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

/// One reservation as it reads now.
pub(crate) async fn find(tx: &mut Tx, id: ReservationId) -> Run<Option<Seen<Reservation>>> {
    let row: Option<Row> =
        sql("SELECT r.*, {now} AS now FROM reservations r WHERE id = ?").int(id).row(tx).await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Seen { now: row.now(), value: row.reservation()? }))
}

#[derive(QueryableByName)]
struct NumberedRow {
    #[diesel(sql_type = BigInt)]
    place: i64,
    #[diesel(embed)]
    row: Row,
}

/// The same for many, with one answer for each.
pub(crate) async fn find_all(
    tx: &mut Tx,
    ids: &[ReservationId],
) -> Run<Vec<Result<Option<Seen<Reservation>>>>> {
    let rows: Vec<NumberedRow> = sql("SELECT t.place, r.*, {now} AS now
         FROM JSON_TABLE(?, '$[*]' COLUMNS (place FOR ORDINALITY, id BIGINT PATH '$')) t
         STRAIGHT_JOIN reservations r ON r.id = t.id")
    .json(ids)?
    .rows(tx)
    .await?;
    let mut found: Vec<_> = ids.iter().map(|_| Ok(None)).collect();
    for NumberedRow { place, row } in rows {
        let now = row.now();
        put(&mut found, place, row.reservation().map(|value| Some(Seen { now, value })));
    }
    Ok(found)
}

async fn list(tx: &mut Tx, user: UserId, page: PageRequest) -> Run<Page<Reservation>> {
    let after = page.after.unwrap_or(Cursor { key: i64::MAX, id: i64::MAX });
    let rows: Vec<Row> = sql("SELECT r.*, {now} AS now FROM reservations r
         WHERE user_id = ? AND (created_at < ? OR (created_at = ? AND id < ?))
         ORDER BY created_at DESC, id DESC LIMIT ?")
    .int(user)
    .int(after.key)
    .int(after.key)
    .int(after.id)
    .int(page.limit.get() + 1)
    .rows(tx)
    .await?;
    let rows = rows.into_iter().map(Row::reservation).collect::<Result<_>>()?;
    Ok(Page::from_rows(rows, page.limit, |r: &Reservation| Cursor {
        key: r.created_at.as_millis(),
        id: r.id.get(),
    }))
}

async fn cancel(tx: &mut Tx, id: ReservationId, user: UserId) -> Run<bool> {
    let seat = sql("SELECT seat_id AS n FROM reservations WHERE id = ? AND user_id = ?");
    let seat = seat.int(id).int(user).count(tx).await?;
    sql("SELECT id AS n FROM seats WHERE id = ? FOR UPDATE").int(seat).count(tx).await?;
    let found = find(tx, id).await?.filter(|seen| seen.value.user_id == user);
    let reservation = found.ok_or(Error::ReservationNotFound)?.value;
    match reservation.status {
        ReservationStatus::Confirmed => return Err(Error::ReservationNotPending.into()),
        ReservationStatus::Expired | ReservationStatus::Cancelled => return Ok(false),
        ReservationStatus::Pending => {}
    }
    free_held_seats(tx, std::slice::from_ref(&reservation)).await?;
    sql("UPDATE reservations SET status = 'CANCELLED' WHERE id = ? AND status = 'PENDING'")
        .int(id)
        .run(tx)
        .await?;
    Ok(true)
}

async fn is_cancelled(tx: &mut Tx, id: ReservationId) -> Run<Option<bool>> {
    let found = find(tx, id).await?.map(|seen| seen.value.status);
    Ok((found == Some(ReservationStatus::Cancelled)).then_some(true))
}

/// Frees the seats that these reservations hold; one may have been taken over.
async fn free_held_seats(tx: &mut Tx, reservations: &[Reservation]) -> Run<()> {
    let pairs: Vec<_> = reservations.iter().map(|r| [r.seat_id.get(), r.id.get()]).collect();
    sql("UPDATE JSON_TABLE(?, '$[*]' COLUMNS (seat_id BIGINT PATH '$[0]',
             reservation_id BIGINT PATH '$[1]')) t STRAIGHT_JOIN seats s ON s.id = t.seat_id
         SET s.status = 'AVAILABLE', s.reservation_id = NULL, s.held_until = NULL
         WHERE s.reservation_id = t.reservation_id AND s.status = 'TEMP_RESERVED'")
    .json(&pairs)?
    .run(tx)
    .await?;
    Ok(())
}

/// A hold that has ended and was not tidied yet.
#[derive(Clone, QueryableByName)]
struct Due {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    seat_id: i64,
}

/// Ended holds, the oldest first, and one more than the limit to tell whether there are more. The
/// index has all that is read: the rows themselves are looked at when they are locked.
async fn due(tx: &mut Tx, limit: u32) -> Run<Vec<Due>> {
    sql("SELECT id, seat_id FROM reservations
         WHERE status = 'PENDING' AND expires_at <= {now} ORDER BY expires_at LIMIT ?")
    .int(i64::from(limit) + 1)
    .rows(tx)
    .await
}

/// Ends these holds, but for those that were paid, cancelled or taken over meanwhile.
async fn expire(tx: &mut Tx, due: &[Due]) -> Run<Vec<SeatLocation>> {
    let seats: Vec<_> = due.iter().map(|hold| hold.seat_id).collect();
    let ids: Vec<_> = due.iter().map(|hold| hold.id).collect();
    sql("SELECT COUNT(*) AS n FROM JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$')) t
         STRAIGHT_JOIN seats s ON s.id = t.id FOR UPDATE OF s")
    .json(&seats)?
    .count(tx)
    .await?;
    let rows: Vec<Row> = sql("SELECT r.*, {now} AS now
         FROM JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$')) t
         STRAIGHT_JOIN reservations r ON r.id = t.id
         WHERE r.status = 'PENDING' AND r.expires_at <= {now}")
    .json(&ids)?
    .rows(tx)
    .await?;
    let ended = rows.into_iter().map(Row::reservation).collect::<Result<Vec<_>>>()?;
    if ended.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<_> = ended.iter().map(|reservation| reservation.id).collect();
    sql("UPDATE JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$')) t
         STRAIGHT_JOIN reservations r ON r.id = t.id
         SET r.status = 'EXPIRED' WHERE r.status = 'PENDING'")
    .json(&ids)?
    .run(tx)
    .await?;
    free_held_seats(tx, &ended).await?;
    Ok(ended.iter().map(Reservation::location).collect())
}
