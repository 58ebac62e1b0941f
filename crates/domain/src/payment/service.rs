use std::sync::Arc;
use std::time::Duration;

use super::{Payment, PaymentStatus, PaymentStore, Refund, Settlement};
use crate::concert::SeatChange;
use crate::concurrent::both;
use crate::event::{Event, Origin};
use crate::idempotency::once;
use crate::queue::{Pass, QueueService, SealedToken};
use crate::reservation::{Reservation, ReservationStatus, ReservationStore, Shield};
use crate::{
    Applied, Error, IdAllocator, IdKind, IdempotencyClaim, IdempotencyStore, Page, PageRequest,
    PaymentId, ReservationId, Result, Seen, UserId,
};

/// A wish to pay.
#[derive(Debug, Clone)]
pub struct PayRequest {
    /// Who.
    pub user: UserId,
    /// The right to buy.
    pub token: SealedToken,
    /// What for.
    pub reservation: ReservationId,
    /// The key of the request.
    pub claim: Option<IdempotencyClaim>,
    /// Which request this is, for the event that it makes.
    pub origin: Origin,
}

/// A wish to have the money back.
#[derive(Debug, Clone)]
pub struct RefundRequest {
    /// Who.
    pub user: UserId,
    /// Which payment.
    pub payment: PaymentId,
    /// The key of the request.
    pub claim: Option<IdempotencyClaim>,
    /// Which request this is, for the event that it makes.
    pub origin: Origin,
}

/// Use cases of the payment slice.
pub struct PaymentService {
    pub(crate) store: Arc<dyn PaymentStore>,
    pub(crate) reservations: Arc<dyn ReservationStore>,
    pub(crate) shield: Shield,
    pub(crate) queue: Arc<QueueService>,
    pub(crate) changes: SeatChange,
    pub(crate) answers: Arc<dyn IdempotencyStore>,
    pub(crate) ids: Arc<IdAllocator>,
    pub(crate) refund_cutoff: Duration,
}

impl PaymentService {
    /// Pays for a hold. The slot in the queue is given back after the commit, and again by the
    /// consumer of the event, in case this process dies in between.
    pub async fn pay(&self, request: PayRequest) -> Result<Applied<Payment>> {
        let claim = request.claim.clone();
        once(&*self.answers, claim, self.pay_anew(request)).await
    }

    async fn pay_anew(&self, request: PayRequest) -> Result<Applied<Payment>> {
        let pass = self.queue.enter_as(&request.token, request.user).await?;
        let seen = self.reservations.find(request.reservation).await?;
        let settlement = self.decide_settlement(&pass, seen, &request).await?;
        let location = settlement.reservation.location();
        let paid = self.store.settle(settlement).await?;
        if let Applied::Fresh(_) = paid {
            let announce = async { self.changes.announce(&[location]).await };
            let finish =
                async { self.queue.finish(pass.concert, pass.digest).await.map_or((), |()| ()) };
            both(announce, finish).await;
        }
        Ok(paid)
    }

    async fn decide_settlement(
        &self,
        pass: &Pass,
        seen: Option<Seen<Reservation>>,
        request: &PayRequest,
    ) -> Result<Settlement> {
        let Seen { now, value: reservation } = seen
            .filter(|seen| seen.value.user_id == pass.user)
            .ok_or(Error::ReservationNotFound)?;
        if reservation.concert_id != pass.concert {
            return Err(Error::TokenMismatch);
        }
        match reservation.status {
            ReservationStatus::Pending => {}
            ReservationStatus::Expired => return Err(Error::ReservationExpired),
            _ => return Err(Error::ReservationNotPending),
        }
        let payment = Payment {
            id: self.ids.next(IdKind::Payment).await?,
            reservation_id: reservation.id,
            user_id: pass.user,
            amount: reservation.price,
            status: PaymentStatus::Completed,
            paid_at: now,
            refunded_at: None,
        };
        let event = Event::payment_completed(&payment, &reservation, pass.digest)?
            .because_of(&request.origin);
        let transaction_id = self.ids.next(IdKind::Transaction).await?;
        let claim = request.claim.clone();
        Ok(Settlement { payment, reservation, transaction_id, event, claim })
    }

    /// Gives the money back, until the cut-off before the show.
    pub async fn refund(&self, request: RefundRequest) -> Result<Applied<Payment>> {
        let claim = request.claim.clone();
        once(&*self.answers, claim, self.refund_anew(request)).await
    }

    async fn refund_anew(&self, request: RefundRequest) -> Result<Applied<Payment>> {
        let Seen { now, value: case } = self
            .store
            .refund_case(request.payment)
            .await?
            .filter(|seen| seen.value.payment.user_id == request.user)
            .ok_or(Error::PaymentNotFound)?;
        let too_late = now > case.starts_at.minus(self.refund_cutoff);
        if too_late || case.payment.status == PaymentStatus::Refunded {
            return Err(Error::RefundNotAllowed);
        }
        let payment =
            Payment { status: PaymentStatus::Refunded, refunded_at: Some(now), ..case.payment };
        let event =
            Event::payment_refunded(&payment, &case.reservation)?.because_of(&request.origin);
        let transaction_id = self.ids.next(IdKind::Transaction).await?;
        let reservation = case.reservation.clone();
        let refund = Refund {
            payment,
            reservation: case.reservation,
            transaction_id,
            event,
            claim: request.claim,
        };
        let refunded = self.store.refund(refund).await?;
        if let Applied::Fresh(_) = refunded {
            self.shield.lift(&reservation).await;
            self.changes.announce(&[reservation.location()]).await;
        }
        Ok(refunded)
    }

    /// The user's payment; somebody else's answers as a missing one.
    pub async fn find(&self, user: UserId, id: PaymentId) -> Result<Payment> {
        let found = self.store.find(id).await?;
        found.filter(|payment| payment.user_id == user).ok_or(Error::PaymentNotFound)
    }

    /// The user's payments, newest first.
    pub async fn list(&self, user: UserId, page: PageRequest) -> Result<Page<Payment>> {
        self.store.list(user, page).await
    }
}
