use std::sync::Arc;
use std::time::Duration;

use super::{Hold, Reservation, ReservationStatus, ReservationStore, Shield, Swept};
use crate::concert::{ConcertService, SeatChange, SeatLocation};
use crate::idempotency::once;
use crate::queue::{Pass, QueueService, SealedToken};
use crate::{
    Applied, Error, IdAllocator, IdKind, IdempotencyClaim, IdempotencyStore, Page, PageRequest,
    ReservationId, Result, ScheduleId, SeatId, UserId,
};

/// How many ended holds one sweep tidies.
const SWEEP_BATCH: u32 = 100;

/// A wish to hold a seat.
#[derive(Debug, Clone)]
pub struct HoldRequest {
    /// Who.
    pub user: UserId,
    /// The right to buy.
    pub token: SealedToken,
    /// The schedule of the seat.
    pub schedule: ScheduleId,
    /// The seat.
    pub seat: SeatId,
    /// The key of the request.
    pub claim: Option<IdempotencyClaim>,
}

/// Use cases of the reservation slice.
pub struct ReservationService {
    /// Where holds are kept.
    pub(crate) store: Arc<dyn ReservationStore>,
    pub(crate) queue: Arc<QueueService>,
    pub(crate) concerts: Arc<ConcertService>,
    pub(crate) changes: SeatChange,
    pub(crate) shield: Shield,
    pub(crate) answers: Arc<dyn IdempotencyStore>,
    pub(crate) ids: Arc<IdAllocator>,
    pub(crate) hold_ttl: Duration,
    pub(crate) holds_per_user: u32,
}

impl ReservationService {
    /// Holds a seat for the configured time. Of any number of callers one wins.
    pub async fn hold(&self, request: HoldRequest) -> Result<Applied<Reservation>> {
        let claim = request.claim.clone();
        once(&*self.answers, claim, self.hold_anew(request)).await
    }

    async fn hold_anew(&self, request: HoldRequest) -> Result<Applied<Reservation>> {
        let pass = self.queue.enter_as(&request.token, request.user).await?;
        let location = SeatLocation { schedule: request.schedule, concert: pass.concert };
        let claim = request.claim.as_ref();
        let _turn = self.shield.enter(location, request.seat, claim).await?;
        let hold = self.decide(&pass, request).await?;
        let held = self.shield.hold(&*self.store, hold).await?;
        if let Applied::Fresh(_) = held {
            self.changes.announce(&[location]).await;
        }
        Ok(held)
    }

    async fn decide(&self, pass: &Pass, request: HoldRequest) -> Result<Hold> {
        let offer = self.concerts.offer(pass.concert, request.schedule, request.seat).await?;
        let price = offer.value.price.ok_or(Error::SeatNotFound)?;
        let opens_at = offer.value.schedule.reservation_opens_at;
        if offer.now < opens_at {
            return Err(Error::ReservationNotOpen { opens_at });
        }
        if offer.value.taken_until.is_some() {
            return Err(Error::SeatNotAvailable);
        }
        let reservation = Reservation {
            id: self.ids.next(IdKind::Reservation).await?,
            user_id: request.user,
            concert_id: pass.concert,
            schedule_id: request.schedule,
            seat_id: request.seat,
            price,
            status: ReservationStatus::Pending,
            created_at: offer.now,
            expires_at: offer.now.plus(self.hold_ttl),
        };
        Ok(Hold { reservation, most: self.holds_per_user, claim: request.claim })
    }

    /// The user's reservation; somebody else's answers as a missing one.
    pub async fn find(&self, user: UserId, id: ReservationId) -> Result<Reservation> {
        let found = self.store.find(id).await?.map(|seen| seen.value);
        found.filter(|r| r.user_id == user).ok_or(Error::ReservationNotFound)
    }

    /// The user's reservations, newest first.
    pub async fn list(&self, user: UserId, page: PageRequest) -> Result<Page<Reservation>> {
        self.store.list(user, page).await
    }

    /// Lets a pending hold go; letting go what has ended changes nothing. Answers whether it did.
    pub async fn cancel(&self, user: UserId, id: ReservationId) -> Result<bool> {
        let reservation = self.find(user, id).await?;
        let cancelled = self.store.cancel(id, user).await?;
        if cancelled {
            self.shield.lift(&reservation).await;
            self.changes.announce(&[reservation.location()]).await;
        }
        Ok(cancelled)
    }

    /// Tidies a batch of ended holds; answers what came of it.
    pub async fn sweep(&self) -> Result<Swept> {
        let swept = self.store.sweep(SWEEP_BATCH).await?;
        self.changes.announce(&swept.freed).await;
        if swept.failed > 0 {
            let failed = swept.failed;
            return Err(Error::bug(format!("{failed} ended holds could not be tidied")));
        }
        Ok(swept)
    }
}
