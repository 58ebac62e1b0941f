use std::sync::Arc;

use super::{
    Concert, ConcertPatch, ConcertWriter, EditedSeat, NewSeat, Schedule, SchedulePatch, SeatChange,
    SeatLocation, SeatPatch, text,
};
use crate::audit::Edit;
use crate::point::MAX_BALANCE;
use crate::{ConcertId, Error, IdAllocator, IdKind, Result, ScheduleId, SeatId, Timestamp, Won};

/// The most seats that one call makes.
pub const MAX_SEATS_PER_CALL: u32 = 100_000;
/// The largest seat number.
const MAX_SEAT_NUMBER: u32 = 1_000_000;

/// A run of seats of one price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeatRange {
    /// The first number, from 1.
    pub from: u32,
    /// The last number, at least `from`, at most 1,000,000.
    pub to: u32,
    /// The price of each, 1 to 1,000,000 won: what a balance can pay.
    pub price: Won,
}

/// Use cases of the concert slice: upkeep of the catalogue.
pub struct ConcertAdmin {
    writer: Arc<dyn ConcertWriter>,
    changes: SeatChange,
    ids: Arc<IdAllocator>,
}

impl ConcertAdmin {
    /// Over the store's edits, the cache and the ids.
    pub fn new(writer: Arc<dyn ConcertWriter>, changes: SeatChange, ids: Arc<IdAllocator>) -> Self {
        Self { writer, changes, ids }
    }

    /// Adds a concert.
    pub async fn create_concert(
        &self,
        edit: Edit,
        title: String,
        description: Option<String>,
    ) -> Result<Concert> {
        check_concert(Some(&title), description.as_deref())?;
        let id = self.ids.next(IdKind::Concert).await?;
        let concert = Concert { id, title, description, version: 1 };
        self.writer.create_concert(edit, concert.clone()).await?;
        Ok(concert)
    }

    /// Edits a concert.
    pub async fn update_concert(
        &self,
        edit: Edit,
        id: ConcertId,
        patch: ConcertPatch,
    ) -> Result<Concert> {
        check_concert(
            patch.title.as_deref(),
            patch.description.as_ref().and_then(|d| d.as_deref()),
        )?;
        let concert = self.writer.update_concert(edit, id, patch).await?;
        self.changes.announce_concert(id, &[]).await;
        Ok(concert)
    }

    /// Removes a concert with its schedules and seats.
    pub async fn delete_concert(&self, edit: Edit, id: ConcertId) -> Result<()> {
        let schedules = self.writer.delete_concert(edit, id).await?;
        self.changes.announce_concert(id, &schedules).await;
        Ok(())
    }

    /// Adds a schedule.
    pub async fn create_schedule(
        &self,
        edit: Edit,
        concert_id: ConcertId,
        starts_at: Timestamp,
        reservation_opens_at: Timestamp,
    ) -> Result<Schedule> {
        if reservation_opens_at > starts_at {
            return Err(opens_too_late());
        }
        let id = self.ids.next(IdKind::Schedule).await?;
        let schedule = Schedule { id, concert_id, starts_at, reservation_opens_at, version: 1 };
        self.writer.create_schedule(edit, schedule.clone()).await?;
        self.changes.announce_concert(concert_id, &[id]).await;
        Ok(schedule)
    }

    /// A schedule as it is now.
    pub async fn find_schedule(&self, id: ScheduleId) -> Result<Schedule> {
        self.writer.find_schedule(id).await
    }

    /// Edits a schedule.
    pub async fn update_schedule(
        &self,
        edit: Edit,
        id: ScheduleId,
        patch: SchedulePatch,
    ) -> Result<Schedule> {
        let schedule = self.writer.update_schedule(edit, id, patch).await?;
        self.changes.announce_concert(schedule.concert_id, &[id]).await;
        Ok(schedule)
    }

    /// Removes a schedule with its seats.
    pub async fn delete_schedule(&self, edit: Edit, id: ScheduleId) -> Result<()> {
        let concert = self.writer.delete_schedule(edit, id).await?;
        self.changes.announce_concert(concert, &[id]).await;
        Ok(())
    }

    /// Adds seats, all or none; answers how many.
    pub async fn create_seats(
        &self,
        edit: Edit,
        schedule: ScheduleId,
        ranges: &[SeatRange],
    ) -> Result<u32> {
        let count = check_ranges(ranges)?;
        let mut id = self.ids.block(IdKind::Seat, count).await?.first;
        let mut seats = Vec::with_capacity(count as usize);
        for range in ranges {
            for number in range.from..=range.to {
                let seat = SeatId::try_from(id).map_err(|e| Error::bug(e.to_string()))?;
                seats.push(NewSeat { id: seat, number, price: range.price });
                id += 1;
            }
        }
        let concert = self.writer.create_seats(edit, schedule, seats).await?;
        self.changes.announce(&[SeatLocation { schedule, concert }]).await;
        Ok(count)
    }

    /// Edits a seat.
    pub async fn update_seat(
        &self,
        edit: Edit,
        id: SeatId,
        patch: SeatPatch,
    ) -> Result<EditedSeat> {
        if patch.number.is_some_and(|number| !(1..=MAX_SEAT_NUMBER).contains(&number)) {
            return Err(Error::invalid("number", format!("must be 1 to {MAX_SEAT_NUMBER}")));
        }
        if let Some(price) = patch.price {
            check_price("price", price)?;
        }
        let edited = self.writer.update_seat(edit, id, patch).await?;
        self.changes.announce(&[edited.location]).await;
        Ok(edited)
    }

    /// Removes a seat.
    pub async fn delete_seat(&self, edit: Edit, id: SeatId) -> Result<()> {
        let location = self.writer.delete_seat(edit, id).await?;
        self.changes.announce(&[location]).await;
        Ok(())
    }
}

/// The refusal of a schedule that would open after its show has started.
pub fn opens_too_late() -> Error {
    Error::invalid("reservationOpensAt", "must not be after startsAt")
}

fn check_concert(title: Option<&str>, description: Option<&str>) -> Result<()> {
    if let Some(title) = title {
        text("title", title, 1..=200)?;
    }
    description.map_or(Ok(()), |description| text("description", description, 0..=2_000))
}

fn check_price(field: impl Into<String>, price: Won) -> Result<()> {
    if price == Won::ZERO || price > MAX_BALANCE {
        return Err(Error::invalid(field, format!("must be 1 to {MAX_BALANCE} won")));
    }
    Ok(())
}

fn check_ranges(ranges: &[SeatRange]) -> Result<u32> {
    let mut count: u64 = 0;
    for (index, range) in ranges.iter().enumerate() {
        if range.from < 1 || range.to > MAX_SEAT_NUMBER || range.from > range.to {
            let message = format!("from and to must be 1 to {MAX_SEAT_NUMBER}, from not above to");
            return Err(Error::invalid(format!("ranges[{index}]"), message));
        }
        check_price(format!("ranges[{index}].price"), range.price)?;
        count += u64::from(range.to - range.from) + 1;
    }
    let mut sorted: Vec<_> = ranges.iter().map(|range| (range.from, range.to)).collect();
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| pair[0].1 >= pair[1].0) {
        return Err(Error::invalid("ranges", "must not overlap"));
    }
    match u32::try_from(count) {
        Ok(count @ 1..=MAX_SEATS_PER_CALL) => Ok(count),
        _ => Err(Error::invalid("ranges", format!("must make 1 to {MAX_SEATS_PER_CALL} seats"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(from: u32, to: u32) -> SeatRange {
        SeatRange { from, to, price: Won::of(1_000) }
    }

    #[test]
    fn ranges_are_counted_and_bounded() {
        assert_eq!(check_ranges(&[range(1, 10), range(11, 50)]), Ok(50));
        assert_eq!(check_ranges(&[range(1, 100_000)]), Ok(100_000));
        for bad in [
            &[][..],
            &[range(0, 5)],
            &[range(5, 4)],
            &[range(1, u32::MAX)],
            &[range(1, 100_001)],
            &[range(1, 10), range(10, 20)],
            &[SeatRange { price: Won::ZERO, ..range(1, 1) }],
            &[SeatRange { price: Won::of(1_000_001), ..range(1, 1) }],
        ] {
            assert!(check_ranges(bad).is_err(), "{bad:?}");
        }
    }
}
