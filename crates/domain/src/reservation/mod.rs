//! Holding a seat, letting it go, and what time does to a hold.

mod ports;
mod service;
mod shield;

pub use ports::*;
pub use service::{HoldRequest, ReservationService};
pub(crate) use shield::Shield;

use serde::{Deserialize, Serialize};

use crate::concert::SeatLocation;
use crate::{ConcertId, ReservationId, ScheduleId, SeatId, Timestamp, UserId, Won};

/// What became of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ReservationStatus {
    /// The seat is held and not yet paid.
    Pending,
    /// Paid; the seat is sold.
    Confirmed,
    /// The hold ended unpaid.
    Expired,
    /// Let go by its owner, or refunded.
    Cancelled,
}

/// A hold of a seat and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// Its id.
    pub id: ReservationId,
    /// Whose it is.
    pub user_id: UserId,
    /// The concert of the schedule.
    pub concert_id: ConcertId,
    /// The schedule of the seat.
    pub schedule_id: ScheduleId,
    /// The seat.
    pub seat_id: SeatId,
    /// The price at the time of the hold, which is what is paid.
    pub price: Won,
    /// What became of it. A pending one past its time reads as expired, tidied or not.
    pub status: ReservationStatus,
    /// When the seat was held.
    pub created_at: Timestamp,
    /// When the hold ends if it is not paid.
    pub expires_at: Timestamp,
}

impl Reservation {
    /// Where its seat is.
    pub fn location(&self) -> SeatLocation {
        SeatLocation { schedule: self.schedule_id, concert: self.concert_id }
    }
}
