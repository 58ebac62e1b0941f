//! Concerts, their schedules and seats: the catalogue and its upkeep.

mod admin;
mod finished;
mod ports;
mod service;

pub use admin::{ConcertAdmin, MAX_SEATS_PER_CALL, SeatRange, opens_too_late};
pub use finished::{Finished, Form};
pub use ports::*;
pub use service::{ConcertService, SeatChange};

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::{ConcertId, Error, Result, ScheduleId, SeatId, Timestamp, Won};

/// Checks a piece of text that people read: its length in characters, no control characters but
/// line breaks, not only white space.
pub(crate) fn text(field: &str, text: &str, length: RangeInclusive<usize>) -> Result<()> {
    let blank = text.trim().is_empty() && *length.start() > 0;
    let control = text.chars().any(|c| c.is_control() && c != '\n');
    let single_line = *length.end() <= 200 && text.contains('\n');
    if blank || control || single_line || !length.contains(&text.chars().count()) {
        let (from, to) = (length.start(), length.end());
        let message = format!("must be {from} to {to} characters of text");
        return Err(Error::invalid(field, message));
    }
    Ok(())
}

/// A concert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concert {
    /// Its id.
    pub id: ConcertId,
    /// Its title.
    pub title: String,
    /// What it is about, if said.
    pub description: Option<String>,
    /// Grows by one with every edit, from 1.
    pub version: i64,
}

/// One showing of a concert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its id.
    pub id: ScheduleId,
    /// The concert that is shown.
    pub concert_id: ConcertId,
    /// When the show starts.
    pub starts_at: Timestamp,
    /// From when on seats can be held.
    pub reservation_opens_at: Timestamp,
    /// Grows by one with every edit, from 1.
    pub version: i64,
}

/// A schedule with the number of seats that can be held now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleListing {
    /// The schedule.
    pub schedule: Schedule,
    /// Seats that are free, or whose hold has ended.
    pub available_seats: u64,
}

/// The state of a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SeatStatus {
    /// Can be held; also a seat whose hold has ended, tidied or not.
    Available,
    /// Held, and the hold has not ended.
    TempReserved,
    /// Sold.
    Reserved,
}

/// A seat as buyers see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// Its id.
    pub id: SeatId,
    /// Its number, unique in the schedule.
    pub number: u32,
    /// Its state at the time of the read.
    pub status: SeatStatus,
    /// Its price.
    pub price: Won,
}

/// All seats of one schedule, by number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeatMap {
    /// The schedule.
    pub schedule_id: ScheduleId,
    /// The concert of the schedule.
    pub concert_id: ConcertId,
    /// The seats, in order of their numbers.
    pub seats: Vec<Seat>,
}

/// A value that time alone will change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Perishable<T> {
    /// The value.
    pub value: T,
    /// For how long it is true if nobody acts: until the first hold in it ends.
    pub fresh_for: Option<std::time::Duration>,
}

/// What must be known of a seat before it can be held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeatOffer {
    /// The schedule that was named.
    pub schedule: Schedule,
    /// The price of the seat; absent if the schedule has no such seat.
    pub price: Option<Won>,
    /// Until when the seat cannot be held: the end of the hold that it is under, or
    /// [`Timestamp::MAX`] when it is sold; absent if it can be held now.
    pub taken_until: Option<Timestamp>,
}

/// A line of the ranking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RankedConcert {
    /// The concert.
    pub id: ConcertId,
    /// Its title.
    pub title: String,
    /// Seats sold and not refunded, as far as the events have been consumed.
    pub sold_seats: u64,
    /// Seats that the concert has.
    pub total_seats: u64,
    /// What the sold seats brought in.
    pub sales: Won,
    /// When the last free seat was sold; absent while seats are left.
    pub sold_out_at: Option<Timestamp>,
    /// From the first opening of reservations to the last seat, in milliseconds.
    pub sold_out_after_ms: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_bounded_and_printable() {
        assert!(text("title", "봄 콘서트", 1..=200).is_ok());
        for bad in ["", " ", "a\0b", "two\nlines", &"x".repeat(201)] {
            assert!(text("title", bad, 1..=200).is_err(), "{bad:?}");
        }
        assert!(text("description", "two\nlines", 0..=2_000).is_ok());
    }
}
