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

use crate::Mysql;
use crate::audit::note;
use crate::concert::{concert, schedule};
use crate::error::{Fault, Run, typed};
use crate::sql::{Number, Tx, sql};

#[async_trait]
impl ConcertWriter for Mysql {
    async fn create_concert(&self, edit: Edit, concert: Concert) -> Result<()> {
        self.write((edit, concert), |tx, (edit, concert)| {
            Box::pin(create_concert(tx, edit, concert))
        })
        .await
    }

    async fn update_concert(
        &self,
        edit: Edit,
        id: ConcertId,
        patch: ConcertPatch,
    ) -> Result<Concert> {
        self.write((edit, id, patch), |tx, (edit, id, patch)| {
            Box::pin(update_concert(tx, edit, *id, patch))
        })
        .await
    }

    async fn delete_concert(&self, edit: Edit, id: ConcertId) -> Result<Vec<ScheduleId>> {
        self.write_bulk((edit, id), |tx, (edit, id)| Box::pin(delete_concert(tx, edit, *id))).await
    }

    async fn find_schedule(&self, id: ScheduleId) -> Result<Schedule> {
        let found = self.read(id, |tx, id| Box::pin(schedule(tx, *id))).await?;
        found.ok_or(Error::ScheduleNotFound)
    }

    async fn create_schedule(&self, edit: Edit, schedule: Schedule) -> Result<()> {
        self.write((edit, schedule), |tx, (edit, schedule)| {
            Box::pin(create_schedule(tx, edit, schedule))
        })
        .await
    }

    async fn update_schedule(
        &self,
        edit: Edit,
        id: ScheduleId,
        patch: SchedulePatch,
    ) -> Result<Schedule> {
        self.write((edit, id, patch), |tx, (edit, id, patch)| {
            Box::pin(update_schedule(tx, edit, *id, *patch))
        })
        .await
    }

    async fn delete_schedule(&self, edit: Edit, id: ScheduleId) -> Result<ConcertId> {
        self.write_bulk((edit, id), |tx, (edit, id)| Box::pin(delete_schedule(tx, edit, *id))).await
    }

    async fn create_seats(
        &self,
        edit: Edit,
        schedule: ScheduleId,
        seats: Vec<NewSeat>,
    ) -> Result<ConcertId> {
        self.write_bulk((edit, schedule, seats), |tx, (edit, schedule, seats)| {
            Box::pin(create_seats(tx, edit, *schedule, seats))
        })
        .await
    }

    async fn update_seat(&self, edit: Edit, id: SeatId, patch: SeatPatch) -> Result<EditedSeat> {
        self.write((edit, id, patch), |tx, (edit, id, patch)| {
            Box::pin(update_seat(tx, edit, *id, *patch))
        })
        .await
    }

    async fn delete_seat(&self, edit: Edit, id: SeatId) -> Result<SeatLocation> {
        self.write((edit, id), |tx, (edit, id)| Box::pin(delete_seat(tx, edit, *id))).await
    }
}

/// An edit on the version that was read changed one row; else somebody was faster.
fn one(changed: usize) -> Result<()> {
    if changed == 1 { Ok(()) } else { Err(Error::StaleVersion) }
}

async fn create_concert(tx: &mut Tx, edit: &Edit, concert: &Concert) -> Run<()> {
    sql("INSERT INTO concerts (id, title, description, version) VALUES (?, ?, ?, ?)")
        .int(concert.id)
        .text(concert.title.as_str())
        .text_or_null(concert.description.as_deref())
        .int(concert.version)
        .run(tx)
        .await?;
    note(tx, &edit.editor, &Change::made_concert(concert)).await
}

/// Makes every other edit below the concert wait, so that what is counted stays counted.
pub(crate) async fn lock_concert(tx: &mut Tx, id: ConcertId) -> Run<Concert> {
    sql("SELECT id AS n FROM concerts WHERE id = ? FOR UPDATE").int(id).count(tx).await?;
    Ok(concert(tx, id).await?.ok_or(Error::ConcertNotFound)?)
}

async fn lock_schedule(tx: &mut Tx, id: ScheduleId) -> Run<Schedule> {
    sql("SELECT id AS n FROM schedules WHERE id = ? FOR UPDATE").int(id).count(tx).await?;
    Ok(schedule(tx, id).await?.ok_or(Error::ScheduleNotFound)?)
}

async fn update_concert(
    tx: &mut Tx,
    edit: &Edit,
    id: ConcertId,
    patch: &ConcertPatch,
) -> Run<Concert> {
    let before = lock_concert(tx, id).await?;
    edit.condition.check(before.version)?;
    let after = Concert {
        id,
        title: patch.title.clone().unwrap_or_else(|| before.title.clone()),
        description: patch.description.clone().unwrap_or_else(|| before.description.clone()),
        version: before.version + 1,
    };
    let changed = sql("UPDATE concerts SET title = ?, description = ?, version = ?
         WHERE id = ? AND version = ?")
    .text(after.title.as_str())
    .text_or_null(after.description.as_deref())
    .int(after.version)
    .int(id)
    .int(before.version)
    .run(tx)
    .await?;
    one(changed)?;
    note(tx, &edit.editor, &Change::edited_concert(&before, &after)).await?;
    Ok(after)
}

async fn delete_concert(tx: &mut Tx, edit: &Edit, id: ConcertId) -> Run<Vec<ScheduleId>> {
    let before = lock_concert(tx, id).await?;
    edit.condition.check(before.version)?;
    let mut seats = 0;
    let rows: Vec<Number> = sql("SELECT id AS n FROM schedules WHERE concert_id = ?
         ORDER BY id FOR UPDATE")
    .int(id)
    .rows(tx)
    .await?;
    let mut schedules = Vec::with_capacity(rows.len());
    for row in rows {
        let schedule = typed("schedules.id", row.n)?;
        seats += delete_with_seats(tx, schedule).await?;
        schedules.push(schedule);
    }
    sql("DELETE FROM queue_policies WHERE concert_id = ?").int(id).run(tx).await?;
    let gone = sql("DELETE FROM concerts WHERE id = ? AND version = ?").int(id).int(before.version);
    one(gone.run(tx).await?)?;
    let change = Change::removed_concert(&before, schedules.len(), seats);
    note(tx, &edit.editor, &change).await?;
    Ok(schedules)
}

async fn create_schedule(tx: &mut Tx, edit: &Edit, schedule: &Schedule) -> Run<()> {
    lock_concert(tx, schedule.concert_id).await?;
    let there = sql("SELECT COUNT(*) AS n FROM schedules WHERE concert_id = ?");
    if there.int(schedule.concert_id).count(tx).await? >= i64::from(MAX_SCHEDULES) {
        return Err(Error::Conflict("the concert has as many schedules as it may have").into());
    }
    sql("INSERT INTO schedules (id, concert_id, starts_at, reservation_opens_at, version)
         VALUES (?, ?, ?, ?, ?)")
    .int(schedule.id)
    .int(schedule.concert_id)
    .time(schedule.starts_at)
    .time(schedule.reservation_opens_at)
    .int(schedule.version)
    .run(tx)
    .await?;
    note(tx, &edit.editor, &Change::made_schedule(schedule)).await
}

async fn update_schedule(
    tx: &mut Tx,
    edit: &Edit,
    id: ScheduleId,
    patch: SchedulePatch,
) -> Run<Schedule> {
    let before = lock_schedule(tx, id).await?;
    edit.condition.check(before.version)?;
    let after = Schedule {
        starts_at: patch.starts_at.unwrap_or(before.starts_at),
        reservation_opens_at: patch.reservation_opens_at.unwrap_or(before.reservation_opens_at),
        version: before.version + 1,
        ..before
    };
    if after.reservation_opens_at > after.starts_at {
        return Err(opens_too_late().into());
    }
    let taken = after.starts_at != before.starts_at && has_taken_seat(tx, id).await?;
    if taken && !patch.move_taken {
        return Err(Error::SeatNotAvailable.into());
    }
    let changed = sql("UPDATE schedules SET starts_at = ?, reservation_opens_at = ?, version = ?
         WHERE id = ? AND version = ?")
    .time(after.starts_at)
    .time(after.reservation_opens_at)
    .int(after.version)
    .int(id)
    .int(before.version)
    .run(tx)
    .await?;
    one(changed)?;
    note(tx, &edit.editor, &Change::edited_schedule(&before, &after, taken)).await?;
    Ok(after)
}

/// Whether somebody holds or has a seat of the schedule. The seats are locked first: nobody takes
/// one of them between the look and the end of the transaction.
async fn has_taken_seat(tx: &mut Tx, schedule: ScheduleId) -> Run<bool> {
    let lock = sql("SELECT COUNT(*) AS n FROM seats WHERE schedule_id = ? FOR UPDATE");
    lock.int(schedule).count(tx).await?;
    free_ended_holds(tx, schedule).await?;
    let taken = sql("SELECT EXISTS (SELECT 1 FROM seats
         WHERE schedule_id = ? AND status IN ('TEMP_RESERVED', 'RESERVED')) AS n");
    Ok(taken.int(schedule).count(tx).await? == 1)
}

async fn delete_schedule(tx: &mut Tx, edit: &Edit, id: ScheduleId) -> Run<ConcertId> {
    let before = lock_schedule(tx, id).await?;
    edit.condition.check(before.version)?;
    let seats = delete_with_seats(tx, id).await?;
    note(tx, &edit.editor, &Change::removed_schedule(&before, seats)).await?;
    Ok(before.concert_id)
}

/// Removes a schedule and its seats, which must all be free; answers how many there were.
async fn delete_with_seats(tx: &mut Tx, schedule: ScheduleId) -> Run<usize> {
    if has_taken_seat(tx, schedule).await? {
        return Err(Error::SeatNotAvailable.into());
    }
    let seats = sql("DELETE FROM seats WHERE schedule_id = ?").int(schedule).run(tx).await?;
    sql("DELETE FROM schedules WHERE id = ?").int(schedule).run(tx).await?;
    Ok(seats)
}

/// Tidies the ended holds of a schedule as a sweep would, so that from here on a seat that is not
/// AVAILABLE is really taken, and no reservation stays pending on a seat that goes away.
async fn free_ended_holds(tx: &mut Tx, schedule: ScheduleId) -> Run<()> {
    sql("UPDATE seats t JOIN reservations r ON r.id = t.reservation_id
         SET r.status = 'EXPIRED', t.status = 'AVAILABLE', t.reservation_id = NULL,
             t.held_until = NULL
         WHERE t.schedule_id = ? AND t.status = 'TEMP_RESERVED' AND t.held_until <= {now}
           AND r.status = 'PENDING'")
    .int(schedule)
    .run(tx)
    .await?;
    Ok(())
}

async fn create_seats(
    tx: &mut Tx,
    edit: &Edit,
    id: ScheduleId,
    seats: &[NewSeat],
) -> Run<ConcertId> {
    let schedule = lock_schedule(tx, id).await?;
    let there = sql("SELECT COUNT(*) AS n FROM seats WHERE schedule_id = ?").int(id);
    let there: usize = typed("number of seats", there.count(tx).await?)?;
    if there + seats.len() > MAX_SEATS as usize {
        return Err(Error::Conflict("the schedule would have more seats than it may have").into());
    }
    let rows: Vec<[i64; 4]> = seats.iter().map(|seat| seat_row(id, seat)).collect();
    if !insert_seats(tx, &rows).await? {
        let there = Error::Conflict("the schedule already has a seat of such a number");
        return Err(there.into());
    }
    note(tx, &edit.editor, &Change::made_seats(id, seats)).await?;
    Ok(schedule.concert_id)
}

/// A seat as [`insert_seats`] takes it.
fn seat_row(schedule: ScheduleId, seat: &NewSeat) -> [i64; 4] {
    [seat.id.get(), schedule.get(), seat.number.into(), seat.price.get()]
}

/// A few statements for any number of rows; `false` if one of them is there already.
async fn insert_seats(tx: &mut Tx, rows: &[[i64; 4]]) -> Run<bool> {
    for rows in rows.chunks(10_000) {
        let inserted = sql("INSERT INTO seats (id, schedule_id, number, price, status)
             SELECT t.id, t.schedule_id, t.number, t.price, 'AVAILABLE'
             FROM JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$[0]',
                 schedule_id BIGINT PATH '$[1]', number BIGINT PATH '$[2]',
                 price BIGINT PATH '$[3]')) t")
        .json(rows)?;
        if !inserted.insert(tx).await? {
            return Ok(false);
        }
    }
    Ok(true)
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

/// The seat with its place; the seat is locked, its hold tidied if it has ended.
async fn lock_seat(tx: &mut Tx, id: SeatId) -> Run<LocatedSeat> {
    let seat: LocatedSeat = sql("SELECT t.number, t.price, t.schedule_id, s.concert_id
         FROM seats t JOIN schedules s ON s.id = t.schedule_id WHERE t.id = ? FOR UPDATE OF t")
    .int(id)
    .row(tx)
    .await?
    .ok_or(Error::SeatNotFound)?;
    free_ended_holds(tx, seat.location()?.schedule).await?;
    Ok(seat)
}

async fn update_seat(tx: &mut Tx, edit: &Edit, id: SeatId, patch: SeatPatch) -> Run<EditedSeat> {
    let before = lock_seat(tx, id).await?;
    let location = before.location()?;
    let seat = Seat {
        id,
        number: patch.number.map_or_else(|| typed("seats.number", before.number), Ok)?,
        status: SeatStatus::Available,
        price: patch.price.map_or_else(|| typed("seats.price", before.price), Ok)?,
    };
    let edited =
        sql("UPDATE seats SET number = ?, price = ? WHERE id = ? AND status = 'AVAILABLE'")
            .int(seat.number)
            .int(seat.price)
            .int(id)
            .run(tx)
            .await;
    match edited {
        Ok(1) => {}
        Ok(_) => return Err(Error::SeatNotAvailable.into()),
        Err(Fault::Duplicate(_)) => {
            return Err(Error::Conflict("another seat has this number").into());
        }
        Err(fault) => return Err(fault),
    }
    let after = Change::seat_state(location.schedule, seat.number, seat.price);
    note(tx, &edit.editor, &Change::edited_seat(id, before.state()?, after)).await?;
    Ok(EditedSeat { seat, location })
}

async fn delete_seat(tx: &mut Tx, edit: &Edit, id: SeatId) -> Run<SeatLocation> {
    let before = lock_seat(tx, id).await?;
    let free = sql("DELETE FROM seats WHERE id = ? AND status = 'AVAILABLE'").int(id);
    if free.run(tx).await? != 1 {
        return Err(Error::SeatNotAvailable.into());
    }
    note(tx, &edit.editor, &Change::removed_seat(id, before.state()?)).await?;
    Ok(before.location()?)
}
