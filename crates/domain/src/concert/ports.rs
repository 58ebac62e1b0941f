use async_trait::async_trait;

use super::{Concert, Perishable, RankedConcert, Schedule, ScheduleListing, SeatMap, SeatOffer};
use crate::audit::Edit;
use crate::{ConcertId, Page, PageRequest, Result, ScheduleId, SeatId, Seen, Timestamp, Won};

/// Port: reads of the catalogue.
///
/// * A seat whose hold has ended MUST read as available at once, whether or not it was tidied.
/// * A read MUST show every change that was acknowledged before it began.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait ConcertReader: Send + Sync {
    /// The concerts by id.
    async fn concerts(&self, page: PageRequest) -> Result<Page<Concert>>;

    /// One concert.
    async fn concert(&self, id: ConcertId) -> Result<Option<Concert>>;

    /// The schedules of a concert by start, at most [`MAX_SCHEDULES`]; empty for an unknown one.
    async fn schedules(&self, concert: ConcertId) -> Result<Perishable<Vec<ScheduleListing>>>;

    /// The seats of a schedule by number, at most [`MAX_SEATS`]; `None` for an unknown schedule.
    async fn seats(&self, schedule: ScheduleId) -> Result<Option<Perishable<SeatMap>>>;

    /// The schedule, and the price of one of its seats and whether it can be held; `None` for an
    /// unknown schedule.
    async fn offer(&self, schedule: ScheduleId, seat: SeatId) -> Result<Option<Seen<SeatOffer>>>;

    /// Concerts by how fast they sold out (fastest first), then those not sold out by sales
    /// (highest first), then by id. The cursor's key is the number of lines before the page.
    async fn ranking(&self, page: PageRequest) -> Result<Page<RankedConcert>>;
}

/// The most schedules of one concert.
pub const MAX_SCHEDULES: u32 = 1_000;
/// The most seats of one schedule.
pub const MAX_SEATS: u32 = 200_000;

/// A change of a concert; what is `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConcertPatch {
    /// The new title.
    pub title: Option<String>,
    /// The new description; `Some(None)` removes it.
    pub description: Option<Option<String>>,
}

/// A change of a schedule; what is `None` stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SchedulePatch {
    /// The new start.
    pub starts_at: Option<Timestamp>,
    /// The new opening.
    pub reservation_opens_at: Option<Timestamp>,
    /// Whether it is to be moved although seats are held or sold.
    pub move_taken: bool,
}

/// A change of a seat; what is `None` stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SeatPatch {
    /// The new number.
    pub number: Option<u32>,
    /// The new price.
    pub price: Option<Won>,
}

/// A seat to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewSeat {
    /// Its id.
    pub id: SeatId,
    /// Its number.
    pub number: u32,
    /// Its price.
    pub price: Won,
}

/// A seat after an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditedSeat {
    /// The seat.
    pub seat: super::Seat,
    /// Where it is.
    pub location: SeatLocation,
}

/// Where a seat is: what must be bumped in the cache when it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SeatLocation {
    /// The schedule of the seat.
    pub schedule: ScheduleId,
    /// The concert of the schedule.
    pub concert: ConcertId,
}

/// Port: upkeep of the catalogue.
///
/// * Every edit MUST be one transaction, MUST add one to the row's version, and MUST leave one line
///   in the [`AuditLog`](crate::audit::AuditLog), in the same transaction.
/// * An edit on a version that its condition does not name MUST change nothing:
///   [`Error::StaleVersion`]. Of two edits on the same version one MUST be refused. (Seats have no
///   version: what guards them is whether they are taken.)
/// * A seat that is held (and the hold has not ended) or sold MUST be neither changed nor
///   deleted, nor the schedule or concert that has it: [`Error::SeatNotAvailable`].
/// * A schedule with a held or sold seat MUST NOT change its start, unless the edit says that it is
///   to be moved all the same: [`Error::SeatNotAvailable`].
/// * Two seats of a schedule MUST NOT have one number: [`Error::Conflict`].
///
/// [`Error::StaleVersion`]: crate::Error::StaleVersion
/// [`Error::SeatNotAvailable`]: crate::Error::SeatNotAvailable
/// [`Error::Conflict`]: crate::Error::Conflict
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait ConcertWriter: Send + Sync {
    /// Adds a concert, version 1.
    async fn create_concert(&self, edit: Edit, concert: Concert) -> Result<()>;
    /// Edits a concert; `ConcertNotFound`.
    async fn update_concert(
        &self,
        edit: Edit,
        id: ConcertId,
        patch: ConcertPatch,
    ) -> Result<Concert>;
    /// Removes a concert with its schedules and seats; `ConcertNotFound`. Answers the schedules.
    async fn delete_concert(&self, edit: Edit, id: ConcertId) -> Result<Vec<ScheduleId>>;

    /// A schedule as it is now; `ScheduleNotFound`.
    async fn find_schedule(&self, id: ScheduleId) -> Result<Schedule>;
    /// Adds a schedule, version 1; `ConcertNotFound`; `Conflict` past [`MAX_SCHEDULES`].
    async fn create_schedule(&self, edit: Edit, schedule: Schedule) -> Result<()>;
    /// Edits a schedule; `ScheduleNotFound`; `Invalid` if it would open after its start.
    async fn update_schedule(
        &self,
        edit: Edit,
        id: ScheduleId,
        patch: SchedulePatch,
    ) -> Result<Schedule>;
    /// Removes a schedule with its seats; `ScheduleNotFound`. Answers the concert.
    async fn delete_schedule(&self, edit: Edit, id: ScheduleId) -> Result<ConcertId>;

    /// Adds seats, all or none; `ScheduleNotFound`; `Conflict` past [`MAX_SEATS`]. Answers the
    /// concert.
    async fn create_seats(
        &self,
        edit: Edit,
        schedule: ScheduleId,
        seats: Vec<NewSeat>,
    ) -> Result<ConcertId>;
    /// Edits a seat; `SeatNotFound`.
    async fn update_seat(&self, edit: Edit, id: SeatId, patch: SeatPatch) -> Result<EditedSeat>;
    /// Removes a seat; `SeatNotFound`. Answers where it was.
    async fn delete_seat(&self, edit: Edit, id: SeatId) -> Result<SeatLocation>;
}
