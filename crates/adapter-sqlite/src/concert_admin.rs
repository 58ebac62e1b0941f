use async_trait::async_trait;
use concert_domain::concert::{
    Concert, ConcertPatch, ConcertWriter, EditedSeat, MAX_SCHEDULES, MAX_SEATS, NewSeat, Schedule,
    SchedulePatch, Seat, SeatLocation, SeatPatch, SeatStatus, opens_too_late,
};
use concert_domain::{ConcertId, Error, Result, ScheduleId, SeatId};
use diesel::QueryableByName;
use diesel::sql_types::BigInt;

use crate::Sqlite;
use crate::concert::{concert, schedule};
use crate::db::Tx;
use crate::sql::{Number, sql, typed};

#[async_trait]
impl ConcertWriter for Sqlite {
    async fn create_concert(&self, concert: Concert) -> Result<()> {
        self.write(move |tx| create_concert(tx, concert)).await
    }

    async fn update_concert(&self, id: ConcertId, patch: ConcertPatch) -> Result<Concert> {
        self.write(move |tx| update_concert(tx, id, patch)).await
    }

    async fn delete_concert(&self, id: ConcertId) -> Result<Vec<ScheduleId>> {
        self.write(move |tx| delete_concert(tx, id)).await
    }

    async fn create_schedule(&self, schedule: Schedule) -> Result<()> {
        self.write(move |tx| create_schedule(tx, &schedule)).await
    }

    async fn update_schedule(&self, id: ScheduleId, patch: SchedulePatch) -> Result<Schedule> {
        self.write(move |tx| update_schedule(tx, id, patch)).await
    }

    async fn delete_schedule(&self, id: ScheduleId) -> Result<ConcertId> {
        self.write(move |tx| {
            let schedule = schedule(tx, id)?.ok_or(Error::ScheduleNotFound)?;
            delete_with_seats(tx, id)?;
            Ok(schedule.concert_id)
        })
        .await
    }

    async fn create_seats(&self, schedule: ScheduleId, seats: Vec<NewSeat>) -> Result<ConcertId> {
        self.write(move |tx| create_seats(tx, schedule, &seats)).await
    }

    async fn update_seat(&self, id: SeatId, patch: SeatPatch) -> Result<EditedSeat> {
        self.write(move |tx| update_seat(tx, id, patch)).await
    }

    async fn delete_seat(&self, id: SeatId) -> Result<SeatLocation> {
        self.write(move |tx| {
            let location = locate(tx, id)?.location()?;
            free_ended_holds(tx, location.schedule)?;
            let free = sql("DELETE FROM seats WHERE id = ? AND status = 'AVAILABLE'").int(id);
            if free.run(tx.conn)? == 1 { Ok(location) } else { Err(Error::SeatNotAvailable) }
        })
        .await
    }
}

fn create_concert(tx: &mut Tx<'_>, concert: Concert) -> Result<()> {
    sql("INSERT INTO concerts (id, title, description, version) VALUES (?, ?, ?, ?)")
        .int(concert.id)
        .text(concert.title)
        .text_or_null(concert.description)
        .int(concert.version)
        .run(tx.conn)?;
    Ok(())
}

fn update_concert(tx: &mut Tx<'_>, id: ConcertId, patch: ConcertPatch) -> Result<Concert> {
    let before = concert(tx, id)?.ok_or(Error::ConcertNotFound)?;
    let after = Concert {
        id,
        title: patch.title.unwrap_or(before.title),
        description: patch.description.unwrap_or(before.description),
        version: before.version + 1,
    };
    sql("UPDATE concerts SET title = ?, description = ?, version = ? WHERE id = ?")
        .text(after.title.as_str())
        .text_or_null(after.description.as_deref())
        .int(after.version)
        .int(id)
        .run(tx.conn)?;
    Ok(after)
}

fn delete_concert(tx: &mut Tx<'_>, id: ConcertId) -> Result<Vec<ScheduleId>> {
    let rows: Vec<Number> =
        sql("SELECT id AS n FROM schedules WHERE concert_id = ?").int(id).rows(tx.conn)?;
    let mut schedules = Vec::with_capacity(rows.len());
    for row in rows {
        let schedule = typed("schedules.id", row.n)?;
        delete_with_seats(tx, schedule)?;
        schedules.push(schedule);
    }
    match sql("DELETE FROM concerts WHERE id = ?").int(id).run(tx.conn)? {
        1 => Ok(schedules),
        _ => Err(Error::ConcertNotFound),
    }
}

fn create_schedule(tx: &mut Tx<'_>, schedule: &Schedule) -> Result<()> {
    concert(tx, schedule.concert_id)?.ok_or(Error::ConcertNotFound)?;
    let there = sql("SELECT COUNT(*) AS n FROM schedules WHERE concert_id = ?");
    if there.int(schedule.concert_id).count(tx.conn)? >= i64::from(MAX_SCHEDULES) {
        return Err(Error::Conflict("the concert has as many schedules as it may have"));
    }
    sql("INSERT INTO schedules (id, concert_id, starts_at, reservation_opens_at, version)
         VALUES (?, ?, ?, ?, ?)")
    .int(schedule.id)
    .int(schedule.concert_id)
    .time(schedule.starts_at)
    .time(schedule.reservation_opens_at)
    .int(schedule.version)
    .run(tx.conn)?;
    Ok(())
}

fn update_schedule(tx: &mut Tx<'_>, id: ScheduleId, patch: SchedulePatch) -> Result<Schedule> {
    let before = schedule(tx, id)?.ok_or(Error::ScheduleNotFound)?;
    let after = Schedule {
        starts_at: patch.starts_at.unwrap_or(before.starts_at),
        reservation_opens_at: patch.reservation_opens_at.unwrap_or(before.reservation_opens_at),
        version: before.version + 1,
        ..before
    };
    if after.reservation_opens_at > after.starts_at {
        return Err(opens_too_late());
    }
    if after.starts_at != before.starts_at && has_sold_seat(tx, id)? {
        return Err(Error::SeatNotAvailable);
    }
    sql("UPDATE schedules SET starts_at = ?, reservation_opens_at = ?, version = ? WHERE id = ?")
        .time(after.starts_at)
        .time(after.reservation_opens_at)
        .int(after.version)
        .int(id)
        .run(tx.conn)?;
    Ok(after)
}

fn has_sold_seat(tx: &mut Tx<'_>, schedule: ScheduleId) -> Result<bool> {
    let sold = sql("SELECT EXISTS
         (SELECT 1 FROM seats WHERE schedule_id = ? AND status = 'RESERVED') AS n");
    Ok(sold.int(schedule).count(tx.conn)? == 1)
}

/// Removes a schedule and its seats, which must all be free.
fn delete_with_seats(tx: &mut Tx<'_>, schedule: ScheduleId) -> Result<()> {
    free_ended_holds(tx, schedule)?;
    let taken = sql("SELECT EXISTS (SELECT 1 FROM seats
         WHERE schedule_id = ? AND status IN ('TEMP_RESERVED', 'RESERVED')) AS n");
    if taken.int(schedule).count(tx.conn)? == 1 {
        return Err(Error::SeatNotAvailable);
    }
    sql("DELETE FROM seats WHERE schedule_id = ?").int(schedule).run(tx.conn)?;
    sql("DELETE FROM schedules WHERE id = ?").int(schedule).run(tx.conn)?;
    Ok(())
}

/// Tidies the ended holds of a schedule as a sweep would, so that from here on a seat that is not
/// AVAILABLE is really taken, and no reservation stays pending on a seat that goes away. (The plus
/// keeps the planner from reading every pending reservation there is.)
fn free_ended_holds(tx: &mut Tx<'_>, schedule: ScheduleId) -> Result<()> {
    sql("UPDATE reservations SET status = 'EXPIRED' WHERE id IN
         (SELECT reservation_id FROM seats
          WHERE schedule_id = ? AND status = 'TEMP_RESERVED' AND held_until <= ?)
         AND +status = 'PENDING'")
    .int(schedule)
    .time(tx.now)
    .run(tx.conn)?;
    sql("UPDATE seats SET status = 'AVAILABLE', reservation_id = NULL, held_until = NULL
         WHERE schedule_id = ? AND status = 'TEMP_RESERVED' AND held_until <= ?")
    .int(schedule)
    .time(tx.now)
    .run(tx.conn)?;
    Ok(())
}

fn create_seats(tx: &mut Tx<'_>, id: ScheduleId, seats: &[NewSeat]) -> Result<ConcertId> {
    let schedule = schedule(tx, id)?.ok_or(Error::ScheduleNotFound)?;
    let there = sql("SELECT COUNT(*) AS n FROM seats WHERE schedule_id = ?").int(id);
    let there: usize = typed("number of seats", there.count(tx.conn)?)?;
    if there + seats.len() > MAX_SEATS as usize {
        return Err(Error::Conflict("the schedule would have more seats than it may have"));
    }
    if insert_seats(tx, id, seats)? {
        Ok(schedule.concert_id)
    } else {
        Err(Error::Conflict("the schedule already has a seat of such a number"))
    }
}

/// One statement for all rows: a hundred thousand of them must not keep the writer for seconds.
fn insert_seats(tx: &mut Tx<'_>, schedule: ScheduleId, seats: &[NewSeat]) -> Result<bool> {
    let rows: Vec<[i64; 3]> =
        seats.iter().map(|seat| [seat.id.get(), seat.number.into(), seat.price.get()]).collect();
    let rows = serde_json::to_string(&rows).map_err(|e| Error::bug(e.to_string()))?;
    sql("INSERT INTO seats (id, schedule_id, number, price, status)
         SELECT value ->> 0, ?, value ->> 1, value ->> 2, 'AVAILABLE' FROM json_each(?)")
    .int(schedule)
    .text(rows)
    .insert(tx.conn)
}

#[derive(QueryableByName)]
struct LocatedSeat {
    #[diesel(sql_type = BigInt)]
    number: i64,
    #[diesel(sql_type = BigInt)]
    price: i64,
    #[diesel(sql_type = BigInt)]
    schedule_id: i64,
    #[diesel(sql_type = BigInt)]
    concert_id: i64,
}

impl LocatedSeat {
    fn location(&self) -> Result<SeatLocation> {
        let schedule = typed("seats.schedule_id", self.schedule_id)?;
        Ok(SeatLocation { schedule, concert: typed("schedules.concert_id", self.concert_id)? })
    }
}

fn locate(tx: &mut Tx<'_>, id: SeatId) -> Result<LocatedSeat> {
    sql("SELECT t.number, t.price, t.schedule_id, s.concert_id
         FROM seats t JOIN schedules s ON s.id = t.schedule_id WHERE t.id = ?")
    .int(id)
    .row(tx.conn)?
    .ok_or(Error::SeatNotFound)
}

fn update_seat(tx: &mut Tx<'_>, id: SeatId, patch: SeatPatch) -> Result<EditedSeat> {
    let before = locate(tx, id)?;
    let location = before.location()?;
    let seat = Seat {
        id,
        number: patch.number.map_or_else(|| typed("seats.number", before.number), Ok)?,
        status: SeatStatus::Available,
        price: patch.price.map_or_else(|| typed("seats.price", before.price), Ok)?,
    };
    free_ended_holds(tx, location.schedule)?;
    ensure_free_number(tx, location.schedule, &seat)?;
    let edited =
        sql("UPDATE seats SET number = ?, price = ? WHERE id = ? AND status = 'AVAILABLE'")
            .int(seat.number)
            .int(seat.price)
            .int(id)
            .run(tx.conn)?;
    if edited == 1 { Ok(EditedSeat { seat, location }) } else { Err(Error::SeatNotAvailable) }
}

fn ensure_free_number(tx: &mut Tx<'_>, schedule: ScheduleId, seat: &Seat) -> Result<()> {
    let others = sql("SELECT COUNT(*) AS n FROM seats
         WHERE schedule_id = ? AND number = ? AND id <> ?")
    .int(schedule)
    .int(seat.number)
    .int(seat.id)
    .count(tx.conn)?;
    if others > 0 { Err(Error::Conflict("another seat has this number")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::TestStore;

    /// No port tells an untidied ended hold from a tidied one, so this looks at the rows.
    #[tokio::test]
    async fn an_ended_hold_is_tidied_before_its_seat_goes_away() {
        let test = TestStore::at(1_000).await;
        test.run(&[
            "INSERT INTO concerts VALUES (1, 'Concert', NULL, 1)",
            "INSERT INTO schedules VALUES (1, 1, 9000, 0, 1)",
            "INSERT INTO seats VALUES (1, 1, 1, 10, 'TEMP_RESERVED', 1, 2000),
                                              (2, 1, 2, 10, 'TEMP_RESERVED', 2, 3000)",
            "INSERT INTO reservations VALUES (1, 7, 1, 1, 1, 10, 'PENDING', 500, 2000),
                                                     (2, 7, 1, 1, 2, 10, 'PENDING', 500, 3000)",
        ])
        .await;
        let store = &test.sqlite;
        test.clock.advance(Duration::from_secs(1));
        assert!(store.delete_seat(SeatId::try_from(1).unwrap()).await.is_ok());
        let schedule = ScheduleId::try_from(1).unwrap();
        assert_eq!(store.delete_schedule(schedule).await, Err(Error::SeatNotAvailable));
        let pending = store
            .read(|tx| {
                sql("SELECT id AS n FROM reservations WHERE status = 'PENDING'")
                    .rows::<Number>(tx.conn)
            })
            .await
            .unwrap();
        assert_eq!(pending.iter().map(|row| row.n).collect::<Vec<_>>(), [2]);
    }
}
