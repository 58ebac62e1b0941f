use async_trait::async_trait;
use concert_domain::audit::{Change, Edit};
use concert_domain::concert::{
    Concert, ConcertPatch, ConcertWriter, EditedSeat, MAX_SCHEDULES, MAX_SEATS, NewSeat, Schedule,
    SchedulePatch, Seat, SeatLocation, SeatPatch, SeatStatus, opens_too_late,
};
use concert_domain::{ConcertId, Error, Result, ScheduleId, SeatId};
use diesel::QueryableByName;
use diesel::sql_types::BigInt;
use serde_json::Value;

use crate::Sqlite;
use crate::audit::note;
use crate::concert::{concert, schedule};
use crate::db::Tx;
use crate::sql::{Number, sql, typed};

#[async_trait]
impl ConcertWriter for Sqlite {
    async fn create_concert(&self, edit: Edit, concert: Concert) -> Result<()> {
        self.write(move |tx| create_concert(tx, &edit, &concert)).await
    }

    async fn update_concert(
        &self,
        edit: Edit,
        id: ConcertId,
        patch: ConcertPatch,
    ) -> Result<Concert> {
        self.write(move |tx| update_concert(tx, &edit, id, patch)).await
    }

    async fn delete_concert(&self, edit: Edit, id: ConcertId) -> Result<Vec<ScheduleId>> {
        self.write(move |tx| delete_concert(tx, &edit, id)).await
    }

    async fn find_schedule(&self, id: ScheduleId) -> Result<Schedule> {
        self.read(move |tx| schedule(tx, id)).await?.ok_or(Error::ScheduleNotFound)
    }

    async fn create_schedule(&self, edit: Edit, schedule: Schedule) -> Result<()> {
        self.write(move |tx| create_schedule(tx, &edit, &schedule)).await
    }

    async fn update_schedule(
        &self,
        edit: Edit,
        id: ScheduleId,
        patch: SchedulePatch,
    ) -> Result<Schedule> {
        self.write(move |tx| update_schedule(tx, &edit, id, patch)).await
    }

    async fn delete_schedule(&self, edit: Edit, id: ScheduleId) -> Result<ConcertId> {
        self.write(move |tx| delete_schedule(tx, &edit, id)).await
    }

    async fn create_seats(
        &self,
        edit: Edit,
        schedule: ScheduleId,
        seats: Vec<NewSeat>,
    ) -> Result<ConcertId> {
        self.write(move |tx| create_seats(tx, &edit, schedule, &seats)).await
    }

    async fn update_seat(&self, edit: Edit, id: SeatId, patch: SeatPatch) -> Result<EditedSeat> {
        self.write(move |tx| update_seat(tx, &edit, id, patch)).await
    }

    async fn delete_seat(&self, edit: Edit, id: SeatId) -> Result<SeatLocation> {
        self.write(move |tx| delete_seat(tx, &edit, id)).await
    }
}

/// An edit on the version that was read changed one row; else somebody was faster.
fn one(changed: usize) -> Result<()> {
    if changed == 1 { Ok(()) } else { Err(Error::StaleVersion) }
}

fn create_concert(tx: &mut Tx<'_>, edit: &Edit, concert: &Concert) -> Result<()> {
    sql("INSERT INTO concerts (id, title, description, version) VALUES (?, ?, ?, ?)")
        .int(concert.id)
        .text(concert.title.as_str())
        .text_or_null(concert.description.as_deref())
        .int(concert.version)
        .run(tx.conn)?;
    note(tx, &edit.editor, &Change::made_concert(concert))
}

fn update_concert(
    tx: &mut Tx<'_>,
    edit: &Edit,
    id: ConcertId,
    patch: ConcertPatch,
) -> Result<Concert> {
    let before = concert(tx, id)?.ok_or(Error::ConcertNotFound)?;
    edit.condition.check(before.version)?;
    let after = Concert {
        id,
        title: patch.title.unwrap_or_else(|| before.title.clone()),
        description: patch.description.unwrap_or_else(|| before.description.clone()),
        version: before.version + 1,
    };
    let changed = sql("UPDATE concerts SET title = ?, description = ?, version = ?
         WHERE id = ? AND version = ?")
    .text(after.title.as_str())
    .text_or_null(after.description.as_deref())
    .int(after.version)
    .int(id)
    .int(before.version)
    .run(tx.conn)?;
    one(changed)?;
    note(tx, &edit.editor, &Change::edited_concert(&before, &after))?;
    Ok(after)
}

fn delete_concert(tx: &mut Tx<'_>, edit: &Edit, id: ConcertId) -> Result<Vec<ScheduleId>> {
    let before = concert(tx, id)?.ok_or(Error::ConcertNotFound)?;
    edit.condition.check(before.version)?;
    let mut seats = 0;
    let rows: Vec<Number> =
        sql("SELECT id AS n FROM schedules WHERE concert_id = ?").int(id).rows(tx.conn)?;
    let mut schedules = Vec::with_capacity(rows.len());
    for row in rows {
        let schedule = typed("schedules.id", row.n)?;
        seats += delete_with_seats(tx, schedule)?;
        schedules.push(schedule);
    }
    sql("DELETE FROM queue_policies WHERE concert_id = ?").int(id).run(tx.conn)?;
    let gone = sql("DELETE FROM concerts WHERE id = ? AND version = ?").int(id).int(before.version);
    one(gone.run(tx.conn)?)?;
    note(tx, &edit.editor, &Change::removed_concert(&before, schedules.len(), seats))?;
    Ok(schedules)
}

fn create_schedule(tx: &mut Tx<'_>, edit: &Edit, schedule: &Schedule) -> Result<()> {
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
    note(tx, &edit.editor, &Change::made_schedule(schedule))
}

fn update_schedule(
    tx: &mut Tx<'_>,
    edit: &Edit,
    id: ScheduleId,
    patch: SchedulePatch,
) -> Result<Schedule> {
    let before = schedule(tx, id)?.ok_or(Error::ScheduleNotFound)?;
    edit.condition.check(before.version)?;
    let after = Schedule {
        starts_at: patch.starts_at.unwrap_or(before.starts_at),
        reservation_opens_at: patch.reservation_opens_at.unwrap_or(before.reservation_opens_at),
        version: before.version + 1,
        ..before
    };
    if after.reservation_opens_at > after.starts_at {
        return Err(opens_too_late());
    }
    let taken = after.starts_at != before.starts_at && has_taken_seat(tx, id)?;
    if taken && !patch.move_taken {
        return Err(Error::SeatNotAvailable);
    }
    let changed = sql("UPDATE schedules SET starts_at = ?, reservation_opens_at = ?, version = ?
         WHERE id = ? AND version = ?")
    .time(after.starts_at)
    .time(after.reservation_opens_at)
    .int(after.version)
    .int(id)
    .int(before.version)
    .run(tx.conn)?;
    one(changed)?;
    note(tx, &edit.editor, &Change::edited_schedule(&before, &after, taken))?;
    Ok(after)
}

/// Whether somebody holds or has a seat of the schedule.
fn has_taken_seat(tx: &mut Tx<'_>, schedule: ScheduleId) -> Result<bool> {
    free_ended_holds(tx, schedule)?;
    let taken = sql("SELECT EXISTS (SELECT 1 FROM seats
         WHERE schedule_id = ? AND status IN ('TEMP_RESERVED', 'RESERVED')) AS n");
    Ok(taken.int(schedule).count(tx.conn)? == 1)
}

fn delete_schedule(tx: &mut Tx<'_>, edit: &Edit, id: ScheduleId) -> Result<ConcertId> {
    let before = schedule(tx, id)?.ok_or(Error::ScheduleNotFound)?;
    edit.condition.check(before.version)?;
    let seats = delete_with_seats(tx, id)?;
    note(tx, &edit.editor, &Change::removed_schedule(&before, seats))?;
    Ok(before.concert_id)
}

/// Removes a schedule and its seats, which must all be free; answers how many there were.
fn delete_with_seats(tx: &mut Tx<'_>, schedule: ScheduleId) -> Result<usize> {
    if has_taken_seat(tx, schedule)? {
        return Err(Error::SeatNotAvailable);
    }
    let seats = sql("DELETE FROM seats WHERE schedule_id = ?").int(schedule).run(tx.conn)?;
    sql("DELETE FROM schedules WHERE id = ?").int(schedule).run(tx.conn)?;
    Ok(seats)
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

fn create_seats(
    tx: &mut Tx<'_>,
    edit: &Edit,
    id: ScheduleId,
    seats: &[NewSeat],
) -> Result<ConcertId> {
    let schedule = schedule(tx, id)?.ok_or(Error::ScheduleNotFound)?;
    let there = sql("SELECT COUNT(*) AS n FROM seats WHERE schedule_id = ?").int(id);
    let there: usize = typed("number of seats", there.count(tx.conn)?)?;
    if there + seats.len() > MAX_SEATS as usize {
        return Err(Error::Conflict("the schedule would have more seats than it may have"));
    }
    if !insert_seats(tx, id, seats)? {
        return Err(Error::Conflict("the schedule already has a seat of such a number"));
    }
    note(tx, &edit.editor, &Change::made_seats(id, seats))?;
    Ok(schedule.concert_id)
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

    fn state(&self) -> Result<Value> {
        let (number, price) =
            (typed("seats.number", self.number)?, typed("seats.price", self.price)?);
        Ok(Change::seat_state(self.location()?.schedule, number, price))
    }
}

fn locate(tx: &mut Tx<'_>, id: SeatId) -> Result<LocatedSeat> {
    sql("SELECT t.number, t.price, t.schedule_id, s.concert_id
         FROM seats t JOIN schedules s ON s.id = t.schedule_id WHERE t.id = ?")
    .int(id)
    .row(tx.conn)?
    .ok_or(Error::SeatNotFound)
}

fn update_seat(tx: &mut Tx<'_>, edit: &Edit, id: SeatId, patch: SeatPatch) -> Result<EditedSeat> {
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
    if edited != 1 {
        return Err(Error::SeatNotAvailable);
    }
    let after = Change::seat_state(location.schedule, seat.number, seat.price);
    note(tx, &edit.editor, &Change::edited_seat(id, before.state()?, after))?;
    Ok(EditedSeat { seat, location })
}

fn delete_seat(tx: &mut Tx<'_>, edit: &Edit, id: SeatId) -> Result<SeatLocation> {
    let before = locate(tx, id)?;
    let location = before.location()?;
    free_ended_holds(tx, location.schedule)?;
    let free = sql("DELETE FROM seats WHERE id = ? AND status = 'AVAILABLE'").int(id);
    if free.run(tx.conn)? != 1 {
        return Err(Error::SeatNotAvailable);
    }
    note(tx, &edit.editor, &Change::removed_seat(id, before.state()?))?;
    Ok(location)
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
        assert!(store.delete_seat(Edit::default(), SeatId::try_from(1).unwrap()).await.is_ok());
        let schedule = ScheduleId::try_from(1).unwrap();
        assert_eq!(
            store.delete_schedule(Edit::default(), schedule).await,
            Err(Error::SeatNotAvailable)
        );
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
